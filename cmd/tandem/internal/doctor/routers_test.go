// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/garp"
	"github.com/tandem-lvs/tandem/vrrp"
)

// crossover makes the router advertise on a cable between the directors, eth1, while the VIP is on eth0.
func (s *scene) crossover() {
	s.replaced = []string{"interface = \"eth0\"", "interface = \"eth1\"", `["192.0.2.100/24"]`, `[{ address = "192.0.2.100/24", interface = "eth0" }]`}
	s.extra = "carrier = \"ignore\""
	s.snapshot.Links["eth1"] = vrrp.Link{Name: "eth1", Index: 3, Up: true, Carrier: true, MTU: 1500, Addrs: []netip.Prefix{netip.MustParsePrefix("10.0.0.2/24")}}
	s.snapshot.Sysctls["net/ipv4/conf/eth1/send_redirects"] = "1"
	s.snapshot.Listened["eth1"] = 3 * time.Second
}

// bare makes it a router without VIPs.
func (s *scene) bare() {
	s.replaced = []string{`vips = ["192.0.2.100/24"]`, ""}
	s.link(func(l *vrrp.Link) { l.Addrs = l.Addrs[:1] })
}

// unplug takes the carrier from an interface.
func (s *scene) unplug(iface string) {
	l := s.snapshot.Links[iface]
	l.Carrier = false
	s.snapshot.Links[iface] = l
}

// TestRoutersWithOtherPlaces: VIPs on another interface than the advertisements, and none.
func TestRoutersWithOtherPlaces(t *testing.T) {
	none := func(p *vrrp.Packet) { p.VIPs = nil }
	for _, tt := range []struct {
		name   string
		change func(*scene)
		want   []string
		says   string // in the first finding
	}{
		{"a master", func(s *scene) { s.crossover() }, nil, ""},
		{"a master without a peer", func(s *scene) { s.crossover(); s.unplug("eth1") }, nil, ""},
		{"the cable is no crossover cable", func(s *scene) { s.crossover(); s.extra = ""; s.unplug("eth1") }, []string{"no-carrier"}, "eth1"},
		{"the cable is not configured", func(s *scene) {
			s.crossover()
			l := s.snapshot.Links["eth1"]
			l.Up = false
			s.snapshot.Links["eth1"] = l
		}, []string{"link-down"}, "eth1"},
		{"the VIP's interface has no carrier", func(s *scene) { s.crossover(); s.unplug("eth0") }, []string{"no-carrier"}, "eth0"},
		{"and is tracked with a weight", func(s *scene) {
			s.crossover()
			s.extra = "track = [{ interface=\"eth0\", weight = -10 }]"
			s.unplug("eth0")
		}, nil, ""},
		{"the VIP is on the wrong interface", func(s *scene) {
			s.crossover()
			s.link(func(l *vrrp.Link) { l.Addrs = l.Addrs[:1] })
			s.address("eth1", "192.0.2.100/24")
		}, []string{"vip-misplaced", "nobody-owns"}, "192.0.2.100/24 is on eth1"},
		{"the file has the wrong interface", func(s *scene) {
			s.crossover()
			s.replaced[3] = `[{ address = "192.0.2.100/24", interface = "eth2" }]`
			s.link(func(l *vrrp.Link) { l.Addrs = l.Addrs[:1] })
			s.snapshot.Links["eth2"] = vrrp.Link{Name: "eth2", Index: 4, Up: true, Carrier: true, MTU: 1500}
		}, []string{"wrong-interface"}, "web: 192.0.2.100 is for eth2, and its network 192.0.2.0/24 is on eth0"},
		{"a silent master", func(s *scene) {
			s.crossover()
			s.backup()
			s.snapshot.Adverts = nil
		}, []string{"multicast-lost"}, "none of its advertisements arrives on eth1"},
		{"the VIP of a backup", func(s *scene) {
			s.crossover()
			s.backup()
			s.snapshot.Adverts = nil
			s.advert("eth1", "10.0.0.3", 51)
		}, nil, ""},

		{"no VIP", (*scene).bare, nil, ""},
		{"no VIP at the backup", func(s *scene) {
			s.bare()
			s.backup()
			s.snapshot.Owners, s.snapshot.Adverts = map[string][]garp.Owner{}, nil
			s.advert("eth0", "192.0.2.3", 51, none)
		}, nil, ""},
		{"no VIP, and the other one has some", func(s *scene) { s.bare(); s.advert("eth0", "192.0.2.3", 51) }, []string{"duplicate-vrid"}, "192.0.2.3"},
		{"two masters without VIPs", func(s *scene) { s.bare(); s.advert("eth0", "192.0.2.3", 51, none) }, []string{"two-masters"}, "192.0.2.3"},
		{"another router without VIPs", func(s *scene) { s.bare(); s.advert("eth0", "192.0.2.3", 52, none) }, nil, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := master()
			tt.change(s)
			c := parsed(t, strings.NewReplacer(s.replaced...).Replace(pairText(s.method, s.extra)))
			got := Director(c, s.snapshot)
			if !slices.Equal(ids(got), tt.want) || len(got) > 0 && !strings.Contains(got[0].What+got[0].Mend, tt.says) {
				t.Errorf("found %v, want %v, with %q\n%+v", ids(got), tt.want, tt.says, got)
			}
		})
	}
}
