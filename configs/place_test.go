// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"testing"

	"github.com/tandem-lvs/tandem/vrrp"
)

const bare = "[[vrrp]]\ninterface = \"eth0\"\nvrid = 51\n" // without VIPs: three lines

func TestRoutersWithoutVIPs(t *testing.T) {
	const useless = "1: vrrp[0]: has no VIP and no hook: its election has no effect; add vips, or a hook"
	hook := func(table, on string) string {
		return fmt.Sprintf("[[%s]]\non = [%q]\ncommand = \"/bin/true\"\n", table, on)
	}
	for _, tt := range []struct {
		name, text string
		families   []uint8
		warnings   []string
	}{
		{"nothing", bare, []uint8{4}, []string{useless}},
		{"an empty list", bare + "vips = []\n", []uint8{4}, []string{useless}},
		{"a hook", bare + hook("vrrp.hook", "master"), []uint8{4}, nil},
		{"a hook of the file", bare + hook("hook", "backup"), []uint8{4}, nil},
		{"a hook about something else", bare + hook("hook", "director_start"), []uint8{4}, []string{useless}},
		{"an excluded VIP", bare + "excluded_vips = [\"192.0.2.100\"]\n", []uint8{4}, nil},
		{"a route", bare + "route = [{ to = \"default\", via = \"192.0.2.1\" }]\n", []uint8{4}, nil},
		{"a rule", bare + "rule = [{ table = 100, priority = 1000 }]\n", []uint8{4}, nil},
		{"a member of a group", bare + "sync_group = \"web\"\n[[vrrp]]\ninterface = \"eth1\"\nvrid = 51\nvips = [\"192.0.2.100\"]\nsync_group = \"web\"",
			[]uint8{4, 4}, nil},
		{"peers", bare + "unicast_peers = [\"2001:db8::2\"]\n" + hook("vrrp.hook", "master"), []uint8{6}, nil},
		{"peers of both families", bare + "unicast_peers = [\"2001:db8::2\", \"192.0.2.2\"]\n" + hook("vrrp.hook", "master"), []uint8{4, 6}, nil},
		{"source", bare + "source = \"fe80::1\"\n" + hook("vrrp.hook", "master"), []uint8{6}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := parse(t, tt.text)
			var families []uint8
			for _, r := range c.Routers {
				families = append(families, r.Family())
			}
			var warnings []string
			for _, w := range c.Warnings {
				warnings = append(warnings, fmt.Sprintf("%d: %s: %s; %s", w.Line, w.Key, w.Problem, w.Hint))
			}
			if !slices.Equal(families, tt.families) || !slices.Equal(warnings, tt.warnings) {
				t.Errorf("families %v, warnings %q, want %v, %q", families, warnings, tt.families, tt.warnings)
			}
			consistent(t, c)
		})
	}
}

func TestPlaces(t *testing.T) {
	c := parse(t, bare+`vips = ["192.0.2.100/24", { address = "198.51.100.100/24", interface = "eth1" }, { address = "2001:db8::100/64", interface = "eth2" },
  { address = "192.0.2.101/24", interface = "eth0" }, { address = "192.0.2.102" }]
excluded_vips = [{ address = "198.51.100.101/24", interface = "eth1" }, "2001:db8::101"]
track = [{ interface = "eth1", weight = -50 }]`)
	consistent(t, c)
	addr := netip.MustParseAddr
	want := []map[netip.Addr]string{
		{addr("198.51.100.100"): "eth1", addr("198.51.100.101"): "eth1"},
		{addr("2001:db8::100"): "eth2"},
	}
	for i, r := range c.Routers {
		if !maps.Equal(r.VIPInterfaces, want[i]) {
			t.Errorf("%s: %v, want %v", r.Name, r.VIPInterfaces, want[i])
		}
	}
	if len(c.Routers) != 2 || c.Routers[0].InterfaceOf(addr("192.0.2.100")) != "eth0" || c.Warnings != nil {
		t.Fatalf("%+v", c.Routers)
	}
	tracks := [][]vrrp.TrackInterface{
		{{Interface: "eth1", Weight: -50}},
		{{Interface: "eth1", Weight: -50}, {Interface: "eth2"}},
	}
	for i, r := range c.Routers {
		if got := r.AllTrackInterfaces(); !slices.Equal(got, tracks[i]) {
			t.Errorf("%s tracks %v, want %v", r.Name, got, tracks[i])
		}
	}
	for i, w := range []vrrp.Carrier{vrrp.CarrierTrack, vrrp.CarrierIgnore} {
		c := parse(t, router([]string{"", "carrier = \"ignore\"\ndown_adverts = 20\nsource = \"192.0.2.9\""}[i]))
		if r := c.Routers[0]; r.Carrier != w || r.DownAdverts != []uint8{3, 20}[i] || r.Source.IsValid() != (i == 1) {
			t.Errorf("%+v", r)
		}
	}
	run(t, []mistaken{
		{"tables", bare + "vips = [{ address = \"www\" },\n{ interface = \"eth1\" },\n{ address = \"192.0.2.1\", interface = \"a/b\" },\n{ address = \"192.0.2.2\", dev = \"eth1\" }]", []string{
			`4: vrrp[0].vips[0].address: "www" is not an address; write "192.0.2.100/24" or "192.0.2.100"`,
			`5: vrrp[0].vips[1].address: is missing: want a string; for example: address = "192.0.2.100/24"`,
			`6: vrrp[0].vips[2].interface: "a/b" cannot be the name of an interface`,
			`7: vrrp[0].vips[3].dev: unknown key; it is a key of [[vrrp.route]]`,
		}},
		{"with a virtual MAC address", bare + "virtual_mac = true\nvips = [\"192.0.2.1\",\n{ address = \"192.0.2.2\", interface = \"eth1\" }]", []string{
			"6: vrrp[0].vips[1].interface: has no meaning with virtual_mac: the VIPs are on a macvlan of their own; remove it, or virtual_mac",
		}},
		{"twice", bare + "vips = [\"192.0.2.1\",\n{ address = \"192.0.2.1\", interface = \"eth1\" }]", []string{
			"5: vrrp[0].vips[1]: 192.0.2.1 is already vrrp[0].vips[0] (line 4)",
		}},
	})
	// A link-local address may be on each interface.
	parse(t, bare+`vips = ["fe80::100/64"]`+"\n[[vrrp]]\ninterface = \"eth0\"\nvrid = 52\nvips = [{ address = \"fe80::100/64\", interface = \"eth1\" }]")
}

func TestMistakesOfTheElection(t *testing.T) {
	six := "[[vrrp]]\ninterface = \"eth0\"\nvrid = 51\nvips = [\"2001:db8::100/64\"]\n"
	run(t, []mistaken{
		{"too few and too many", router("down_adverts = 2\n") + "[[vrrp]]\ninterface = \"eth0\"\nvrid = 52\nvips = [\"192.0.2.2\"]\ndown_adverts = 21", []string{
			"5: vrrp[0].down_adverts: 2 is out of range: want 3 to 20",
			"10: vrrp[1].down_adverts: 21 is out of range: want 3 to 20",
		}},
		{"too long", router("advert_interval = \"10s\"\ndown_adverts = 13"), []string{
			"6: vrrp[0].down_adverts: 13 intervals of 10s are longer than 2m2.85s, and a hand-over cannot wait so long; lower it, or advert_interval",
		}},
		{"carrier", router("carrier = \"lost\""), []string{`5: vrrp[0].carrier: unknown value "lost"; want track or ignore`}},
		{"two sources", router("unicast_peers = [\"192.0.2.2\"]\nsource = \"192.0.2.1\"\nunicast_source = \"192.0.2.1\""), []string{
			"7: vrrp[0].unicast_source: has no meaning beside source; remove it",
		}},
		{"a peer as source", router("unicast_peers = [\"192.0.2.2\"]\nsource = \"192.0.2.2\""), []string{
			"5: vrrp[0].unicast_peers[0]: 192.0.2.2 is source, an address of this director; give the addresses of the other directors",
		}},
		{"source of another family", router("source = \"fe80::1\""), []string{"5: vrrp[0].source: fe80::1 is an IPv6 address, but no VIP is"}},
		{"source of another family than the peers", bare + "unicast_peers = [\"192.0.2.2\"]\nsource = \"fe80::1\"", []string{
			"5: vrrp[0].source: fe80::1 is an IPv6 address, but no address in unicast_peers is",
		}},
		{"a VIP as source", router("source = \"192.0.2.100\""), []string{
			"5: vrrp[0].source: 192.0.2.100 is a VIP: only the master has it; give an address that this director always has",
		}},
		{"multicast from a global address", six + "source = \"2001:db8::1\"", []string{
			"5: vrrp[0].source: 2001:db8::1 is not a link-local address: multicast advertisements over IPv6 are sent from one (RFC 9568, section 5.1.2.1); " +
				"give a link-local address, or set unicast_peers",
		}},
		{"version 2 over IPv6 without VIPs", bare + "version = 2\nsource = \"fe80::1\"", []string{
			"5: vrrp[0].source: has an IPv6 address: version 2 speaks IPv4 only; write version = 3",
		}},
	})
	parse(t, six+"source = \"2001:db8::1\"\nunicast_peers = [\"2001:db8::2\"]")
	parse(t, router("priority = 255\nsource = \"192.0.2.100\""))
}
