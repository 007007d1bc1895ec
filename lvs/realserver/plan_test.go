// SPDX-License-Identifier: Apache-2.0

package realserver

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

const (
	vip4 = "192.0.2.100"
	vip6 = "2001:db8::100"
)

func vips(list ...string) (all []netip.Addr) {
	for _, s := range list {
		all = append(all, netip.MustParseAddr(s))
	}
	return all
}

func at(iface, prefix string) Address {
	return Address{Interface: iface, Prefix: netip.MustParsePrefix(prefix)}
}

// machine returns the State of a machine that has just started, with lo, and with eth0 at 192.0.2.11.
func machine(change ...func(*State)) State {
	s := State{
		Sysctls: map[string]string{
			"net/ipv4/conf/all/arp_ignore": "0\n", "net/ipv4/conf/all/arp_announce": "0\n",
			"net/ipv4/conf/eth0/arp_ignore": "0\n", "net/ipv4/conf/eth0/arp_announce": "0\n",
			"net/ipv4/conf/all/rp_filter": "1\n", "net/ipv4/conf/tunl0/rp_filter": "1\n",
			"net/ipv4/conf/all/promote_secondaries": "0\n",
		},
		Links: []Link{
			{Name: "lo", Up: true, Addrs: []Address{at("lo", "127.0.0.1/8")}},
			{Name: "eth0", Up: true, Ethernet: true, Addrs: []Address{at("eth0", "192.0.2.11/24")}},
		},
	}
	for _, f := range change {
		f(&s)
	}
	return s
}

func set(path, value string) func(*State) {
	return func(s *State) { s.Sysctls["net/ipv4/conf/"+path] = value + "\n" }
}

func with(a Address) func(*State) {
	return func(s *State) {
		i := slices.IndexFunc(s.Links, func(l Link) bool { return l.Name == a.Interface })
		s.Links[i].Addrs = append(s.Links[i].Addrs, a)
		s.Local = append(s.Local, Route{a.Interface, a.Prefix.Addr()})
	}
}

func link(l Link) func(*State) { return func(s *State) { s.Links = append(s.Links, l) } }

func silenced(s *State) {
	for _, name := range []string{"all", "eth0"} {
		set(name+"/arp_ignore", "1")(s)
		set(name+"/arp_announce", "2")(s)
	}
}

func commands(steps []Step) (all []string) {
	for _, s := range steps {
		all = append(all, s.String())
	}
	return all
}

func TestPlan(t *testing.T) {
	silence := []string{
		"sysctl -w net.ipv4.conf.all.arp_ignore=1", "sysctl -w net.ipv4.conf.all.arp_announce=2",
		"sysctl -w net.ipv4.conf.eth0.arp_ignore=1", "sysctl -w net.ipv4.conf.eth0.arp_announce=2",
	}
	dr := Config{VIPs: vips(vip4), Mode: DirectRouting, Method: Sysctl}
	filter := Config{VIPs: vips(vip4), Mode: DirectRouting, Method: ARPFilter}
	tunnel := Config{VIPs: vips(vip4), Mode: Tunnel, Method: Sysctl}
	former := Record{Sysctls: map[string]string{
		"net/ipv4/conf/all/arp_ignore": "0\n", "net/ipv4/conf/eth0/arp_ignore": "0\n",
		"net/ipv4/conf/all/arp_announce": "0\n", "net/ipv4/conf/eth0/arp_announce": "1\n",
	}, Added: []Address{at("lo", vip4+"/32")}}
	for _, tt := range []struct {
		name   string
		config Config
		state  State
		record Record
		want   []string
	}{
		{"silence before the VIP", dr, machine(), Record{}, append(silence[:4:4], "ip address add 192.0.2.100/32 dev lo")},
		{"nothing twice", dr, machine(silenced, with(at("lo", vip4+"/32"))), former, nil},
		{"stricter settings stay", dr, machine(silenced, set("all/arp_ignore", "8"), set("eth0/arp_ignore", "2"), with(at("lo", vip4+"/32"))), Record{}, nil},
		{"arp_ignore 3 answers for addresses of lo", dr, machine(silenced, set("eth0/arp_ignore", "3"), with(at("lo", vip4+"/32"))), Record{}, silence[2:3]},
		{"for all is enough", dr, machine(silenced, set("eth0/arp_ignore", "0"), set("eth0/arp_announce", "1"), with(at("lo", vip4+"/32"))), Record{}, nil},
		{"IPv6 needs no silence", Config{VIPs: vips(vip6), Mode: DirectRouting, Method: Sysctl}, machine(), Record{},
			[]string{"ip address add 2001:db8::100/128 dev lo"}},
		{"the host route is missing", dr, machine(silenced, with(at("lo", vip4+"/32")), func(s *State) { s.Local = nil }), Record{},
			[]string{"ip route add local 192.0.2.100 dev lo table local"}},
		{"on the wrong interface", dr, machine(silenced, with(at("eth0", vip4+"/24"))), Record{},
			[]string{"ip address add 192.0.2.100/32 dev lo", "ip address del 192.0.2.100/24 dev eth0"}},
		{"a network on lo", dr, machine(silenced, with(at("lo", vip4+"/24"))), Record{},
			[]string{"ip address add 192.0.2.100/32 dev lo", "ip address del 192.0.2.100/24 dev lo"}},
		{"an interface without IPv4 is left alone", dr, machine(link(Link{Name: "eth1", Ethernet: true})), Record{},
			append(silence[:4:4], "ip address add 192.0.2.100/32 dev lo")},
		{"tunnel without its module", tunnel, machine(silenced), Record{}, []string{"modprobe ipip",
			"sysctl -w net.ipv4.conf.tunl0.rp_filter=2", "ip link set tunl0 up", "ip address add 192.0.2.100/32 dev tunl0"}},
		{"tunnel, no path filter", tunnel, machine(silenced, link(Link{Name: "tunl0", Up: true}), set("all/rp_filter", "0"), set("tunl0/rp_filter", "0")), Record{},
			[]string{"ip address add 192.0.2.100/32 dev tunl0"}},
		{"tunnel, IPv6", Config{VIPs: vips(vip6), Mode: Tunnel, Method: Sysctl}, machine(link(Link{Name: "ip6tnl0"})), Record{},
			[]string{"ip link set ip6tnl0 up", "ip address add 2001:db8::100/128 dev ip6tnl0"}},
		{"ARP filter", filter, machine(), Record{}, []string{
			"nft 'table arp tandem-realserver { chain in { type filter hook input priority 0; arp operation request arp daddr ip 192.0.2.100 drop; } " +
				"chain out { type filter hook output priority 0; oifname \"eth0\" arp saddr ip 192.0.2.100 arp saddr ip set 192.0.2.11; } }'",
			"ip address add 192.0.2.100/32 dev lo"}},
		{"from sysctls to the filter", filter, machine(silenced, with(at("lo", vip4+"/32")), func(s *State) {
			s.Filter = []Rule{{VIP: vips(vip4)[0]}, {vips(vip4)[0], "eth0", vips("192.0.2.11")[0]}}
		}), former, []string{"sysctl -w net.ipv4.conf.eth0.arp_ignore=0", "sysctl -w net.ipv4.conf.eth0.arp_announce=1",
			"sysctl -w net.ipv4.conf.all.arp_ignore=0", "sysctl -w net.ipv4.conf.all.arp_announce=0"}},
		{"one VIP fewer", Config{VIPs: vips("192.0.2.101"), Mode: DirectRouting, Method: Sysctl},
			machine(silenced, with(at("lo", vip4+"/32")), with(at("lo", "192.0.2.101/32"))), former,
			[]string{"ip address del 192.0.2.100/32 dev lo"}},
		{"remove: the VIP before the silence", Config{}, machine(silenced, with(at("lo", vip4+"/32"))), former,
			[]string{"ip address del 192.0.2.100/32 dev lo",
				"sysctl -w net.ipv4.conf.eth0.arp_ignore=0", "sysctl -w net.ipv4.conf.eth0.arp_announce=1",
				"sysctl -w net.ipv4.conf.all.arp_ignore=0", "sysctl -w net.ipv4.conf.all.arp_announce=0"}},
		{"remove: what others set up stays", Config{}, machine(silenced, with(at("lo", vip4+"/32"))), Record{}, nil},
		{"remove: what was displaced comes back", Config{}, machine(), Record{Former: []Address{at("eth0", vip4+"/24")}},
			[]string{"ip address add 192.0.2.100/24 dev eth0"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, err := MakePlan(tt.config, tt.state, tt.record)
			if err != nil {
				t.Fatal(err)
			}
			if got := commands(p.Steps); !slices.Equal(got, tt.want) {
				t.Errorf("steps\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
			}
			if len(tt.config.VIPs) == 0 && !p.after.empty() {
				t.Errorf("after the removal the record still has %+v", p.after)
			}
			for _, s := range p.Steps {
				_, known := p.before.Sysctls[s.Name]
				if _, there := tt.state.Sysctls[s.Name]; s.Action == SetSysctl && there && !known {
					t.Errorf("%s: its former value is not recorded", s)
				}
			}
		})
	}
}

func TestPlanRefuses(t *testing.T) {
	dr := Config{VIPs: vips(vip4), Mode: DirectRouting, Method: Sysctl}
	from := func(o Operator) func(*State) { return func(s *State) { s.Operator = o } }
	me, client, gateway := netip.MustParseAddr("192.0.2.11"), netip.MustParseAddr("198.51.100.7"), netip.MustParseAddr("192.0.2.254")
	vip := vips(vip4)[0]
	second := at("eth0", "192.0.2.12/24")
	second.Secondary = true
	secondary := at("eth0", vip4+"/24")
	secondary.Secondary = true
	only := func(s *State) { s.Links[1].Addrs = nil }
	for _, tt := range []struct {
		name   string
		config Config
		state  State
		record Record
		want   string // in the reason; empty: not refused
	}{
		{"a session elsewhere", dr, machine(from(Operator{client, me, gateway})), Record{}, ""},
		{"the operator's own address", dr, machine(from(Operator{vip, me, netip.Addr{}})), Record{}, "you come from"},
		{"the gateway", dr, machine(from(Operator{client, me, vip})), Record{}, "gateway"},
		{"reached by the VIP on eth0", dr, machine(with(secondary), from(Operator{client, vip, gateway})), Record{}, "reached this machine"},
		{"reached by the VIP on lo, which stays", dr, machine(with(at("lo", vip4+"/32")), from(Operator{client, vip, gateway})), Record{}, ""},
		{"reached by the VIP that goes", Config{}, machine(with(at("lo", vip4+"/32")), from(Operator{client, vip, gateway})),
			Record{Added: []Address{at("lo", vip4+"/32")}}, "reached this machine"},
		{"the VIP's network is the way back", dr, machine(only, with(at("eth0", vip4+"/24")), from(Operator{client, me, gateway})), Record{}, "leads back to you"},
		{"the VIP's network is the way back, and another's too", dr, machine(with(secondary), from(Operator{client, me, gateway})), Record{}, ""},
		{"others would go with it", dr, machine(only, with(at("eth0", vip4+"/24")), with(second)), Record{}, "192.0.2.12/24"},
		{"others would be promoted", dr, machine(only, with(at("eth0", vip4+"/24")), with(second), set("all/promote_secondaries", "1")), Record{}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := MakePlan(tt.config, tt.state, tt.record)
			var no *Refusal
			switch {
			case tt.want == "" && err != nil:
				t.Errorf("refused: %v", err)
			case tt.want != "" && (!errors.As(err, &no) || !strings.Contains(no.Reason, tt.want)):
				t.Errorf("error %v, want a refusal with %q", err, tt.want)
			}
		})
	}
}

// TestModules: only a module that was loaded for us is taken back, and only if nobody else uses it.
func TestModules(t *testing.T) {
	tunnel := Config{VIPs: vips(vip4), Mode: Tunnel, Method: Sysctl}
	loaded := func(s *State) { s.Loaded = []string{"ipip"} }
	unused := func(s *State) { s.Unused = []string{"ipip"} }
	ours := Record{Modules: []string{"ipip"}}
	for _, tt := range []struct {
		name   string
		config Config
		state  State
		record Record
		does   string // "" for none of either
		keeps  bool   // in the record
	}{
		{"nobody has it", tunnel, machine(), Record{}, "modprobe ipip", true},
		{"it is there without its interface", tunnel, machine(loaded), Record{}, "modprobe ipip", false},
		{"an attempt to load it failed", tunnel, machine(), ours, "modprobe ipip", true},
		{"it is there and wanted", tunnel, machine(loaded, unused, link(Link{Name: "tunl0"})), ours, "", true},
		{"wanted no more", Config{}, machine(loaded, unused, link(Link{Name: "tunl0"})), ours, "modprobe --remove ipip", false},
		{"wanted no more, and used by others", Config{}, machine(loaded, link(Link{Name: "tunl0"})), ours, "", false},
		{"wanted no more, and not ours", Config{}, machine(loaded, link(Link{Name: "tunl0"})), Record{}, "", false},
		{"direct routing instead", Config{VIPs: vips(vip4), Mode: DirectRouting, Method: Sysctl}, machine(silenced, loaded, unused, link(Link{Name: "tunl0"})),
			ours, "modprobe --remove ipip", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, err := MakePlan(tt.config, tt.state, tt.record)
			if err != nil {
				t.Fatal(err)
			}
			got := slices.DeleteFunc(commands(p.Steps), func(s string) bool { return !strings.HasPrefix(s, "modprobe") })
			if strings.Join(got, "; ") != tt.does {
				t.Errorf("it does %q, want %q", got, tt.does)
			}
			if keeps := slices.Contains(p.after.Modules, "ipip"); keeps != tt.keeps {
				t.Errorf("the record after it is %+v", p.after)
			}
		})
	}
	if got := ours.since("another", machine()); len(got.Modules) > 0 {
		t.Errorf("after a new start: %+v", got)
	}
}

func TestARecordOutlivesTheKernelOnlyWhereItsFileSetsTheSame(t *testing.T) {
	r := Record{Boot: "one", Sysctls: map[string]string{"net/ipv4/conf/all/arp_ignore": "0\n", "net/ipv4/conf/eth0/arp_ignore": "0\n"},
		Added: []Address{at("lo", vip4+"/32")}}
	s := machine(set("all/arp_ignore", "1"))
	if got := r.since("one", s); len(got.Sysctls) != 2 || len(got.Added) != 1 {
		t.Errorf("in the same life: %+v", got)
	}
	if got := r.since("two", s); len(got.Sysctls) != 0 || len(got.Added) != 0 || got.Boot != "two" {
		t.Errorf("after a start without the file: %+v", got)
	}
	r.DropIn = "/etc/sysctl.d/x.conf"
	if got := r.since("two", s); len(got.Sysctls) != 1 || got.Sysctls["net/ipv4/conf/all/arp_ignore"] != "0\n" {
		t.Errorf("after a start with the file: %+v", got)
	}
}

func TestValidate(t *testing.T) {
	good := Config{VIPs: vips(vip4, vip6), Mode: DirectRouting, Method: Sysctl}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	for name, spoil := range map[string]func(*Config){
		"no VIP":    func(c *Config) { c.VIPs = nil },
		"twice":     func(c *Config) { c.VIPs = vips(vip4, vip4) },
		"multicast": func(c *Config) { c.VIPs = vips("224.0.0.1") },
		"loopback":  func(c *Config) { c.VIPs = vips("127.0.0.1") },
		"zone":      func(c *Config) { c.VIPs = vips("fe80::1%eth0") },
		"mode":      func(c *Config) { c.Mode = 0 },
		"method":    func(c *Config) { c.Method = 9 },
	} {
		c := good
		spoil(&c)
		if c.Validate() == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
