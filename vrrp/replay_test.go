// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"net/netip"
	"strings"
	"testing"
	"time"
)

// TestReplayState: only a verified packet moves it; each sender has its own; it survives a change of keys and a restart.
func TestReplayState(t *testing.T) {
	p := newSignedPair(func(c *Config) { c.HMAC = testHMAC(HMACEnforce, 1, 1, 2) })
	first, second := p.sign(epoch), p.sign(epoch)
	forged := p.sign(epoch.Add(4 * time.Second))
	forged[len(forged)-1] ^= 1
	for _, tt := range []struct {
		name string
		msg  []byte
		want Drop
	}{{"second", second, 0}, {"first after it", first, DropReplayed}, {"forged, later", forged, DropWrongHMAC}, {"third", p.sign(epoch), 0}} {
		if tt.name == "third" {
			p.from.guard.own = stamp(epoch) + 5 // before the forged one
			tt.msg = p.sign(epoch)
		}
		if d := p.hear(epoch, tt.msg); d != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, d, tt.want)
		}
	}
	c := p.to.Config
	c.HMAC.ActiveKey = 2
	p.to.SetConfig(c)
	if d := p.hear(epoch, second); d != DropReplayed {
		t.Errorf("after a change of keys: %s", d)
	}
	restarted := NewRouter(c)
	restarted.Machine.Step(epoch, Event{Kind: EventUp, Source: addrB})
	restarted.Restore(p.to.Sequences())
	p.to = restarted
	if d := p.hear(epoch, second); d != DropReplayed {
		t.Errorf("after a restart: %s", d)
	}
	p.src, p.h.Source = addrC, addrC
	if d := p.hear(epoch, p.from.Packet.AppendTo(nil, addrC, Group4)); d != 0 {
		t.Errorf("from another sender: %s", d)
	}
	if n := len(restarted.Sequences().Heard); n != 2 {
		t.Errorf("%d senders", n)
	}
}

// TestMonotonic: the clocks may be anything. After a restart, the sequence goes on even if the clock starts in 1970, and what was
// sent before the restart is refused.
func TestMonotonic(t *testing.T) {
	p := newSignedPair(func(c *Config) {
		c.HMAC = testHMAC(HMACEnforce, 1, 1)
		c.HMAC.AntiReplay, c.HMAC.Window = AntiReplayMonotonic, 0
	})
	old := p.sign(epoch)
	if d := p.hear(time.Unix(7, 0), old); d != 0 {
		t.Fatal(d)
	}
	lost := p.sign(epoch.Add(30 * time.Second)) // after the last time that the sequences were stored
	if d := p.hear(epoch, lost); d != 0 {
		t.Fatal(d)
	}
	stored := Sequences{Own: stamp(epoch)}
	c := p.from.Config
	p.from = NewRouter(c)
	p.from.Restore(stored)
	if d := p.hear(time.Unix(9, 0), p.sign(time.Unix(3, 0))); d != 0 {
		t.Errorf("after a restart in 1970: %s", d)
	}
	heard := p.to.Sequences()
	p.to = NewRouter(c)
	p.to.Machine.Step(epoch, Event{Kind: EventUp, Source: addrB})
	p.to.Restore(heard)
	for _, msg := range [][]byte{old, lost} {
		if d := p.hear(epoch.Add(time.Hour), msg); d != DropReplayed {
			t.Errorf("replayed after a restart: %s", d)
		}
	}
}

// TestClockSetBack: where the time counts, a clock that is set back by more than the window locks nobody out once both clocks
// are right.
func TestClockSetBack(t *testing.T) {
	for _, back := range []time.Duration{0, time.Second, 4 * time.Second, time.Hour} {
		p := newSignedPair(func(c *Config) { c.HMAC = testHMAC(HMACEnforce, 1, 1) })
		if d := p.hear(epoch, p.sign(epoch)); d != 0 {
			t.Fatal(d)
		}
		now := epoch.Add(-back)
		for range 3 {
			if d := p.hear(now, p.sign(now)); d != 0 {
				t.Errorf("set back by %s: %s", back, d)
			}
		}
	}
}

// TestSequenceWraps: in 2106 the seconds begin again.
func TestSequenceWraps(t *testing.T) {
	end := time.Unix(1<<32-1, 900_000_000)
	p := newSignedPair(func(c *Config) { c.HMAC = testHMAC(HMACEnforce, 1, 1) })
	for i := range 5 {
		now := end.Add(time.Duration(i) * 400 * time.Millisecond)
		if d := p.hear(now, p.sign(now)); d != 0 {
			t.Errorf("%d: %s", i, d)
		}
	}
	if newer(5, 5) || !newer(0, ^uint64(0)) || newer(^uint64(0), 0) {
		t.Error("serial arithmetic")
	}
}

// TestSendersAreBounded: the sender that was silent longest makes room.
func TestSendersAreBounded(t *testing.T) {
	var g guard
	at := func(i int) Sequence {
		return Sequence{Sender: netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), Sequence: 1}
	}
	for i := range maxSenders {
		g.remember(-1, at(i))
	}
	g.remember(0, at(0))
	g.remember(-1, at(99))
	if len(g.heard) != maxSenders || g.heard[0] != at(2) || g.heard[maxSenders-2] != at(0) || g.heard[maxSenders-1] != at(99) {
		t.Errorf("%v", g.heard)
	}
}

// TestClockWarning: a clock that drifts is named before it matters.
func TestClockWarning(t *testing.T) {
	p := newSignedPair(func(c *Config) { c.HMAC = testHMAC(HMACEnforce, 1, 1) })
	hear := func(skew time.Duration) []string {
		var q Packet
		now := epoch.Add(time.Hour)
		if d := p.to.Examine(now, p.h, p.sign(now.Add(skew)), &q); d != 0 {
			t.Fatal(d)
		}
		p.to.DiagnoseAdvert(now, p.h, &q, false)
		return p.to.Warnings()
	}
	if w := hear(-2 * time.Second); len(w) != 0 {
		t.Errorf("%q", w)
	}
	if w := hear(3 * time.Second); len(w) != 1 || !strings.Contains(w[0], "the clock of 192.0.2.1 is 3s ahead of ours; from 6s on") {
		t.Errorf("%q", w)
	}
	p.from.guard.own = 0
	p.to.guard.heard = nil
	if w := hear(time.Second); len(w) != 0 {
		t.Errorf("%q", w)
	}
}

// TestFarewellOfOld: a router that has just begun, and knows no sequence, does not believe a farewell from before it began. It believes
// one that is younger, and any once it has listened for as long as it takes to notice a master's silence.
func TestFarewellOfOld(t *testing.T) {
	leave := func(p *signedPair, wall time.Time) []byte {
		p.from.Packet.Priority = 0
		p.from.Sign(wall)
		return p.from.Packet.AppendTo(nil, p.src, p.dst)
	}
	for _, tt := range []struct {
		name        string
		said, heard time.Duration // after epoch, when the router hears its first advertisement
		want        Drop
	}{
		{name: "recorded before, replayed at once", said: -time.Second, want: DropReplayed},
		{name: "recorded before, replayed in the second interval", said: -time.Second, heard: 2 * time.Second, want: DropReplayed},
		{name: "a true one, of a clock that is behind, later", said: -time.Second, heard: 3 * time.Second},
		{name: "a true one", said: time.Second / 2, heard: time.Second / 2},
	} {
		p := newSignedPair(func(c *Config) { c.HMAC = testHMAC(HMACEnforce, 1, 1) })
		first, farewell := p.sign(epoch.Add(-2*time.Second)), leave(p, epoch.Add(tt.said))
		if d := p.hear(epoch, first); d != 0 {
			t.Fatalf("%s: the first advertisement: %s", tt.name, d)
		}
		if d := p.hear(epoch.Add(tt.heard), farewell); d != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, d, tt.want)
		}
	}
}
