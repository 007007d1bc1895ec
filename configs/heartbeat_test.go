// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/tandem-lvs/tandem/vrrp"
)

// TestHeartbeat: each virtual router of a [[vrrp]] gets the interfaces, and the peers of its family.
func TestHeartbeat(t *testing.T) {
	cfg, err := Parse("t.toml", []byte(`
[[vrrp]]
interface = "eth0"
vrid = 51
vips = ["192.0.2.100/24", "2001:db8::100/64"]
heartbeat = ["eth1", { peer = "10.0.0.2", source = "10.0.0.1", ttl_min = 254 }, { peer = "2001:db8:1::2" }]
`))
	if err != nil {
		t.Fatal(err)
	}
	link := vrrp.Path{Interface: "eth1"}
	four := vrrp.Path{Peer: netip.MustParseAddr("10.0.0.2"), Source: netip.MustParseAddr("10.0.0.1"), TTLMin: 254}
	six := vrrp.Path{Peer: netip.MustParseAddr("2001:db8:1::2"), TTLMin: 255}
	for i, want := range [][]vrrp.Path{{link, four}, {link, six}} {
		if got := cfg.Routers[i].Heartbeat; !slices.Equal(got, want) {
			t.Errorf("%s has %v, want %v", cfg.Routers[i].Name, got, want)
		}
		if why := cfg.Routers[i].Problem(); why != "" {
			t.Error(why)
		}
	}
}

func TestMistakesOfHeartbeat(t *testing.T) {
	beat := func(s string) string { return router("heartbeat = [" + s + "]") }
	run(t, []mistaken{
		{"interfaces", beat(`"eth0", "eth1", "eth1", "no such name at all"`), []string{
			`5: vrrp[0].heartbeat[3]: "no such name at all" cannot be the name of an interface`,
			"5: vrrp[0].heartbeat[0]: eth0 is the interface of the virtual router, which is a path anyway; name another interface",
			"5: vrrp[0].heartbeat[2]: eth1 is already vrrp[0].heartbeat[1] (line 5)",
		}},
		{"peers", beat(`{ peer = "2001:db8::2" }, { peer = "192.0.2.100" }, { source = "10.0.0.1" }, { peer = "10.0.0.1", source = "10.0.0.1" }, { peer = "10.0.0.2", source = "fe80::1" }, { peer = "127.0.0.1" }, { peer = "10.0.0.3", ttl_min = 0 }`), []string{
			`5: vrrp[0].heartbeat[2].peer: is missing: want a string; for example: peer = "10.0.0.2"`,
			"5: vrrp[0].heartbeat[5].peer: 127.0.0.1 is a loopback address",
			"5: vrrp[0].heartbeat[6].ttl_min: 0 is out of range: want 1 to 255",
			"5: vrrp[0].heartbeat[0]: 2001:db8::2 is an IPv6 address, but no VIP is",
			"5: vrrp[0].heartbeat[1]: 192.0.2.100 is a VIP; give an address that the other director always has",
			"5: vrrp[0].heartbeat[3].source: 10.0.0.1 is the peer; give an address of this director",
			"5: vrrp[0].heartbeat[4].source: fe80::1 is an IPv6 address, but the peer is not",
		}},
		{"a peer that has the advertisements anyway", router("unicast_peers = [\"10.0.0.2\"]\nheartbeat = [{ peer = \"10.0.0.2\" }]"), []string{
			"6: vrrp[0].heartbeat[0]: 10.0.0.2 is in unicast_peers, so it is a path anyway; remove it",
		}},
		{"the VRID of another router on the path", beat(`"eth1"`) + "\n[[vrrp]]\ninterface = \"eth1\"\nvrid = 51\nvips = [\"198.51.100.1\"]", []string{
			"5: vrrp[0].heartbeat[0]: has VRID 51, which is also used by vrrp[1] (line 6) on eth1: each would get the other's advertisements; give one of them another vrid, on both directors",
		}},
		{"the VRID of another heartbeat on the path", beat(`"eth1"`) + "\n[[vrrp]]\ninterface = \"eth2\"\nvrid = 51\nvips = [\"198.51.100.1\"]\nheartbeat = [\"eth1\"]", []string{
			"10: vrrp[1].heartbeat[0]: has VRID 51, which is also used by vrrp[0] (line 1) on eth1: each would get the other's advertisements; give one of them another vrid, on both directors",
		}},
		{"unicast, and the VRID of any other router", beat(`{ peer = "10.0.0.2" }`) + "\n[[vrrp]]\ninterface = \"eth3\"\nvrid = 51\nvips = [\"198.51.100.1\"]", []string{
			"5: vrrp[0].heartbeat[0]: has VRID 51, which is also used by vrrp[1] (line 6) of another interface: each would get the other's advertisements; give one of them another vrid, on both directors",
		}},
	})
}
