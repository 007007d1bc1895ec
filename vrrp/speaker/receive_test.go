// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lvs/tandem/vrrp"
)

// socketless returns a loop at 192.0.2.2 with the VRIDs 51 (backup at 100) and 52 (master at 255), without sockets.
func socketless(log hclog.Logger) (l *Loop, b, owner *router) {
	l = New("eth0", Options{Log: log})
	l.applied = &desired{}
	for _, c := range []vrrp.Config{fastConfig(51, 100), fastConfig(52, 255)} {
		l.add(c)
		l.step(l.byVRID[0][c.VRID], epoch, vrrp.Event{Kind: vrrp.EventUp, Source: addrB})
	}
	return l, l.byVRID[0][51], l.byVRID[0][52]
}

func TestReceiveRefuses(t *testing.T) {
	good := testAdvert(addrA, 51, 200, time.Second)
	with := func(i int, v byte) []byte { b := slices.Clone(good); b[i] = v; return b }
	for _, tt := range []struct {
		name string
		in   []byte
		want vrrp.Drop
		vrid uint8 // whose counter, 0: nobody's
	}{
		{"good", good, 0, 51},
		{"TTL 64", with(8, 64), vrrp.DropWrongTTL, 51},
		{"checksum", with(26, good[26]^1), vrrp.DropBadChecksum, 51},
		{"version 2", with(20, 0x21), vrrp.DropWrongVersion, 51},
		{"other VRID", testAdvert(addrA, 99, 200, time.Second), vrrp.DropUnknownVRID, 0},
		{"other VRID, TTL 64", func() []byte { b := testAdvert(addrA, 99, 200, time.Second); b[8] = 64; return b }(), vrrp.DropUnknownVRID, 0},
		{"our own address", testAdvert(addrB, 51, 200, time.Second), vrrp.DropOwnPacket, 51},
		{"to the owner", testAdvert(addrA, 52, 255, time.Second), vrrp.DropAddressOwner, 52},
		{"nothing", nil, vrrp.DropTruncated, 0},
		{"one octet", func() []byte { b := good[:21]; b = slices.Clone(b); b[3] = 21; return b }(), vrrp.DropTruncated, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l, b, owner := socketless(nil)
			due := b.due
			l.receive(epoch.Add(time.Millisecond), tt.in)
			var want [3]vrrp.Drops // of 51, 52, nobody
			if tt.want != 0 {
				want[map[uint8]int{51: 0, 52: 1, 0: 2}[tt.vrid]][tt.want] = 1
			}
			if got := [3]vrrp.Drops{b.counters.drops.snapshot(), owner.counters.drops.snapshot(), l.Stray()}; got != want {
				t.Errorf("drops %v, want %v", got, want)
			}
			if heard := b.counters.received.Load() == 1; heard != (tt.want == 0) || heard == b.due.Equal(due) {
				t.Errorf("heard %t, deadline %s, was %s", heard, b.due, due)
			}
		})
	}
}

func TestOwnerThatLeavesHearsItsSuccessor(t *testing.T) {
	l, _, owner := socketless(nil)
	l.leave(owner, epoch, vrrp.CauseShutdown)
	if !owner.Machine.Holding() {
		t.Fatal("let go at once")
	}
	l.receive(epoch, testAdvert(addrA, 52, 100, time.Second))
	if owner.Machine.State() != vrrp.Initialize {
		t.Error("did not hear the successor")
	}
}

func TestDropsAreLoggedOnceAMinute(t *testing.T) {
	var out bytes.Buffer
	l, _, _ := socketless(hclog.New(&hclog.LoggerOptions{Output: &out}))
	bad := func(src netip.Addr) []byte { b := testAdvert(src, 51, 200, time.Second); b[8] = 64; return b }
	for i := range 120 {
		at := epoch.Add(time.Duration(i) * time.Second)
		l.receive(at, bad(addrA))
		l.receive(at, bad(addrC))
		l.receive(at, testAdvert(addrB, 51, 1, time.Second))
	}
	l.log.close()
	l.log.run()
	lines := strings.Count(out.String(), "advertisement dropped")
	if lines != 6 || strings.Count(out.String(), "reason=wrong_ttl") != 4 || !strings.Contains(out.String(), "from=192.0.2.3") {
		t.Errorf("%d lines, want two peers and three occasions in two minutes:\n%s", lines, &out)
	}
}

func TestLogIsBounded(t *testing.T) {
	var out bytes.Buffer
	l, _, _ := socketless(hclog.New(&hclog.LoggerOptions{Output: &out}))
	flood := func(at time.Time) (lines int) {
		for i := range 5 * maxKeys {
			o := key{peer: netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}), why: "wrong_ttl"}
			if l.log.allows(at, o) {
				lines++
			}
		}
		return lines
	}
	if n := flood(epoch); n != maxKeys {
		t.Errorf("%d occasions, want %d", n, maxKeys)
	}
	if n := flood(epoch.Add(maxQueuedLines * time.Millisecond)); n != 0 {
		t.Errorf("%d occasions within the same minute", n)
	}
	if n := flood(epoch.Add(2 * keyPause)); n != maxKeys || len(l.log.lastUse) != maxKeys {
		t.Errorf("%d occasions after two minutes, %d remembered", n, len(l.log.lastUse))
	}
	for range 2 * maxQueuedLines {
		l.log.write(hclog.Info, "a line") // nobody reads: it must not block
	}
	l.log.close()
	l.log.run()
	if !strings.Contains(out.String(), "log lines of the VRRP loop were lost") {
		t.Error("the loss was not told")
	}
}

func TestSteadyStateDoesNotAllocate(t *testing.T) {
	l, b, owner := socketless(nil)
	good, forged := testAdvert(addrA, 51, 200, time.Second), testAdvert(addrA, 52, 255, time.Second)
	now := epoch
	l.receive(now, good)
	l.receive(now, forged)
	if n := testing.AllocsPerRun(100, func() {
		now = now.Add(100 * time.Millisecond)
		l.receive(now, good)
		l.receive(now, forged)
		l.step(owner, now, vrrp.Event{Kind: vrrp.EventTimer})
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if b.Machine.State() != vrrp.Backup || owner.Machine.State() != vrrp.Master {
		t.Errorf("%s and %s are not the steady state", b.Machine.State(), owner.Machine.State())
	}
}

// FuzzReceive checks that a dropped packet is counted once and changes nothing else.
func FuzzReceive(f *testing.F) {
	for _, vrid := range []uint8{51, 52, 53} {
		f.Add(testAdvert(addrA, vrid, 200, time.Second))
		f.Add(testAdvert(addrB, vrid, 0, time.Second))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		l, b, owner := socketless(nil)
		before := fmt.Sprintf("%+v %+v", *b.Machine, *owner.Machine)
		l.receive(epoch, in)
		total := l.Stray()
		for _, r := range []*router{b, owner} {
			for d, n := range r.counters.drops.snapshot() {
				total[d] += n
			}
		}
		var dropped uint64
		for _, n := range total.All() {
			dropped += n
		}
		received := b.counters.received.Load() + owner.counters.received.Load()
		if dropped+received != 1 {
			t.Fatalf("%d dropped, %d received", dropped, received)
		}
		if after := fmt.Sprintf("%+v %+v", *b.Machine, *owner.Machine); dropped == 1 && after != before {
			t.Fatalf("a dropped packet changed %s to %s", before, after)
		}
		if owner.Machine.State() != vrrp.Master {
			t.Fatalf("the owner is %s", owner.Machine.State())
		}
		if len(in) >= 9 && in[8] != vrrp.TTL && received != 0 {
			t.Fatalf("TTL %d was received, %d octets, header %d", in[8], len(in), binary.BigEndian.Uint16(in))
		}
	})
}

// FuzzAccept is FuzzReceive for every way of advertising.
func FuzzAccept(f *testing.F) {
	configs := []func(*vrrp.Config){
		nil,
		func(c *vrrp.Config) { c.Version = 2 },
		func(c *vrrp.Config) { c.Version, c.Password = 2, "secret" },
		func(c *vrrp.Config) { c.VIPs = prefixes("fe80::100/64", "2001:db8::100/64") },
		func(c *vrrp.Config) { c.UnicastPeers, c.UnicastTTLMin = []netip.Addr{addrA}, 200 },
	}
	for i, change := range configs {
		s := newStage(f, change)
		p, h := s.packet(), s.header(addrA, 255)
		f.Add(p.AppendTo(nil, h.Source, h.Destination), byte(i), byte(255))
		p.Priority = vrrp.PriorityLeaving
		f.Add(p.AppendTo(nil, h.Source, h.Destination), byte(i), byte(255))
	}
	f.Fuzz(func(t *testing.T, msg []byte, which, pass byte) {
		s := newStage(t, configs[int(which)%len(configs)])
		h := s.header(addrA, pass)
		before := fmt.Sprintf("%+v", *s.r.Machine)
		s.l.accept(s.now, h, msg, 0)
		total := s.l.Stray()
		for d, n := range s.r.counters.drops.snapshot() {
			total[d] += n
		}
		var dropped uint64
		for _, n := range total.All() {
			dropped += n
		}
		received := s.r.counters.received.Load()
		if dropped+received != 1 {
			t.Fatalf("%d dropped, %d received", dropped, received)
		}
		if after := fmt.Sprintf("%+v", *s.r.Machine); dropped == 1 && after != before {
			t.Fatalf("a dropped packet changed %s to %s", before, after)
		}
		if received == 1 && (msg[0]>>4 != s.r.Config.Version || s.r.Packet.Auth != s.l.packet.Auth || msg[1] != s.r.Config.VRID || pass < 200) {
			t.Fatalf("received %x with TTL %d", msg, pass)
		}
		if n := len(s.l.Status()[0].Warnings); n > 1 {
			t.Fatalf("%d warnings of one packet", n)
		}
	})
}

func BenchmarkLoopReceive(b *testing.B) {
	l, _, _ := socketless(nil)
	good, now := testAdvert(addrA, 51, 200, time.Second), epoch
	b.ReportAllocs()
	for b.Loop() {
		now = now.Add(time.Millisecond)
		l.receive(now, good)
	}
}
