// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/vrrp"
	"github.com/tandem-lvs/tandem/vrrp/internal/nstest"
)

// forge sends whole IPv4 packets, header included, from the namespace of p.
func (p *peer) forge(packets ...[]byte) {
	p.t.Helper()
	nstest.Command(p.t, p.ns, func() error {
		return withSocket("eth0", socket4, func(fd int) error { return sendRaw(fd, packets...) })
	})
}

// withSocket calls f with one of the sockets of a conn, whose filter accepts all VRIDs.
func withSocket(iface string, which int, f func(fd int) error) error {
	return nstest.Device(iface, func(l netlink.Link) error {
		c := newConn(iface, l.Attrs().Index)
		all := packetFilter{ipHeader: which == socket4}
		for vrid := range 256 {
			all.vrids.add(uint8(vrid))
		}
		return errors.Join(c.serve(which, all), f(c.all[which].fd), c.Close())
	})()
}

// sendRaw sends each packet to the destination that its header names.
func sendRaw(fd int, packets ...[]byte) error {
	var all error
	for _, b := range packets {
		all = errors.Join(all, unix.Sendto(fd, b, 0, &unix.SockaddrInet4{Addr: [4]byte(b[16:20])}))
	}
	return all
}

func TestForgedPacketsChangeNothing(t *testing.T) {
	t.Parallel()
	nstest.Undisturbed(t, func(t testing.TB) {
		_, a, b := pair(t, 51)
		good := testAdvert(addrC, 51, 250, 100*time.Millisecond)
		with := func(i int, v byte) []byte { f := slices.Clone(good); f[i] = v; return f }
		forgeries := map[vrrp.Drop][]byte{
			vrrp.DropWrongTTL:     with(8, 64),
			vrrp.DropWrongVersion: with(20, 0x21),
			vrrp.DropBadChecksum:  with(26, good[26]^0x80),
			vrrp.DropNoAddresses:  with(23, 0),
			vrrp.DropTruncated:    with(23, 2),
			// The kernel drops packets from our own address as martians, before a raw socket receives them.
			vrrp.DropOwnPacket: testAdvert(addrA, 51, 250, 100*time.Millisecond),
		}
		before, since := b.counters(51).AdvertsReceived, a.loop.Status()[0].Since
		for _, f := range forgeries {
			b.forge(slices.Repeat([][]byte{f}, 100)...)
		}
		// No socket receives these.
		b.forge(testAdvert(addrC, 99, 250, 100*time.Millisecond), with(20, 0x32), with(20, 0x41))
		nstest.Eventually(t, "all forgeries counted", func() bool {
			c := a.counters(51)
			for d := range forgeries {
				if c.Drops[d] != 100 {
					return false
				}
			}
			return true
		})
		if all := a.loop.Status()[0].Warnings; !slices.ContainsFunc(all, func(w string) bool { return strings.Contains(w, "our own address 192.0.2.1") }) {
			t.Errorf("warnings %q", all)
		}
		nstest.Eventually(t, "a advertises on", func() bool { return b.counters(51).AdvertsReceived > before+5 })
		s := a.loop.Status()[0]
		if s.State != vrrp.Master || s.Since != since || s.Counters.AdvertsReceived != 0 || s.Counters.BecameMaster != 1 {
			t.Errorf("a: %+v", s)
		}
		if n := s.Counters.Drops[vrrp.DropWrongType]; n != 0 || a.loop.Stray() != (vrrp.Drops{}) {
			t.Errorf("the filter let pass %d packets of another type, and %v", n, a.loop.Stray())
		}
		if s := b.loop.Status()[0]; s.State != vrrp.Backup || s.Counters.BecameMaster != 0 {
			t.Errorf("b: %+v", s)
		}
		// The same packet, sound, is accepted.
		b.forge(good)
		if s := a.awaitState(51, vrrp.Backup); s.Reason != "higher priority 250 heard from 192.0.2.3" {
			t.Errorf("a: %+v", s.Status)
		}
	})
}

func (p *peer) dropped(vrid uint8, d vrrp.Drop) uint64 {
	c := p.counters(vrid)
	return c.Drops[d]
}

func TestOurOwnAddressIsCountedOnceWhereTheKernelLetsItPass(t *testing.T) {
	t.Parallel()
	nstest.Undisturbed(t, func(t testing.TB) {
		_, a, b := pair(t, 51)
		nstest.Command(t, a.ns, nstest.SetSysctl("ipv4/conf/eth0/accept_local", "1"))
		nstest.Command(t, a.ns, nstest.SetSysctl("ipv4/conf/eth0/rp_filter", "0"))
		b.forge(slices.Repeat([][]byte{testAdvert(addrA, 51, 250, 100*time.Millisecond)}, 10)...)
		b.forge(testAdvert(addrC, 51, 1, 100*time.Millisecond))
		nstest.Eventually(t, "the last one was received", func() bool { return a.counters(51).AdvertsReceived == 1 })
		nstest.Eventually(t, "ten counted", func() bool { return a.dropped(51, vrrp.DropOwnPacket) >= 10 })
		if n := a.dropped(51, vrrp.DropOwnPacket); n != 10 {
			t.Errorf("%d counted of 10", n)
		}
	})
}

// TestOurOwnIPv6Address: packets from our own IPv6 address, which the kernel delivers, are dropped.
func TestOurOwnIPv6Address(t *testing.T) {
	t.Parallel()
	nstest.Undisturbed(t, func(t testing.TB) {
		s := newBridge(t)
		c := fastConfig(51, 150)
		c.VIPs = prefixes("fe80::100/64")
		a, b := s.plug("192.0.2.1", c), s.plug("192.0.2.2")
		own := a.awaitState(51, vrrp.Master).Master
		p := vrrp.Packet{Version: 3, VRID: 51, Priority: 250, Interval: time.Second, VIPs: []netip.Addr{netip.MustParseAddr("fe80::100")}}
		nstest.Command(t, b.ns, nstest.Device("eth0", func(l netlink.Link) error {
			return withSocket("eth0", socket6, func(fd int) error {
				var m ipv6Messages
				m.init(l.Attrs().Index)
				return m.send(fd, p.AppendTo(nil, own, vrrp.Group6), own, vrrp.Group6)
			})
		}))
		got := a.await(51, "warned", func(s vrrp.Status) bool { return len(s.Warnings) == 1 })
		if !strings.Contains(got.Warnings[0], "arrive from our own address "+own.String()+":") || got.State != vrrp.Master {
			t.Errorf("%+v", got.Status)
		}
	})
}

// TestAdvertOnTheWire reads what a router sends from a plain raw socket.
func TestAdvertOnTheWire(t *testing.T) {
	t.Parallel()
	nstest.Undisturbed(t, func(t testing.TB) {
		_, a, b := pair(t, 51)
		var got []byte
		nstest.Command(t, b.ns, func() error {
			return withSocket("eth0", socket4, func(fd int) error {
				buf := make([]byte, maxPacket)
				for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline) && got == nil; time.Sleep(time.Millisecond) {
					if n, err := unix.Read(fd, buf); err == nil {
						got = buf[:n]
					}
				}
				return nil
			})
		})
		if len(got) != 32 || got[1] != 0xc0 || got[8] != 255 || netip.AddrFrom4([4]byte(got[12:16])) != addrA {
			t.Fatalf("on the wire: %x", got)
		}
		if vrrp.InternetChecksum(got[:20]) != 0 {
			t.Errorf("the kernel left a wrong header checksum: %x", got[:20])
		}
		p := vrrp.Packet{Version: 3, VRID: 51, Priority: 150, Interval: 100 * time.Millisecond, VIPs: []netip.Addr{netip.MustParseAddr("192.0.2.51")}}
		if want := p.AppendTo(nil, addrA, vrrp.Group4); !slices.Equal(got[20:], want) {
			t.Errorf("message %x, want %x", got[20:], want)
		}
		if c := a.counters(51); c.SendErrors != 0 {
			t.Errorf("%+v", c)
		}
	})
}
