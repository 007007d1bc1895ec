// SPDX-License-Identifier: Apache-2.0

package configs

import (
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
	c := parse(t, router("advert_interval = \"100ms\"\nwitness = [\"192.0.2.1\", { url = \"http://[2001:db8::1]:8080/up?now\" }]\n"+
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
	}{
		{TrackWitness, "witness 192.0.2.1", healthcheck.Ping, "192.0.2.1:0", ""},
		{TrackWitness, "witness http://[2001:db8::1]:8080/up?now", healthcheck.HTTP, "[2001:db8::1]:8080", "/up?now"},
		{TrackPeer, "peer 192.0.2.3", healthcheck.Ping, "192.0.2.3:0", ""},
	}
	if len(c.Tracks) != len(want) {
		t.Fatalf("tracks %+v", c.Tracks)
	}
	for i, w := range want {
		is := c.Tracks[i]
		if is.Kind != w.kind || is.Name != w.name || is.Check.Type != w.typ || trackEndpoint(*is.Check).String() != w.target || is.Check.Path != w.path ||
			is.Check.Timeout != 100*time.Millisecond || is.Check.Fall != 1 || is.Check.Rise != 1 {
			t.Errorf("track %d: %+v, %+v", i, is, is.Check)
		}
	}
	if got := parse(t, router("witness = [\"192.0.2.1\"]\nunicast_peers = [\"192.0.2.3\"]\nwitness_release = \"10s\"")).Tracks; len(got) != 2 || got[1].Name != "peer 192.0.2.3" {
		t.Errorf("the unicast peers are not the peers: %+v", got)
	}
}
