// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/healthcheck"
)

// gateway is a sync group of two virtual routers in ten lines, and more from line 11 on.
func gateway(more string) string {
	return router("sync_group = \"gateway\"\n") +
		"[[vrrp]]\ninterface = \"eth1\"\nvrid = 52\nsync_group = \"gateway\"\nvips = [\"198.51.100.100/24\", \"2001:db8::100/64\"]\n" + more
}

func TestMistakesOfGroupWitnesses(t *testing.T) {
	const group = "[[group]]\nname = \"gateway\"\n"
	run(t, []mistaken{
		{"no witness", gateway(group), []string{`11: group[0].witness: is missing: want an array of string or tables; for example: witness = ["192.0.2.1"]`}},
		{"another name", gateway("[[group]]\nname = \"gatewai\"\nwitness = [\"192.0.2.1\"]\n"), []string{
			"12: group[0].name: there is no [[vrrp]] with the sync_group \"gatewai\"; did you mean `gateway`?",
		}},
		{"twice", gateway(group + "witness = [\"192.0.2.1\"]\n" + group + "witness = [\"192.0.2.1\"]\n"), []string{
			`15: group[1].name: "gateway" is already the name of group[0] (line 11); names must differ`,
		}},
		{"a witness of a member", router("sync_group = \"gateway\"\nwitness = [\"192.0.2.1\"]\n") + gateway(group + "witness = [\"192.0.2.1\"]\n")[len(router("sync_group = \"gateway\"\n")):], []string{
			`6: vrrp[0].witness: group[0] (line 12) has the witnesses of the whole sync_group gateway; remove one of the two`,
		}},
		{"a VIP of a member, and a repetition", gateway(group + "witness = [\"198.51.100.100\", \"192.0.2.1\", \"192.0.2.1\"]\n"), []string{
			"13: group[0].witness[0]: 198.51.100.100 is a VIP: the master would ask itself; name another machine, such as the router",
			"13: group[0].witness[2]: 192.0.2.1 is already group[0].witness[1] (line 13)",
		}},
		{"release without a peer", gateway(group + "witness = [\"192.0.2.1\"]\nwitness_release = \"3s\"\n"), []string{
			"14: group[0].witness_release: needs the address of the other director: while that one answers, this one is not isolated; add witness_peer",
		}},
		{"a quick release", gateway(group + "witness = [\"192.0.2.1\"]\nwitness_release = \"3s\"\nwitness_peer = [\"192.0.2.3\"]\n"), []string{
			"14: group[0].witness_release: 3s is too short: witnesses are asked every 2s; write at least 4s",
		}},
		{"a neighbour without an interface", gateway(group +
			"witness = [{ neighbour = \"192.0.2.1\" }, { neighbour = \"192.0.2.1\", interface = \"eth0\" }]\n"), []string{
			"13: group[0].witness[0]: does not say on which interface of the group the neighbour is asked; add interface",
		}},
		{"link-local addresses", gateway(group +
			"witness = [\"fe80::1\", { neighbour = \"fe80::1\", interface = \"eth0\" }]\nwitness_peer = [\"fe80::3\"]\n"), []string{
			"13: group[0].witness[0]: fe80::1 is a link-local address, and the group has several interfaces; " +
				"use neighbour with interface, or another address",
			"14: group[0].witness_peer[0]: fe80::3 is a link-local address, and the group has several interfaces; use another address",
		}},
		{"an owner", router("sync_group = \"gateway\"\npriority = 255\n") + gateway(group + "witness = [\"192.0.2.1\"]\n")[len(router("sync_group = \"gateway\"\n")):], []string{
			"14: group[0].witness: eth0-51 of the group has no meaning with priority 255: the owner of the addresses does not wait for a master's silence; " +
				"give it a priority below 255, or remove this table",
		}},
	})
}

// TestGroupWitness: the members of a group ask the same, with the timeout that suits all of them.
func TestGroupWitness(t *testing.T) {
	c := parse(t, router("sync_group = \"gateway\"\nadvert_interval = \"300ms\"\nunicast_peers = [\"192.0.2.3\"]\n")+
		"[[vrrp]]\ninterface = \"eth1\"\nvrid = 52\nadvert_interval = \"200ms\"\nsync_group = \"gateway\"\nvips = [\"198.51.100.100/24\"]\n"+
		"[[vrrp]]\ninterface = \"eth2\"\nvrid = 53\nvips = [\"203.0.113.100/24\"]\n"+
		"[[group]]\nname = \"gateway\"\nwitness = [\"192.0.2.1\", { url = \"http://198.51.100.7/up\" }]\nwitness_release = \"10s\"\n")
	for i, want := range []bool{true, true, false} {
		if r := c.Routers[i]; r.Witnessed != want || (r.WitnessRelease == 10*time.Second) != want {
			t.Errorf("%s: witnessed %t, release %s", r.Name, r.Witnessed, r.WitnessRelease)
		}
	}
	want := []struct{ router, name string }{
		{"eth0-51", "witness 192.0.2.1"}, {"eth0-51", "witness http://198.51.100.7/up"}, {"eth0-51", "peer 192.0.2.3"},
		{"eth1-52", "witness 192.0.2.1"}, {"eth1-52", "witness http://198.51.100.7/up"}, {"eth1-52", "peer 192.0.2.3"},
	}
	if len(c.Tracks) != len(want) {
		t.Fatalf("%d tracks: %+v", len(c.Tracks), c.Tracks)
	}
	for i, w := range want {
		if is := c.Tracks[i]; is.Router != w.router || is.Name != w.name || is.Group != "gateway" || is.Check.Timeout != 200*time.Millisecond ||
			(is.Check.Type == healthcheck.HTTP) != (is.Check.Path != "") {
			t.Errorf("%+v, %+v, want %+v", is, is.Check, w)
		}
	}
}
