// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"slices"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/healthcheck"
)

func TestMistakesOfWitnesses(t *testing.T) {
	run(t, []mistaken{
		{"itself", router(`witness = ["192.0.2.100"]`), []string{
			"5: vrrp[0].witness[0]: 192.0.2.100 is a VIP: the master would ask itself; name another machine, such as the router",
		}},
		{"loopback", router(`witness = ["127.0.0.1"]`), []string{
			"5: vrrp[0].witness[0]: 127.0.0.1 is a loopback address",
		}},
		{"twice", router(`witness = ["192.0.2.1", "192.0.2.1"]`), []string{
			"5: vrrp[0].witness[1]: 192.0.2.1 is already vrrp[0].witness[0] (line 5)",
		}},
		{"a name", router(`witness = [{ url = "http://example.net/" }]`), []string{
			`5: vrrp[0].witness[0].url: "example.net" is not an IP address: a name server may be cut off too; write the address`,
		}},
		{"https", router(`witness = [{ url = "https://192.0.2.1/" }]`), []string{
			`5: vrrp[0].witness[0].url: "https://192.0.2.1/" is not an http URL; write "http://ADDRESS/path"`,
		}},
		{"nobody", router(`witness = [{ }]`), []string{
			"5: vrrp[0].witness[0]: does not say who is asked; add url or neighbour",
		}},
		{"two ways", router(`witness = [{ url = "http://192.0.2.1/", neighbour = "192.0.2.1" }]`), []string{
			"5: vrrp[0].witness[0].neighbour: cannot be combined with url; write a table for each",
		}},
		{"an interface for HTTP", router(`witness = [{ url = "http://192.0.2.1/", interface = "eth1" }]`), []string{
			"5: vrrp[0].witness[0].interface: has no meaning without neighbour; remove it",
		}},
		{"a neighbour that is a VIP", router(`witness = [{ neighbour = "192.0.2.100" }]`), []string{
			"5: vrrp[0].witness[0]: 192.0.2.100 is a VIP: the master would ask itself; name another machine, such as the router",
		}},
		{"a neighbour on this machine", router(`witness = [{ neighbour = "::1" }]`), []string{
			"5: vrrp[0].witness[0].neighbour: ::1 is a loopback address",
		}},
		{"owner", router("priority = 255\nwitness = [\"192.0.2.1\"]"), []string{
			"6: vrrp[0].witness: has no meaning with priority 255: the owner of the addresses does not wait for a master's silence; " +
				"give it a priority below 255, or remove witness",
		}},
		{"release without witness", router("witness_release = \"10s\"\nwitness_peer = [\"192.0.2.3\"]"), []string{
			"5: vrrp[0].witness_release: has no meaning without witness; add witness, or remove it",
			"6: vrrp[0].witness_peer: has no meaning without witness; add witness, or remove it",
		}},
		{"release without peer", router("witness = [\"192.0.2.1\"]\nwitness_release = \"10s\""), []string{
			"6: vrrp[0].witness_release: needs the address of the other director: while that one answers, this one is not isolated; add witness_peer",
		}},
		{"quick release", router("witness = [\"192.0.2.1\"]\nwitness_release = \"3s\"\nwitness_peer = [\"192.0.2.3\"]"), []string{
			"6: vrrp[0].witness_release: 3s is too short: witnesses are asked every 2s; write at least 4s",
		}},
	})
}

func TestWitnessTracks(t *testing.T) {
	c := parse(t, router("advert_interval = \"100ms\"\nwitness = [\"192.0.2.1\", { url = \"http://[2001:db8::1]:8080/up?now\" }, "+
		"{ neighbour = \"192.0.2.1\" }, { neighbour = \"2001:db8::1\", interface = \"eth1\" }]\n"+
		"witness_release = \"10s\"\nwitness_peer = [\"192.0.2.3\"]"))
	r := c.Routers[0]
	if !r.Witnessed || r.WitnessRelease != 10*time.Second {
		t.Errorf("witnessed %v, release %v", r.Witnessed, r.WitnessRelease)
	}
	want := []struct {
		kind   TrackKind
		name   string
		typ    healthcheck.Type
		target string
		path   string
		device string
	}{
		{TrackWitness, "witness 192.0.2.1", healthcheck.Ping, "192.0.2.1:0", "", ""},
		{TrackWitness, "witness http://[2001:db8::1]:8080/up?now", healthcheck.HTTP, "[2001:db8::1]:8080", "/up?now", ""},
		{TrackWitness, "witness neighbour 192.0.2.1", healthcheck.Neighbour, "192.0.2.1:0", "", "eth0"},
		{TrackWitness, "witness neighbour 2001:db8::1 on eth1", healthcheck.Neighbour, "[2001:db8::1]:0", "", "eth1"},
		{TrackPeer, "peer 192.0.2.3", healthcheck.Ping, "192.0.2.3:0", "", ""},
	}
	if len(c.Tracks) != len(want) {
		t.Fatalf("tracks %+v", c.Tracks)
	}
	for i, w := range want {
		is := c.Tracks[i]
		if is.Kind != w.kind || is.Name != w.name || is.Check.Type != w.typ || trackEndpoint(*is.Check).String() != w.target || is.Check.Path != w.path || is.Check.Device != w.device ||
			is.Check.Timeout != 100*time.Millisecond || is.Check.Fall != 1 || is.Check.Rise != 1 {
			t.Errorf("track %d: %+v, %+v", i, is, is.Check)
		}
	}
	if got := parse(t, router("witness = [\"192.0.2.1\"]\nunicast_peers = [\"192.0.2.3\"]\nwitness_release = \"10s\"")).Tracks; len(got) != 2 || got[1].Name != "peer 192.0.2.3" {
		t.Errorf("the unicast peers are not the peers: %+v", got)
	}
}

// TestLinkLocalWitnesses: a link-local address is asked on the interface of its virtual router.
func TestLinkLocalWitnesses(t *testing.T) {
	endpoints := func(c *Config) (all []string) {
		for _, track := range c.Tracks {
			all = append(all, track.Router+" "+track.Name+" at "+trackEndpoint(*track.Check).Addr().String())
		}
		return all
	}
	const six = "[[vrrp]]\ninterface = \"eth0\"\nvrid = 51\nvips = [\"2001:db8::100/64\"]\n"
	const asked = `witness = ["fe80::1", { url = "http://[fe80::1]:8080/" }, "2001:db8::1"]` + "\nwitness_release = \"10s\"\n"
	for _, peers := range []string{"unicast_peers", "witness_peer"} {
		c := parse(t, six+asked+peers+` = ["fe80::3", "2001:db8::3"]`)
		if got, want := endpoints(c), []string{
			"eth0-51-ipv6 witness fe80::1 at fe80::1%eth0", "eth0-51-ipv6 witness http://[fe80::1]:8080/ at fe80::1%eth0", "eth0-51-ipv6 witness 2001:db8::1 at 2001:db8::1",
			"eth0-51-ipv6 peer fe80::3%eth0 at fe80::3%eth0", "eth0-51-ipv6 peer 2001:db8::3 at 2001:db8::3",
		}; !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", peers, got, want)
		}
		if got := c.Routers[0].UnicastPeers; len(got) > 0 && got[0].Zone() != "" {
			t.Errorf("the peers of the election are %v", got)
		}
	}
	c := parse(t, six+"sync_group = \"gateway\"\nunicast_peers = [\"fe80::3\", \"2001:db8::3\"]\n"+
		"[[vrrp]]\ninterface = \"eth1\"\nvrid = 52\nsync_group = \"gateway\"\nvips = [\"2001:db8:1::100/64\"]\nunicast_peers = [\"fe80::3\"]\n"+
		"[[group]]\nname = \"gateway\"\nwitness = [\"192.0.2.1\"]\nwitness_release = \"10s\"\n")
	if got, want := endpoints(c)[:4], []string{
		"eth0-51-ipv6 witness 192.0.2.1 at 192.0.2.1", "eth0-51-ipv6 peer 2001:db8::3 at 2001:db8::3",
		"eth0-51-ipv6 peer fe80::3%eth0 at fe80::3%eth0", "eth0-51-ipv6 peer fe80::3%eth1 at fe80::3%eth1",
	}; !slices.Equal(got, want) {
		t.Errorf("group: %q, want %q", got, want)
	}
}
