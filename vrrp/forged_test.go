// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
)

// forge sends whole packets, IP header included, from the namespace of p.
func (p *peer) forge(packets ...[]byte) {
	p.t.Helper()
	command(p.t, p.ns, device("eth0", func(l netlink.Link) error {
		c, err := openConn("eth0", l.Attrs().Index)
		if err != nil {
			return err
		}
		for _, b := range packets {
			err = errors.Join(err, c.send(b))
		}
		return errors.Join(err, c.Close())
	}))
}

func TestForgedPacketsChangeNothing(t *testing.T) {
	_, a, b := pair(t, 51)
	good := testAdvert(addrC, 51, 250, 100*time.Millisecond)
	with := func(i int, v byte) []byte { f := slices.Clone(good); f[i] = v; return f }
	// Without this the kernel itself drops what bears our own address, as a martian, before any socket sees it.
	command(t, a.ns, setSysctl("ipv4/conf/eth0/accept_local", "1"))
	forgeries := map[Drop][]byte{
		DropWrongTTL:     with(8, 64),
		DropWrongVersion: with(20, 0x21),
		DropWrongType:    with(20, 0x32),
		DropBadChecksum:  with(26, good[26]^0x80),
		DropNoAddresses:  with(23, 0),
		DropTruncated:    with(23, 2),
		DropOwnPacket:    testAdvert(addrA, 51, 250, 100*time.Millisecond),
	}
	before, since := b.counters(51).AdvertsReceived, a.loop.Status()[0].Since
	for _, f := range forgeries {
		for range 100 {
			b.forge(f)
		}
	}
	other := testAdvert(addrC, 99, 250, 100*time.Millisecond)
	b.forge(other, other)
	eventually(t, "all forgeries counted", func() bool {
		c := a.counters(51)
		for d := range forgeries {
			if c.Drops.Of(d) != 100 {
				return false
			}
		}
		stray := a.loop.Stray()
		return stray.Of(DropUnknownVRID) == 2
	})
	eventually(t, "a advertises on", func() bool { return b.counters(51).AdvertsReceived > before+5 })
	s := a.loop.Status()[0]
	if s.State != Master || s.Since != since || s.Counters.AdvertsReceived != 0 || s.Counters.BecameMaster != 1 {
		t.Errorf("a: %+v", s)
	}
	if s := b.loop.Status()[0]; s.State != Backup || s.Counters.BecameMaster != 0 {
		t.Errorf("b: %+v", s)
	}
	// The same packet unforged would have been believed.
	b.forge(good)
	if s := a.awaitState(51, Backup); s.Reason != "higher priority 250 heard from 192.0.2.3" {
		t.Errorf("a: %+v", s.Status)
	}
}

// TestAdvertOnTheWire looks at what leaves a director with the eyes of a plain raw socket.
func TestAdvertOnTheWire(t *testing.T) {
	_, a, b := pair(t, 51)
	var got []byte
	command(t, b.ns, device("eth0", func(l netlink.Link) error {
		c, err := openConn("eth0", l.Attrs().Index)
		if err != nil {
			return err
		}
		buf := make([]byte, maxPacket)
		for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline) && got == nil; time.Sleep(time.Millisecond) {
			if n, err := c.read(buf); err == nil {
				got = buf[:n]
			}
		}
		return c.Close()
	}))
	if len(got) != 32 || got[1] != 0xc0 || got[8] != 255 || netip.AddrFrom4([4]byte(got[12:16])) != addrA {
		t.Fatalf("on the wire: %x", got)
	}
	if fold(sum(0, got[:20])) != 0xffff {
		t.Errorf("the kernel left a wrong header checksum: %x", got[:20])
	}
	p := Packet{VRID: 51, Priority: 150, Interval: 100 * time.Millisecond, VIPs: []netip.Addr{netip.MustParseAddr("192.0.2.51")}}
	if want := p.AppendTo(nil, addrA, group4); !slices.Equal(got[20:], want) {
		t.Errorf("message %x, want %x", got[20:], want)
	}
	if c := a.counters(51); c.SendErrors != 0 {
		t.Errorf("%+v", c)
	}
}
