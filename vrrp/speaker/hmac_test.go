// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"slices"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/vrrp"
)

// signedBy returns a message for a stage's router at the time of the wall clock.
func (s *stage) signedBy(c vrrp.Config, wall time.Time) (vrrp.Header, []byte) {
	r := vrrp.NewRouter(c)
	r.Packet.Priority = 90
	r.Sign(wall)
	h := s.header(addrA, vrrp.TTL)
	return h, r.Packet.AppendTo(nil, h.Source, h.Destination)
}

// TestRefusalsInTheStatus: the status says why packets were refused, when last, and whom they named. It has no secret.
func TestRefusalsInTheStatus(t *testing.T) {
	s := newStage(t, func(c *vrrp.Config) { c.HMAC = testHMAC(vrrp.HMACEnforce) })
	h, good := s.signedBy(s.r.Config, s.now)
	wrong := slices.Clone(good)
	wrong[len(wrong)-1] ^= 1
	s.l.accept(s.now, h, wrong, 0)
	s.l.accept(s.now, h, good, 0)
	s.l.accept(s.now.Add(100*time.Millisecond), h, good, 0)
	s.l.accept(s.now.Add(2*time.Second), h, good, 0)
	st := s.l.Status()[0]
	want := []vrrp.Refusal{
		{Reason: "replayed", Count: 2, Last: s.now.Add(2 * time.Second), From: addrA},
		{Reason: "wrong_hmac", Count: 1, Last: s.now, From: addrA},
	}
	if !slices.Equal(st.Refusals, want) || st.Counters.AdvertsReceived != 1 {
		t.Errorf("%+v, %d received; want %+v", st.Refusals, st.Counters.AdvertsReceived, want)
	}
	if !st.HMAC.SameAs(&s.r.Config.HMAC) || st.HMAC.Keys[0].Secret.Len() != 0 {
		t.Errorf("%+v", st.HMAC)
	}
	if s.r.Config.HMAC.Keys[0].Secret.Len() == 0 {
		t.Error("the router has lost its key")
	}
	c := s.r.Config
	c.HMAC.Mode = vrrp.HMACPermissive
	told := len(s.told)
	s.l.change(s.r, s.now, &c)
	if len(s.told) == told || s.told[len(s.told)-1].HMAC.Mode != vrrp.HMACPermissive {
		t.Error("a new mode is not told")
	}
}

// TestSequencesAreKept: across a restart of the process, and while a router is away.
func TestSequencesAreKept(t *testing.T) {
	first := newStage(t, func(c *vrrp.Config) { c.HMAC = testHMAC(vrrp.HMACEnforce) })
	h, msg := first.signedBy(first.r.Config, first.now)
	first.l.accept(first.now, h, msg, 0)
	all := first.l.Sequences()
	if len(all) != 1 || all[0].VRID != 51 || all[0].Family != 4 || len(all[0].Heard) != 1 || all[0].Heard[0].Sender != addrA {
		t.Fatalf("%+v", all)
	}

	second := newStage(t, func(c *vrrp.Config) { c.HMAC = testHMAC(vrrp.HMACEnforce) })
	second.l.Restore(append(all, RouterSequences{VRID: 52, Family: 4}))
	second.l.applied = second.l.desired.Load()
	second.l.restore(second.r)
	second.l.accept(second.now, h, msg, 0)
	if n := second.r.counters.drops[vrrp.DropReplayed].Load(); n != 1 {
		t.Errorf("after a restart: %d refused", n)
	}

	// A later one is heard, and the router leaves and comes back.
	h, later := second.signedBy(second.r.Config, second.now.Add(time.Second))
	second.l.accept(second.now, h, later, 0)
	second.l.leave(second.r, second.now, vrrp.CauseRemoved)
	c := second.r.Config
	second.l.sweep()
	if all := second.l.Sequences(); len(all) != 1 || len(all[0].Heard) != 1 {
		t.Errorf("while it is away: %+v", all)
	}
	second.l.applied = &desired{}
	second.l.add(c)
	r := second.l.routers[0]
	second.l.step(r, second.now, vrrp.Event{Kind: vrrp.EventUp, Source: addrB})
	second.l.accept(second.now, h, later, 0)
	if n := r.counters.drops[vrrp.DropReplayed].Load(); n != 1 {
		t.Errorf("when it is back: %d refused", n)
	}
	if all := second.l.Sequences(); len(all) != 1 {
		t.Errorf("%+v", all)
	}
}

// TestWallClock: a machine that was suspended compares times with the wall clock, which goes on meanwhile by itself.
func TestWallClock(t *testing.T) {
	s := newStage(t, func(c *vrrp.Config) { c.HMAC = testHMAC(vrrp.HMACEnforce) })
	s.l.suspended = time.Hour
	h, msg := s.signedBy(s.r.Config, s.now)
	s.l.accept(s.now.Add(time.Hour), h, msg, 0)
	if n := s.r.counters.received.Load(); n != 1 {
		t.Errorf("refused: %v", s.r.counters.drops.snapshot())
	}
}

// TestRefusingDoesNotAllocate: a flood of packets that anybody can make costs no memory.
func TestRefusingDoesNotAllocate(t *testing.T) {
	s := newStage(t, func(c *vrrp.Config) { c.HMAC = testHMAC(vrrp.HMACEnforce) })
	h, good := s.signedBy(s.r.Config, s.now)
	wrong := slices.Clone(good)
	wrong[len(wrong)-1] ^= 1
	s.l.accept(s.now, h, good, 0)
	for name, msg := range map[string][]byte{"wrong": wrong, "replayed": good, "unsigned": good[:len(good)-vrrp.TrailerLen]} {
		s.l.accept(s.now, h, msg, 0)
		if n := testing.AllocsPerRun(100, func() { s.l.accept(s.now, h, msg, 0) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
