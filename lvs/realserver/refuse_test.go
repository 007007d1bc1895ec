// SPDX-License-Identifier: Apache-2.0

package realserver

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// route4 adds a default route to the machine of a table row.
func route4(p Path, source string) func(*State) {
	return func(s *State) {
		p.To, p.Interface, p.Table = everywhere(true), "eth0", mainTable
		s.Paths = append(s.Paths, p)
		s.Sources = append(s.Sources, netip.MustParseAddr(source))
	}
}

// TestRefusesWhatTheMachineUses: an address that the machine needs for itself is refused as a VIP.
func TestRefusesWhatTheMachineUses(t *testing.T) {
	gateway, own := netip.MustParseAddr("192.0.2.254"), netip.MustParseAddr("192.0.2.11")
	toGateway := Path{Gateway: gateway}
	mode := func(m Mode, list ...string) Config { return Config{VIPs: vips(list...), Mode: m, Method: Sysctl} }
	on := func(iface, prefix string, change func(*Address)) func(*State) {
		a := at(iface, prefix)
		change(&a)
		return with(a)
	}
	known := Record{Added: []Address{at("lo", vip4+"/32")}}
	for _, tt := range []struct {
		name   string
		config Config
		state  State
		record Record
		want   string // in the reason; empty: not refused
	}{
		{"the machine's own address", mode(DirectRouting, "192.0.2.11"), machine(), Record{}, "only address on eth0"},
		{"a tunnel's", mode(Tunnel, "192.0.2.11"), machine(), Record{}, "only address on eth0"},
		{"the source of the default route", mode(DirectRouting, "192.0.2.11"), machine(with(at("eth0", "192.0.2.12/24")), route4(toGateway, "192.0.2.11")),
			Record{}, "own address on eth0, and the source of its default route"},
		{"another address on the same interface", mode(DirectRouting, "192.0.2.12"), machine(with(at("eth0", "192.0.2.12/24")), route4(toGateway, "192.0.2.11")),
			Record{}, ""},
		{"a source on lo", mode(DirectRouting, vip4), machine(with(at("lo", vip4+"/32")), route4(Path{Gateway: gateway, Source: vips(vip4)[0]}, vip4)),
			Record{}, "is the source of this machine's default route"},
		{"a source on lo since we added it", mode(DirectRouting, vip4), machine(with(at("lo", vip4+"/32")), route4(Path{Gateway: gateway, Source: vips(vip4)[0]}, vip4)),
			known, ""},
		{"a leased address", mode(DirectRouting, "192.0.2.12"), machine(on("eth0", "192.0.2.12/24", func(a *Address) { a.Dynamic = true })), Record{}, "leased"},
		{"the only IPv6 address beside the link's", mode(DirectRouting, vip6), machine(with(at("eth0", "fe80::11/64")), with(at("eth0", vip6+"/64"))), Record{}, "only address"},
		{"an IPv6 address beside another", mode(DirectRouting, vip6), machine(with(at("eth0", "2001:db8::11/64")), with(at("eth0", vip6+"/64"))), Record{}, ""},
		{"a director's", mode(DirectRouting, vip4), machine(func(s *State) { s.Directed = vips(vip4) }), Record{}, "director on this machine"},
		{"a director's since", mode(DirectRouting, vip4), machine(silenced, with(at("lo", vip4+"/32")), func(s *State) { s.Directed = vips(vip4) }), known, "director on this machine"},
		{"drift that the default route needs by now", mode(DirectRouting, vip4), machine(with(at("eth0", vip4+"/24")), with(at("lo", vip4+"/32")), route4(toGateway, vip4)),
			known, "is on eth0 too, as the source of the default route"},
		{"drift on an interface of its own", mode(DirectRouting, vip4),
			machine(link(Link{Name: "eth1", Ethernet: true, Up: true}), with(at("eth1", vip4+"/24"))), known, ""},
		{"before us on an interface of its own", mode(DirectRouting, vip4),
			machine(link(Link{Name: "eth1", Ethernet: true, Up: true}), with(at("eth1", vip4+"/24"))), Record{}, "ip address del 192.0.2.100/24 dev eth1"},
		{"an interface that does not exist", Config{VIPs: vips(vip4), Mode: DirectRouting, Method: Sysctl, Interfaces: []string{"eth0", "eth9"}}, machine(),
			Record{}, "there is no interface eth9: write one of eth0"},
		{"an interface that has gone since", Config{VIPs: vips(vip4), Mode: DirectRouting, Method: Sysctl, Interfaces: []string{"eth0", "eth9"}}, machine(),
			Record{Config: Config{Interfaces: []string{"eth9"}}}, ""},
		{"NAT by an address of its own", mode(NAT, "192.0.2.11"), machine(), Record{}, "is on eth0 of this machine"},
		{"NAT by a distant address", mode(NAT, "198.51.100.1"), machine(), Record{}, "in none of this machine's networks"},
		{"NAT instead of several next hops", mode(NAT, vip4), machine(route4(Path{Several: true}, "192.0.2.11")), Record{}, "several next hops"},
		{"NAT, and the operator comes by the gateway", mode(NAT, vip4), machine(route4(toGateway, "192.0.2.11"),
			func(s *State) { s.Operator = Operator{netip.MustParseAddr("198.51.100.7"), own, gateway} }), Record{}, "ip route add 198.51.100.7 via 192.0.2.254"},
		{"NAT, and the operator is a neighbour", mode(NAT, vip4), machine(route4(toGateway, "192.0.2.11"),
			func(s *State) { s.Operator = Operator{netip.MustParseAddr("192.0.2.7"), own, netip.Addr{}} }), Record{}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := MakePlan(tt.config, tt.state, tt.record)
			var no *Refusal
			switch {
			case tt.want == "" && err != nil:
				t.Errorf("refused: %v", err)
			case tt.want != "" && (!errors.As(err, &no) || !strings.Contains(no.Error(), tt.want)):
				t.Errorf("error %v, want a refusal with %q", err, tt.want)
			}
		})
	}
}

// TestRemoveLeavesWhatTheMachineNeeds: an address that was a VIP, and is the machine's own by now, stays.
func TestRemoveLeavesWhatTheMachineNeeds(t *testing.T) {
	known := Record{Added: []Address{at("lo", vip4+"/32")}}
	toGateway := Path{Gateway: netip.MustParseAddr("192.0.2.254")}
	onlyVIP := func(s *State) { s.Links[1].Addrs = nil }
	const off = "ip address del 192.0.2.100/24 dev eth0"
	for _, tt := range []struct {
		name  string
		state State
		stays bool
	}{
		{"nobody needs it", machine(with(at("eth0", vip4+"/24"))), false},
		{"a director has it", machine(with(at("eth0", vip4+"/24")), func(s *State) { s.Directed = vips(vip4) }), true},
		{"the default route's source", machine(with(at("eth0", vip4+"/24")), route4(toGateway, vip4)), true},
		{"the interface's only one, with the default route", machine(onlyVIP, with(at("eth0", vip4+"/24")), route4(toGateway, "192.0.2.11")), true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, err := MakePlan(Config{}, tt.state, known)
			if err != nil || slices.Contains(commands(p.Steps), off) == tt.stays {
				t.Errorf("steps %q, %v", commands(p.Steps), err)
			}
		})
	}
}

// TestApplyOfTheOwnAddressChangesNothing: the refusal comes before any change to a real machine.
func TestApplyOfTheOwnAddressChangesNothing(t *testing.T) {
	m := newShifting(t)
	m.do("default")
	began := m.world()
	for _, mode := range []Mode{DirectRouting, Tunnel, NAT} {
		m.ns.Do(func() {
			var no *Refusal
			if _, err := m.machine.Apply(Config{VIPs: vips("192.0.2.11"), Mode: mode, Method: Sysctl}); !errors.As(err, &no) {
				t.Errorf("%s: error %v, want a refusal", mode, err)
			}
		})
	}
	if ended := m.world(); !slices.Equal(began, ended) {
		t.Errorf("the machine was\n%s\nand is\n%s", strings.Join(began, "\n"), strings.Join(ended, "\n"))
	}
}

func TestParseService(t *testing.T) {
	for line, want := range map[string]string{
		"IP Virtual Server version 1.2.1 (size=4096)":                       "",
		"Prot LocalAddress:Port Scheduler Flags":                            "",
		"TCP  C0000264:0050 wrr ":                                           "192.0.2.100",
		"UDP  C0000264:0035 rr persistent 360":                              "192.0.2.100",
		"TCP  [2001:0db8:0000:0000:0000:0000:0000:0100]:0050 wrr ":          "2001:db8::100",
		"FWM  00000001 rr ":                                                 "",
		"  -> C000020B:0050      Route   1      0          0         ":      "",
		"  -> [2001:0db8:0000:0000:0000:0000:0000:0011]:0050      Route  1": "",
	} {
		got, ok := parseService(line)
		if ok != (want != "") || ok && got.String() != want {
			t.Errorf("%q: %v, %t, want %s", line, got, ok, want)
		}
	}
}
