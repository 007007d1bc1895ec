// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/vrrp"
)

func TestWarnings(t *testing.T) {
	v2 := func(c *vrrp.Config) { c.Version = 2 }
	for _, tt := range []struct {
		name   string
		config func(*vrrp.Config)
		change func(*vrrp.Packet)
		drop   vrrp.Drop
		want   string
	}{
		{"nothing amiss", nil, func(*vrrp.Packet) {}, 0, ""},
		{"nothing amiss in version 2", v2, func(*vrrp.Packet) {}, 0, ""},
		{
			"version 2 to version 3", nil, func(p *vrrp.Packet) { p.Version = 2 }, vrrp.DropWrongVersion,
			"192.0.2.1 sends VRRP version 2 for VRID 51, we send version 3, so each ignores the other: set the same version on both",
		},
		{
			"version 3 to version 2", v2, func(p *vrrp.Packet) { p.Version = 3 }, vrrp.DropWrongVersion,
			"192.0.2.1 sends VRRP version 3 for VRID 51, we send version 2, so each ignores the other: set the same version on both",
		},
		{
			"interval of version 2", v2, func(p *vrrp.Packet) { p.Interval = 2 * time.Second }, vrrp.DropWrongInterval,
			"192.0.2.1 advertises VRID 51 every 2s, we every 1s, so each ignores the other in version 2: set the same advert_interval on both",
		},
		{
			"interval of version 3", nil, func(p *vrrp.Packet) { p.Interval = 2 * time.Second }, 0,
			"192.0.2.1 advertises VRID 51 every 2s, we every 1s, so the time of a failover depends on which is master: " +
				"set the same advert_interval on both",
		},
		{
			"only they have a password", v2, func(p *vrrp.Packet) { p.Auth = vrrp.Auth{Type: vrrp.AuthText, Data: [8]byte([]byte("secret\x00\x00"))} }, vrrp.DropWrongAuthType,
			"192.0.2.1 sends a simple text password for VRID 51, we send no authentication, so each ignores the other: " +
				"set the same password on both, or none",
		},
		{
			"authentication header", v2, func(p *vrrp.Packet) { p.Auth = vrrp.Auth{Type: vrrp.AuthAH} }, vrrp.DropAuthHeader,
			"192.0.2.1 sends an IP authentication header for VRID 51, we send no authentication, so each ignores the other: " +
				"set the same password on both, or none",
		},
		{
			"another password", func(c *vrrp.Config) { c.Version, c.Password = 2, "secret" }, func(p *vrrp.Packet) {
				p.Auth = vrrp.Auth{Type: vrrp.AuthText, Data: [8]byte([]byte("other\x00\x00\x00"))}
			}, vrrp.DropWrongPassword,
			"192.0.2.1 sends another password than ours for VRID 51, so each ignores the other: set the same password on both",
		},
		{
			"a VIP less", func(c *vrrp.Config) { c.VIPs = prefixes("192.0.2.100/24", "192.0.2.101/24") }, func(p *vrrp.Packet) { p.VIPs = p.VIPs[:1] }, 0,
			"192.0.2.1 advertises other VIPs for VRID 51: it lacks 192.0.2.101; set the same vips on both",
		},
		{
			"another VIP in common and others", func(c *vrrp.Config) { c.VIPs = prefixes("192.0.2.100/24", "192.0.2.101/24") }, func(p *vrrp.Packet) {
				p.VIPs[0] = netip.AddrFrom4([4]byte{10, 0, 0, 1})
				for i := range 5 {
					p.VIPs = append(p.VIPs, netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}))
				}
			}, 0,
			"192.0.2.1 advertises other VIPs for VRID 51: it lacks 192.0.2.100 and it has 10.0.0.1, 10.0.0.0, 10.0.0.2 and 2 more besides; " +
				"set the same vips on both",
		},
		{
			"none of our VIPs", nil, func(p *vrrp.Packet) { p.VIPs = []netip.Addr{netip.AddrFrom4([4]byte{10, 0, 0, 1})} }, vrrp.DropForeignVIPs,
			"192.0.2.1 sends VRID 51 with none of our VIPs, so each ignores the other: if it belongs to another pair, give one of the " +
				"pairs another vrid; if it is our peer, set the same vips on both",
		},
		{
			"VIPs in another order", func(c *vrrp.Config) { c.VIPs = prefixes("192.0.2.100/24", "192.0.2.101/24") },
			func(p *vrrp.Packet) { slices.Reverse(p.VIPs) }, 0, "",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newStage(t, tt.config)
			p := s.packet()
			tt.change(&p)
			s.hear(p, addrA, 255)
			var want []string
			if tt.want != "" {
				want = []string{tt.want}
			}
			s.wantWarnings(want...)
			c := s.l.Status()[0].Counters
			if tt.drop == 0 && c.AdvertsReceived != 1 || tt.drop != 0 && c.Drops[tt.drop] != 1 {
				t.Errorf("%+v, want %s", c, tt.drop)
			}
			told := len(s.told)
			for range 50 {
				s.pass(time.Second)
				s.hear(p, addrA, 255)
			}
			if s.wantWarnings(want...); len(s.told) != told {
				t.Errorf("told %d times more", len(s.told)-told)
			}
			s.pass(vrrp.WarningLasts - 1)
			s.wantWarnings(want...)
			s.pass(1)
			s.wantWarnings()
			if !s.l.diagnosisDue.IsZero() {
				t.Errorf("still waits for %s", s.l.diagnosisDue)
			}
		})
	}
}

func TestWarningEndsWhenItsCauseIsMended(t *testing.T) {
	two := func(c *vrrp.Config) { c.VIPs = prefixes("192.0.2.100/24", "192.0.2.101/24") }
	s := newStage(t, two)
	good := s.packet()
	bad := s.packet()
	bad.VIPs = bad.VIPs[:1]
	old := good
	old.Version = 2
	s.hear(bad, addrA, 255)
	s.hear(old, addrC, 255)
	if n := len(s.l.Status()[0].Warnings); n != 2 {
		t.Fatalf("%d warnings", n)
	}
	s.hear(good, addrA, 255)
	s.wantWarnings("192.0.2.3 sends VRRP version 2 for VRID 51, we send version 3, so each ignores the other: set the same version on both")
	s.hear(good, addrC, 255)
	s.wantWarnings()

	s.pass(vrrp.WarningPause)
	s.hear(bad, addrA, 255)
	if n := len(s.l.Status()[0].Warnings); n != 1 {
		t.Fatalf("%d warnings", n)
	}
	mended := s.r.Config
	mended.VIPs = mended.VIPs[:1]
	s.l.change(s.r, s.now, &mended)
	s.wantWarnings()
	s.pass(vrrp.WarningPause)
	s.hear(bad, addrA, 255)
	s.wantWarnings()
}

func TestOwnAddressWarning(t *testing.T) {
	for _, c := range []struct {
		own    netip.Addr
		config func(*vrrp.Config)
	}{
		{addrB, nil},
		{linkLocalB, func(c *vrrp.Config) { c.VIPs = prefixes("fe80::100/64") }},
	} {
		s := newStage(t, c.config)
		s.hear(s.packet(), c.own, 255)
		s.wantWarnings(fmt.Sprintf("advertisements of priority 90 (ours is 100) arrive from our own address %s: give each machine an address "+
			"of its own; if no other machine has this one, the network sends our frames back", c.own))
	}
}

func TestTwoMastersWarning(t *testing.T) {
	const want = "192.0.2.1 is master of VRID 51 as well, at priority 90 (ours is 100): it does not receive, or does not accept, our advertisements; " +
		"let protocol 112 to the VRRP group pass, and set the same version, password, hmac keys and unicast_peers on both"
	s := newStage(t, nil)
	p := s.packet()
	s.hear(p, addrA, 255)
	s.wantWarnings()
	s.lead()
	// Two masters decide by one exchange who stays.
	s.hear(p, addrA, 255)
	s.pass(time.Second)
	s.hear(p, addrA, 255)
	s.wantWarnings()
	s.pass(time.Second)
	s.hear(p, addrA, 255)
	s.wantWarnings(want)
	if s.l.log.close(); true {
		s.l.log.run()
	}
	if !strings.Contains(s.log.String(), "two masters") {
		t.Errorf("not logged: %s", &s.log)
	}

	// An exchange once in a while is not a fault.
	s = newStage(t, nil)
	s.lead()
	for range 10 {
		s.pass(10 * time.Second)
		s.hear(p, addrA, 255)
	}
	s.wantWarnings()
	// Nor is a master that leaves.
	p.Priority = vrrp.PriorityLeaving
	for range 10 {
		s.pass(time.Second)
		s.hear(p, addrA, 255)
	}
	s.wantWarnings()

	// Nor is a master that is heard before and after another was master.
	s = newStage(t, nil)
	s.lead()
	p.Priority = 90
	s.hear(p, addrA, 255)
	for _, priority := range []uint8{200, vrrp.PriorityLeaving} {
		s.pass(time.Second / 2)
		p.Priority = priority
		s.hear(p, addrC, 255)
	}
	s.lead()
	s.pass(time.Second)
	p.Priority = 90
	s.hear(p, addrA, 255)
	s.wantWarnings()

	// An owner ignores all advertisements, but notices a second master.
	s = newStage(t, func(c *vrrp.Config) { c.Priority = 255 })
	p.Priority = 255
	for range 3 {
		s.hear(p, addrA, 255)
		s.pass(time.Second)
	}
	s.wantWarnings(strings.NewReplacer("90", "255", "ours is 100", "ours is 255").Replace(want))
}

// TestForgedWarningsAreBounded: forged packets seldom change the warnings, and seldom cause a notification.
func TestForgedWarningsAreBounded(t *testing.T) {
	s := newStage(t, func(c *vrrp.Config) { c.Version = 2 })
	p := s.packet()
	told := len(s.told)
	for i := range 10_000 {
		s.pass(100 * time.Microsecond)
		p.Interval = time.Duration(2+i%200) * time.Second
		s.hear(p, addrC, 255)
		s.hear(p, netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 255)
		p.Interval, p.VIPs = time.Second, []netip.Addr{netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})}
		s.hear(p, addrA, 255)
	}
	if n := len(s.r.Warnings()); n != vrrp.MaxWarnings {
		t.Errorf("%d warnings", n)
	}
	if n := len(s.told) - told; n > 2*vrrp.MaxWarnings {
		t.Errorf("told %d times in a second", n)
	}
	var lists [][]byte
	for i := range 200 {
		p.VIPs[0] = netip.AddrFrom4([4]byte{10, 1, 0, byte(i)})
		lists = append(lists, p.AppendTo(nil, addrA, vrrp.Group4))
	}
	next := 0
	if n := testing.AllocsPerRun(100, func() {
		s.l.accept(s.now, vrrp.Header{Source: addrA, Destination: vrrp.Group4, TTL: 255}, lists[next], 0)
		next++
	}); n != 0 {
		t.Errorf("%v allocations for each of many lists", n)
	}
	s.pass(600 * time.Second)
	s.pass(600 * time.Second)
	s.wantWarnings()
}

func TestUnicastRefuses(t *testing.T) {
	unicast := func(c *vrrp.Config) { c.UnicastPeers, c.UnicastTTLMin = []netip.Addr{addrA, addrC}, 250 }
	stranger := netip.MustParseAddr("192.0.2.9")
	for _, tt := range []struct {
		name     string
		config   func(*vrrp.Config)
		src, dst netip.Addr
		ttl      uint8
		drop     vrrp.Drop
		want     string
	}{
		{"from a peer", unicast, addrA, addrB, 255, 0, ""},
		{"from another, through routers", unicast, addrC, addrB, 250, 0, ""},
		{
			"through too many", unicast, addrC, addrB, 249, vrrp.DropLowTTL,
			"advertisements of 192.0.2.3 for VRID 51 arrive with TTL 249, below our unicast_ttl_min of 250: lower unicast_ttl_min, or send with a higher TTL",
		},
		{
			"from a stranger", unicast, stranger, addrB, 255, vrrp.DropUnknownPeer,
			"192.0.2.9 sends VRID 51 to us and is not among our unicast_peers (192.0.2.1, 192.0.2.3): add it there, or stop it",
		},
		{
			"to the group", unicast, addrA, vrrp.Group4, 255, vrrp.DropWrongDestination,
			"192.0.2.1 sends VRID 51 to 224.0.0.18, we send to 192.0.2.1, 192.0.2.3: set unicast_peers on both or on neither",
		},
		{
			"to us, who listen to the group", nil, addrA, addrB, 255, vrrp.DropWrongDestination,
			"192.0.2.1 sends VRID 51 to 192.0.2.2, we send to 224.0.0.18: set unicast_peers on both or on neither",
		},
		{"to another group", nil, addrA, netip.MustParseAddr("224.0.0.19"), 255, vrrp.DropWrongDestination,
			"192.0.2.1 sends VRID 51 to 224.0.0.19, we send to 224.0.0.18: set unicast_peers on both or on neither"},
		{"to the group, through a router", nil, addrA, vrrp.Group4, 254, vrrp.DropWrongTTL, ""},
	} {
		s := newStage(t, tt.config)
		p := s.packet()
		s.l.accept(s.now, vrrp.Header{Source: tt.src, Destination: tt.dst, TTL: tt.ttl}, p.AppendTo(nil, tt.src, tt.dst), 0)
		c := s.l.Status()[0].Counters
		if tt.drop == 0 && c.AdvertsReceived != 1 || tt.drop != 0 && c.Drops[tt.drop] != 1 {
			t.Errorf("%s: %+v, want %s", tt.name, c, tt.drop)
		}
		if tt.want == "" {
			s.wantWarnings()
		} else {
			s.wantWarnings(tt.want)
		}
	}
}

// TestUnsoundPacketsWarnOfNothing: garbage causes no warning.
func TestUnsoundPacketsWarnOfNothing(t *testing.T) {
	s := newStage(t, nil)
	p := s.packet()
	for version := range uint8(16) {
		b := p.AppendTo(nil, addrA, vrrp.Group4)
		b[0] = version<<4 | vrrp.TypeAdvertisement
		b[6] ^= 0x55
		s.l.accept(s.now, vrrp.Header{Source: addrA, Destination: vrrp.Group4, TTL: 255}, b, 0)
		s.l.accept(s.now, vrrp.Header{Source: addrB, Destination: vrrp.Group4, TTL: 255}, b, 0)
	}
	s.wantWarnings()
}
