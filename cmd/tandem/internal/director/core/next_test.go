// SPDX-License-Identifier: Apache-2.0

package core

import (
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/election/message"
	"github.com/tandem-lvs/tandem/vrrp"
)

// A director asks to be woken later, never at once: otherwise its loop would never rest.

// checkNext reports an error if effects ask for a moment that has come already.
func checkNext(t *testing.T, what string, now time.Time, out Effects) {
	t.Helper()
	if !out.Next.IsZero() && !out.Next.After(now) {
		t.Errorf("%s: the next tick is due at %s, and it is %s", what, out.Next, now)
	}
}

// With a peer, and while the kernel does not answer for its table, there is nothing to tell.
func TestRestBeforeTheTableIsRead(t *testing.T) {
	s := New()
	checkNext(t, "started", noon, s.Step(noon, Start{Config: directorNamed("lb1")}))
	now := noon
	for range 3 {
		now = now.Add(time.Minute)
		checkNext(t, "reported", now, s.Step(now, Report{message.Report{}}))
		checkNext(t, "reported, then a tick", now, s.Step(now, Tick{}))
	}
	if out := s.Step(now, TableRead{}); out.Peer == nil {
		t.Error("the other director hears nothing when the table is read")
	}
}

// A director that leaves fences nobody any more.
func TestRestWhileLeaving(t *testing.T) {
	p := fencedPair(t)
	p.report(claim(7), "in")
	p.result("power", "no answer")
	p.result("cloud", "no answer")
	p.hang = true // the hooks of the stop
	p.step(Leave{Request: 1})
	p.now = p.now.Add(10 * time.Second)
	checkNext(t, "a claim while leaving", p.now, p.s.Step(p.now, Tick{}))
	p.report(func(is *vrrp.Status) { is.Claim = 8 }, "in")
	checkNext(t, "a new claim while leaving", p.now, p.s.Step(p.now, Tick{}))
}
