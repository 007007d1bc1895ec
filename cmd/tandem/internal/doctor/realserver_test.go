// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/diagnosis"
	"github.com/tandem-lvs/tandem/garp"
	"github.com/tandem-lvs/tandem/lvs"
	"github.com/tandem-lvs/tandem/lvs/realserver"
	"github.com/tandem-lvs/tandem/vrrp"
)

func listensAt(s string) Socket { return Socket{lvs.TCP, netip.MustParseAddrPort(s)} }

func TestRealServer(t *testing.T) {
	vip := netip.MustParseAddr("192.0.2.100")
	c := realserver.Config{VIPs: []netip.Addr{vip}, Mode: realserver.DirectRouting, Method: realserver.Sysctl}
	cfg := parsed(t, pairText("dr", ""))
	at := func(iface, prefix string) realserver.Address {
		return realserver.Address{Interface: iface, Prefix: netip.MustParsePrefix(prefix)}
	}
	step := func(a realserver.Action, change func(*realserver.Step)) func(*Snapshot) {
		return func(s *Snapshot) {
			one := realserver.Step{Action: a}
			change(&one)
			s.Steps = append(s.Steps, one)
		}
	}
	near := vrrp.Link{Name: "eth0", Addrs: []netip.Prefix{netip.MustParsePrefix("192.0.2.11/24")}}
	for _, tt := range []struct {
		name    string
		change  func(*Snapshot)
		want    []string
		says    string
		fixable bool
	}{
		{"all is well", func(*Snapshot) {}, nil, "", false},
		{"it answers", step(realserver.SetSysctl, func(s *realserver.Step) { s.Name, s.Value = "net/ipv4/conf/all/arp_ignore", "1\n" }),
			[]string{"not-silent"}, "net.ipv4.conf.all.arp_ignore=1", true},
		{"the filter is missing", step(realserver.InstallFilter, func(*realserver.Step) {}), []string{"not-silent"}, "nft", true},
		{"it may be that rules of others hide the VIP, and the kernel is too old to say so", func(s *Snapshot) {
			step(realserver.SetSysctl, func(s *realserver.Step) { s.Name, s.Value = "net/ipv4/conf/all/arp_ignore", "1\n" })(s)
			s.Unclear = "this kernel cannot ask itself"
		}, []string{"not-silent"}, "warning not-silent: these commands were not run: sysctl -w net.ipv4.conf.all.arp_ignore=1; unless rules of another program", true},
		{"and the VIP is missing anyway", func(s *Snapshot) {
			step(realserver.AddAddress, func(s *realserver.Step) { s.Address = at("lo", "192.0.2.100/32") })(s)
			s.Unclear = "this kernel cannot ask itself"
		}, []string{"vip-missing"}, "192.0.2.100/32", true},
		{"the VIP is missing", step(realserver.AddAddress, func(s *realserver.Step) { s.Address = at("lo", "192.0.2.100/32") }),
			[]string{"vip-missing"}, "192.0.2.100/32", true},
		{"the VIP on the network's interface", step(realserver.DeleteAddress, func(s *realserver.Step) { s.Address = at("eth0", "192.0.2.100/24") }),
			[]string{"vip-misplaced"}, "eth0", true},
		{"the tunnel's interface is down", step(realserver.LinkUp, func(s *realserver.Step) { s.Name = "tunl0" }), []string{"no-tunnel"}, "tunl0", true},
		{"the default route of NAT is missing", step(realserver.SetRoute, func(s *realserver.Step) {
			s.Path = realserver.Path{To: netip.MustParsePrefix("0.0.0.0/0"), Gateway: vip, Interface: "eth1", Table: 254}
		}), []string{"no-route"}, "ip route replace default via 192.0.2.100 dev eth1", true},
		{"the command of this machine", func(s *Snapshot) {
			step(realserver.LinkUp, func(s *realserver.Step) { s.Name = "tunl0" })(s)
			s.Apply = "tandem realserver apply --vip 192.0.2.100 --mode tunnel"
		}, []string{"no-tunnel"}, "fix: tandem realserver apply --vip 192.0.2.100 --mode tunnel", true},
		{"a sysctl file that is not written is no fault of today", step(realserver.WriteDropIn, func(*realserver.Step) {}), nil, "", false},
		{"refused", func(s *Snapshot) { s.Refused = "refused: 192.0.2.100 is the gateway" }, []string{"refused"}, "gateway", false},
		{"default route by the director", func(s *Snapshot) { s.Gateways[0].Hardware = "02:00:00:00:00:02" }, []string{"default-route"}, "192.0.2.1", false},
		{"no default route, and the VIP is in its network", func(s *Snapshot) { s.Routeless = true; s.Links["eth0"] = near }, nil, "", false},
		{"and packets had no route", func(s *Snapshot) { s.Routeless, s.Unroutable = true, 7; s.Links["eth0"] = near },
			[]string{"no-default-route"}, "warning no-default-route: this machine has no default route, and 7 packets had no route", false},
		{"no default route, and the VIP is in another network", func(s *Snapshot) { s.Routeless = true }, []string{"no-default-route"}, "error", false},
		{"nothing listens", func(s *Snapshot) { s.Listening = nil }, []string{"not-listening"}, "192.0.2.100:80", false},
		{"listens on its own address only", func(s *Snapshot) { s.Listening = []Socket{listensAt("192.0.2.11:80")} },
			[]string{"not-listening"}, "no program listens on 192.0.2.100:80/tcp, but on 192.0.2.11:80 only", false},
		{"listens on the VIP", func(s *Snapshot) { s.Listening = []Socket{listensAt("192.0.2.100:80")} }, nil, "", false},
		{"listens for datagrams", func(s *Snapshot) { s.Listening[0].Protocol = lvs.UDP }, []string{"not-listening"}, "192.0.2.100:80/tcp", false},
		{"listens on all of IPv6, and so on all", func(s *Snapshot) { s.Listening = []Socket{listensAt("[::]:80")} }, nil, "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := Snapshot{
				Owners:    map[string][]garp.Owner{"eth0": {{Address: vip, Hardware: "02:00:00:00:00:02"}}},
				Gateways:  []Gateway{{netip.MustParseAddr("192.0.2.1"), "02:00:00:00:00:01"}},
				Listening: []Socket{listensAt("0.0.0.0:80")}, Links: map[string]vrrp.Link{},
			}
			tt.change(&s)
			got := RealServer(c, cfg.Services, s)
			if !slices.Equal(ids(got), tt.want) {
				t.Errorf("findings %v, want %v", ids(got), tt.want)
			}
			for _, f := range got {
				severity := diagnosis.Error
				if strings.HasPrefix(tt.says, "warning") {
					severity = diagnosis.Warning
				}
				if !strings.Contains(f.String(), tt.says) || f.Fixable() != tt.fixable || f.Severity != severity {
					t.Errorf("%q, fixable %t, want %q and %t", f, f.Fixable(), tt.says, tt.fixable)
				}
			}
		})
	}
}
