// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/vrrp"
	"github.com/tandem-lvs/tandem/vrrp/internal/nstest"
)

// A manner is a way of advertising that two machines share.
type manner struct {
	name     string
	config   func(c *vrrp.Config, own, other int) // of machine own, 0 or 1
	interval time.Duration
	address  func(i int) netip.Addr // source address of machine i; the zero Addr if the test cannot know it
}

func ipv4Of(i int) netip.Addr { return [...]netip.Addr{addrA, addrB}[i] }

func globalOf(i int) netip.Addr {
	return netip.AddrFrom16([16]byte{0x20, 0x01, 0xd, 0xb8, 15: byte(i + 1)})
}

func unknown(int) netip.Addr { return netip.Addr{} }

// signed makes a manner sign its advertisements.
func signed(config func(c *vrrp.Config, own, other int)) func(c *vrrp.Config, own, other int) {
	return func(c *vrrp.Config, own, other int) {
		config(c, own, other)
		c.HMAC = testHMAC(vrrp.HMACEnforce)
	}
}

func plain(*vrrp.Config, int, int) {}

func ofIPv6(n int) func(c *vrrp.Config, _, _ int) {
	return func(c *vrrp.Config, _, _ int) {
		c.VIPs = nil
		for i := range n {
			c.VIPs = append(c.VIPs, netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 0x01, 0xd, 0xb8, 1, 15: byte(i)}), 64))
		}
	}
}

var manners = []manner{
	{"signed", signed(plain), 100 * time.Millisecond, ipv4Of},
	{"signed, version 2", signed(func(c *vrrp.Config, _, _ int) { c.Version = 2 }), time.Second, ipv4Of},
	{"signed, 255 IPv6 addresses, in three frames", signed(ofIPv6(255)), 100 * time.Millisecond, unknown},
	{"signed, unicast, IPv6", signed(func(c *vrrp.Config, own, other int) {
		c.VIPs, c.UnicastPeers, c.UnicastTTLMin = prefixes("2001:db8::100/64"), []netip.Addr{globalOf(other)}, 255
	}), 100 * time.Millisecond, globalOf},
	{"version 2", func(c *vrrp.Config, _, _ int) { c.Version = 2 }, time.Second, ipv4Of},
	{"version 2 with a password", func(c *vrrp.Config, _, _ int) { c.Version, c.Password = 2, "secret" }, time.Second, ipv4Of},
	{"version 3", func(*vrrp.Config, int, int) {}, 100 * time.Millisecond, ipv4Of},
	{"version 3, the other checksum", func(c *vrrp.Config, own, _ int) { c.Checksum = vrrp.Checksum(1 + own) }, 100 * time.Millisecond, ipv4Of},
	{"version 3, IPv6", func(c *vrrp.Config, _, _ int) { c.VIPs = prefixes("fe80::100/64", "2001:db8::100/64") }, 100 * time.Millisecond, unknown},
	{"version 3, 255 IPv6 addresses, in three frames", ofIPv6(255), 100 * time.Millisecond, unknown},
	{"unicast", func(c *vrrp.Config, _, other int) {
		c.UnicastPeers, c.UnicastTTLMin = []netip.Addr{ipv4Of(other), netip.MustParseAddr("192.0.2.77")}, 255
	}, 100 * time.Millisecond, ipv4Of},
	{"unicast, version 2", func(c *vrrp.Config, _, other int) { c.Version, c.UnicastPeers = 2, []netip.Addr{ipv4Of(other)} }, time.Second, ipv4Of},
	{"unicast, IPv6", func(c *vrrp.Config, own, other int) {
		c.VIPs, c.UnicastPeers, c.UnicastTTLMin = prefixes("2001:db8::100/64"), []netip.Addr{globalOf(other)}, 255
	}, 100 * time.Millisecond, globalOf},
	{"unicast, IPv6, chosen source", func(c *vrrp.Config, own, other int) {
		second := func(i int) netip.Addr {
			return netip.AddrFrom16([16]byte{0x20, 0x01, 0xd, 0xb8, 14: 1, 15: byte(i + 1)})
		}
		c.VIPs, c.UnicastPeers, c.Source = prefixes("2001:db8::100/64"), []netip.Addr{second(other)}, second(own)
	}, 100 * time.Millisecond, func(i int) netip.Addr {
		return netip.AddrFrom16([16]byte{0x20, 0x01, 0xd, 0xb8, 14: 1, 15: byte(i + 1)})
	}},
}

// plugBoth makes the two machines of a pair. They advertise as m says. Each has addresses of both families.
func (s *segment) plugBoth(m manner) (a, b *peer) {
	s.t.Helper()
	var both [2]*peer
	for i := range both {
		c := fastConfig(51, [...]uint8{150, 100}[i])
		c.AdvertInterval = m.interval
		m.config(&c, i, 1-i)
		both[i] = s.plug(ipv4Of(i).String())
		for _, add := range []netip.Addr{globalOf(i), netip.AddrFrom16([16]byte{0x20, 0x01, 0xd, 0xb8, 14: 1, 15: byte(i + 1)})} {
			nstest.Command(s.t, both[i].ns, nstest.Device("eth0", func(l netlink.Link) error {
				address, err := netlink.ParseAddr(add.String() + "/64")
				if err != nil {
					return err
				}
				address.Flags = unix.IFA_F_NODAD
				return netlink.AddrAdd(l, address)
			}))
		}
		both[i].loop.Configure([]vrrp.Config{c})
	}
	return both[0], both[1]
}

func TestManners(t *testing.T) {
	t.Parallel()
	for _, m := range manners {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			nstest.Undisturbed(t, func(t testing.TB) {
				s := newBridge(t)
				a, b := s.plugBoth(m)
				first := a.awaitState(51, vrrp.Master)
				if want := m.address(0); want.IsValid() && first.Master != want || !want.IsValid() && !first.Master.IsLinkLocalUnicast() {
					t.Errorf("a speaks from %s, not from %s", first.Master, want)
				}
				b.await(51, "backup of a", func(s vrrp.Status) bool { return s.State == vrrp.Backup && s.Master == first.Master })
				received := b.counters(51).AdvertsReceived
				nstest.Eventually(t, "adverts keep coming", func() bool { return b.counters(51).AdvertsReceived >= received+2 })
				a.loop.Shutdown()
				<-a.over
				took := b.awaitState(51, vrrp.Master)
				if want := fmt.Sprintf("priority 0 heard from %s", first.Master); took.Reason != want {
					t.Errorf("b: %q, want %q", took.Reason, want)
				}
				for _, p := range []*peer{a, b} {
					for _, st := range p.notified(51) {
						if st.Counters.Drops != (vrrp.Drops{}) || st.Warnings != nil || st.Counters.SendErrors != 0 {
							t.Errorf("%s: drops %v, send errors %d, warnings %q", p.port, st.Counters.Drops, st.Counters.SendErrors, st.Warnings)
						}
					}
				}
			})
		})
	}
}

// TestFamiliesShareAVRID: a VRID of IPv4 and the same of IPv6 are two virtual routers.
func TestFamiliesShareAVRID(t *testing.T) {
	t.Parallel()
	four, six := fastConfig(51, 150), fastConfig(51, 150)
	six.Name, six.VIPs = "router 51-ipv6", prefixes("fe80::100/64")
	a := newBridge(t).plug("192.0.2.1", four, six)
	for _, family := range []uint8{4, 6} {
		a.await(51, fmt.Sprintf("master of family %d", family), func(vrrp.Status) bool {
			return slices.ContainsFunc(a.loop.Status(), func(s vrrp.Status) bool { return s.Family == family && s.State == vrrp.Master })
		})
	}
	a.loop.Configure([]vrrp.Config{six})
	nstest.Eventually(t, "IPv6 alone", func() bool { all := a.loop.Status(); return len(all) == 1 && all[0].Family == 6 })
	if all := a.loop.Status(); all[0].State != vrrp.Master || all[0].Counters.BecameMaster != 1 {
		t.Errorf("IPv6 was disturbed: %+v", all[0])
	}
}

func TestSources(t *testing.T) {
	link := vrrp.Link{Name: "eth0", Addrs: prefixes("192.0.2.100/24", "192.0.2.1/24", "192.0.2.9/24", "2001:db8::100/64", "2001:db8::9/64", "2001:db8::1/64", "fe80::100/64", "fe80::9/64", "fe80::1/64")}
	vips := prefixes("192.0.2.100/24", "2001:db8::100/64", "fe80::100/64")
	isVIP := func(a netip.Addr) bool {
		return slices.ContainsFunc(vips, func(p netip.Prefix) bool { return p.Addr() == a })
	}
	peers := func(s string) []netip.Addr { return []netip.Addr{netip.MustParseAddr(s)} }
	for _, tt := range []struct {
		c         vrrp.Config
		src, none string
	}{
		{vrrp.Config{VIPs: vips[:1]}, "192.0.2.1", "IPv4"},
		{vrrp.Config{VIPs: vips[:1], UnicastPeers: peers("192.0.2.2")}, "192.0.2.1", "IPv4"},
		{vrrp.Config{VIPs: vips[:1], UnicastPeers: peers("192.0.2.2"), Source: addrB}, "", ""},
		{vrrp.Config{VIPs: vips[:1], UnicastPeers: peers("192.0.2.2"), Source: netip.MustParseAddr("192.0.2.9")}, "192.0.2.9", ""},
		{vrrp.Config{VIPs: vips[:1], Source: addrB}, "", ""},
		{vrrp.Config{VIPs: vips[:1], Source: netip.MustParseAddr("192.0.2.9")}, "192.0.2.9", ""},
		{vrrp.Config{VIPs: vips[1:], Source: netip.MustParseAddr("fe80::9")}, "fe80::9", ""},
		{vrrp.Config{VIPs: vips[1:]}, "fe80::1", "IPv6 link-local"},
		{vrrp.Config{VIPs: vips[1:], UnicastPeers: peers("fe80::2")}, "fe80::1", "IPv6 link-local"},
		{vrrp.Config{VIPs: vips[1:], UnicastPeers: peers("2001:db8::2")}, "2001:db8::1", "global IPv6"},
	} {
		tt.c.Interface = "eth0"
		src, why := sourcesOf(link, isVIP).of(&tt.c, link, netip.Addr{})
		if tt.src == "" {
			if want := "interface eth0 does not have the source 192.0.2.2"; src.IsValid() || why != want {
				t.Errorf("source %s, %q, want %q", src, why, want)
			}
			continue
		}
		if src.String() != tt.src || why != "" {
			t.Errorf("source %s, %q, want %s", src, why, tt.src)
		}
		if tt.c.Source.IsValid() {
			continue
		}
		if src, why := sourcesOf(vrrp.Link{}, isVIP).of(&tt.c, vrrp.Link{}, netip.Addr{}); src.IsValid() || why != "interface eth0 has no "+tt.none+" address besides the VIPs" {
			t.Errorf("without addresses: %s, %q", src, why)
		}
	}
}

// TestSourceStays: the present source address stays while the interface has it, whatever is added. A VIP, or an address of
// another kind, does not.
func TestSourceStays(t *testing.T) {
	link := vrrp.Link{Name: "eth0", Addrs: prefixes("192.0.2.7/24", "192.0.2.1/24", "192.0.2.100/24", "2001:db8::7/64", "fe80::7/64", "fe80::1/64")}
	isVIP := func(a netip.Addr) bool { return a == netip.MustParseAddr("192.0.2.100") }
	four, six := vrrp.Config{VIPs: prefixes("192.0.2.100/24")}, vrrp.Config{VIPs: prefixes("fe80::100/64")}
	for _, tt := range []struct {
		c             vrrp.Config
		present, want string
	}{
		{four, "192.0.2.1", "192.0.2.1"},
		{four, "192.0.2.2", "192.0.2.7"},
		{four, "192.0.2.100", "192.0.2.7"},
		{six, "fe80::7", "fe80::7"},
		{six, "fe80::2", "fe80::1"},
		{six, "2001:db8::7", "fe80::1"},
	} {
		if src, why := sourcesOf(link, isVIP).of(&tt.c, link, netip.MustParseAddr(tt.present)); src.String() != tt.want {
			t.Errorf("source %s (%s) after %s, want %s", src, why, tt.present, tt.want)
		}
	}
}

// TestConn sends and receives between two namespaces.
func TestConn(t *testing.T) {
	here, there := nstest.New(t), nstest.New(t)
	nstest.Veth(t, here, "eth0", there, "eth0")
	ours, theirs := openFor(t, here, 51), openFor(t, there, 51)
	p6 := vrrp.Packet{Version: 3, VRID: 51, Priority: 150, Interval: time.Second, VIPs: []netip.Addr{linkLocalA, globalOf(0)}}
	p4 := vrrp.Packet{Version: 3, VRID: 51, Priority: 150, Interval: time.Second, VIPs: []netip.Addr{vip}}
	out, in := make([]byte, 0, maxPacket), make([]byte, maxPacket)
	for _, tt := range []struct {
		name     string
		which    int
		p        *vrrp.Packet
		src, dst netip.Addr
		from     [6]byte // a virtual MAC address; zero: the interface's own
	}{
		{name: "IPv4", which: socket4, p: &p4, src: addrA, dst: vrrp.Group4},
		// We choose the source: the interface need not have the address.
		{name: "IPv6", which: socket6, p: &p6, src: linkLocalA, dst: vrrp.Group6},
		{"IPv4 in a frame", socket4, &p4, addrA, vrrp.Group4, [6]byte{0, 0, 0x5e, 0, 1, 51}},
		{"IPv6 in a frame", socket6, &p6, linkLocalA, vrrp.Group6, [6]byte{0, 0, 0x5e, 0, 2, 51}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			other := *tt.p
			other.VRID = 52
			exchange := func() {
				for _, p := range []*vrrp.Packet{&other, tt.p} {
					err := error(nil)
					if tt.from != [6]byte{} {
						err = ours.sendFrame(out, p, tt.src, tt.dst, tt.from)
					} else {
						err = ours.send(out, p, tt.src, tt.dst)
					}
					if err != nil {
						t.Fatal(err)
					}
				}
			}
			if tt.from != [6]byte{} { // the first call opens the socket in the network namespace of its thread
				here.Do(func() {
					if err := ours.sendFrame(out, &other, tt.src, tt.dst, tt.from); err != nil {
						t.Error(err)
					}
				})
			}
			var n int
			var h vrrp.Header
			receive := func() {
				var err error
				for n, h, err = readOne(theirs, tt.which, in); err == unix.EAGAIN; n, h, err = readOne(theirs, tt.which, in) {
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			ready := func() bool { exchange(); var err error; n, h, err = readOne(theirs, tt.which, in); return err == nil }
			nstest.Eventually(t, "IPv6 is ready to send", ready)
			exchange()
			receive()
			msg := in[:n]
			if tt.which == socket4 {
				var d vrrp.Drop
				if h, msg, d = parseIPv4(msg); d != 0 {
					t.Fatal(d)
				}
			}
			var got vrrp.Packet
			if d := got.Parse(msg, h.Source, h.Destination); d != 0 || got.VRID != 51 || h != (vrrp.Header{Source: tt.src, Destination: tt.dst, TTL: 255}) {
				t.Errorf("%s: %+v %+v", d, h, got)
			}
			if n := testing.AllocsPerRun(100, func() { exchange(); receive() }); n != 0 {
				t.Errorf("%v allocations", n)
			}
		})
	}
	for which := range ours.all {
		if n, _, err := readOne(ours, which, in); err != unix.EAGAIN {
			t.Errorf("socket %d hears ourselves: %d octets, %v", which, n, err)
		}
	}
}

// readOne reads one packet of a socket into b.
func readOne(c *conn, which int, b []byte) (n int, h vrrp.Header, err error) {
	if _, err := c.receive(which, 1); err != nil {
		return 0, h, err
	}
	packet, h := c.packet(which, 0)
	return copy(b, packet), h, nil
}

// openFor opens the sockets on eth0 of a namespace for one VRID of both families, until the end of the test.
func openFor(t *testing.T, ns *nstest.NS, vrid uint8) *conn {
	t.Helper()
	var c *conn
	nstest.Command(t, ns, nstest.Device("eth0", func(l netlink.Link) error {
		c = newConn("eth0", l.Attrs().Index)
		var set vridSet
		set.add(vrid)
		return c.meet(set, set, nil)
	}))
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func TestConnOpensAndClosesWhatIsNeeded(t *testing.T) {
	here, there := nstest.New(t), nstest.New(t)
	nstest.Veth(t, here, "eth0", there, "eth0")
	var set, none vridSet
	set.add(51)
	nstest.Command(t, here, nstest.Device("eth0", func(l netlink.Link) error {
		c := newConn("eth0", l.Attrs().Index)
		for _, tt := range []struct {
			four, six vridSet
			open      [sockets]bool
		}{
			{none, none, [sockets]bool{}},
			{set, none, [sockets]bool{true, false, true}},
			{set, set, [sockets]bool{true, true, true}},
			{none, set, [sockets]bool{false, true, true}},
			{none, none, [sockets]bool{false, false, true}},
		} {
			if err := c.meet(tt.four, tt.six, []netip.Addr{addrA}); err != nil {
				return err
			}
			for which, open := range tt.open {
				if (c.all[which].fd >= 0) != open {
					t.Errorf("socket %d: descriptor %d", which, c.all[which].fd)
				}
			}
			if (c.fault(false) == "") != tt.open[socket4] || (c.fault(true) == "") != tt.open[socket6] {
				t.Errorf("faults %q and %q", c.fault(false), c.fault(true))
			}
		}
		if err := c.Close(); err != nil || c.all[socketRival].fd >= 0 {
			t.Errorf("closed: %v, descriptor %d", err, c.all[socketRival].fd)
		}
		gone := newConn("missing0", 4711)
		if err := gone.meet(set, set, nil); !errors.Is(err, unix.ENODEV) || gone.fault(false) == "" || gone.fault(true) == "" {
			t.Errorf("%v, %q, %q", err, gone.fault(false), gone.fault(true))
		}
		return gone.Close()
	}))
}
