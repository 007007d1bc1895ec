// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"bytes"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lvs/tandem/vrrp"
	"github.com/tandem-lvs/tandem/vrrp/internal/nstest"
)

func TestLatenessIsCounted(t *testing.T) {
	l, _, owner := socketless(nil)
	c := owner.Config.AdvertInterval
	due := owner.due
	for _, late := range []time.Duration{0, time.Millisecond, time.Millisecond + 1, 15 * time.Millisecond, 2 * time.Second} {
		l.measureLateness(owner, owner.due.Add(late))
		l.step(owner, owner.due.Add(late), vrrp.Event{Kind: vrrp.EventTimer})
	}
	got := owner.counters.snapshot()
	want := vrrp.Lateness{Sum: 2017*time.Millisecond + 1}
	want.Counts[0], want.Counts[1], want.Counts[4], want.Counts[len(vrrp.LatenessBounds)] = 2, 1, 1, 1
	want.Powers[0], want.Powers[-9*2-vrrp.FirstPower-1], want.Powers[-6*2-vrrp.FirstPower], want.Powers[1*2-vrrp.FirstPower] = 1, 2, 1, 1
	if got.Lateness != want {
		t.Errorf("%+v, want %+v", got.Lateness, want)
	}
	// The last but one was sent 15 ms late, the last one 2 s late: one interval later by the clock.
	if want := c + 2*time.Second - 15*time.Millisecond; got.LongestGap != want {
		t.Errorf("longest gap %s, want %s", got.LongestGap, want)
	}
	if owner.due.Sub(due) < 4*c {
		t.Errorf("the deadline moved by %s only", owner.due.Sub(due))
	}
	// The time in which it was not master is not a gap.
	l.step(owner, owner.due, vrrp.Event{Kind: vrrp.EventFault, Cause: &vrrp.Cause{Kind: vrrp.FaultTracked, Text: "x"}})
	l.step(owner, owner.due.Add(time.Hour), vrrp.Event{Kind: vrrp.EventUp, Source: addrB})
	if again := owner.counters.snapshot(); again.LongestGap != got.LongestGap {
		t.Errorf("gap %s across a fault", again.LongestGap)
	}
}

func TestTakeoversAreMeasured(t *testing.T) {
	l, b, _ := socketless(nil)
	var want vrrp.Takeovers
	expect := func(what string, took time.Duration, class, power int) {
		t.Helper()
		if took > 0 {
			want.Counts[class]++
			want.Powers[power-vrrp.FirstPower]++
			want.Sum += took
		}
		if got := b.counters.snapshot(); got.Takeovers != want || b.Machine.State() != vrrp.Master {
			t.Errorf("%s: %+v as %s, want %+v", what, got.Takeovers, b.Machine.State(), want)
		}
	}
	due := func() (at time.Time) { // when it becomes master
		for b.Machine.State() != vrrp.Master {
			at = b.Machine.Deadline()
			l.step(b, at, vrrp.Event{Kind: vrrp.EventTimer})
		}
		return at
	}
	at := due()
	expect("it has heard nobody before", 0, 0, 0)

	heard := func(at time.Time, priority uint8) {
		l.receive(at, testAdvert(addrA, 51, priority, 100*time.Millisecond))
	}
	for range 3 {
		at = at.Add(100 * time.Millisecond)
		heard(at, 200)
	}
	took := due().Sub(at)
	if took < 300*time.Millisecond || took > 400*time.Millisecond {
		t.Fatalf("the master is dead after %s", took)
	}
	expect("the master has died", took, 5, -2) // up to 500 ms

	at = at.Add(time.Second)
	heard(at, 200)
	heard(at.Add(10*time.Millisecond), vrrp.PriorityLeaving)
	took = due().Sub(at.Add(10 * time.Millisecond))
	expect("the master has left", took, 3, -4*2) // up to 100 ms, and up to 2^-4 s
	heard(at.Add(100*time.Millisecond), 50)
	if !b.lastHeard.IsZero() {
		t.Error("a master measures from what another master advertised")
	}
	at = at.Add(time.Second)
	heard(at, 200)
	l.step(b, at.Add(time.Millisecond), vrrp.Event{Kind: vrrp.EventFault, Cause: &vrrp.Cause{Kind: vrrp.FaultTracked, Text: "x"}})
	l.step(b, at.Add(time.Hour), vrrp.Event{Kind: vrrp.EventUp, Source: addrB})
	due()
	expect("it was in fault and has heard nobody since", 0, 0, 0)
}

func TestLateLoopSaysWhy(t *testing.T) {
	due := epoch
	for _, tt := range []struct {
		name  string
		awake time.Duration // after the deadline
		late  time.Duration
		queue time.Duration
		known bool
		want  string
	}{
		{"kept waiting", 80 * time.Millisecond, 81 * time.Millisecond, 79 * time.Millisecond, true, "waited 79ms for a processor"},
		{"pre-empted while at work", 0, 90 * time.Millisecond, 50 * time.Millisecond, true, "waited 50ms for a processor"},
		{"SIGSTOP", 3 * time.Second, 3*time.Second + time.Millisecond, time.Millisecond, true,
			"was stopped, or the whole machine was, for 3s"},
		{"no account", 80 * time.Millisecond, 81 * time.Millisecond, 0, false, "was not run for 80ms"},
		{"too much to do", -time.Millisecond, 60 * time.Millisecond, 0, true, "was busy for 60ms"},
	} {
		l, _, _ := socketless(nil)
		l.awake = due.Add(tt.awake)
		if got := l.whyLate(due, due.Add(tt.late), tt.queue, tt.known); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestLatenessIsLogged(t *testing.T) {
	var out bytes.Buffer
	l, _, owner := socketless(hclog.New(&hclog.LoggerOptions{Output: &out}))
	half := owner.Config.AdvertInterval / 2
	l.measureLateness(owner, owner.due.Add(half))
	l.measureLateness(owner, owner.due.Add(half+1))
	l.measureLateness(owner, owner.due.Add(half+1))
	l.log.close()
	l.log.run()
	if n := strings.Count(out.String(), "advertisement is late"); n != 1 || !strings.Contains(out.String(), "late=50ms") {
		t.Errorf("%d lines, want one a minute:\n%s", n, &out)
	}
}

func TestProcessorAccount(t *testing.T) {
	var p processor
	p.open()
	if _, known := p.read(); !known {
		t.Error("this kernel keeps an account of run queues")
	}
	if err := p.close(); err != nil {
		t.Error(err)
	}
	absent := processor{fd: -1}
	if _, known := absent.queued(); known || absent.close() != nil {
		t.Error("an account that is not there")
	}
	if n := testing.AllocsPerRun(10, func() { absent.sample(epoch) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// A thread that hangs is found by others. Here it waits for the function that it notifies.
func TestHungLoop(t *testing.T) {
	stalled, goOn, once := make(chan struct{}), make(chan struct{}), sync.Once{}
	a := newBridge(t).plugWith("192.0.2.1", func(st vrrp.Status) {
		if st.Tracking.Delta == 1 {
			once.Do(func() {
				close(stalled)
				<-goOn
			})
		}
	}, fastConfig(51, 150))
	a.awaitState(51, vrrp.Master)
	nstest.Eventually(t, "it comes round", func() bool { return a.loop.Hung() < 50*time.Millisecond })
	a.loop.SetTracking("router 51", vrrp.Tracking{Delta: 1})
	<-stalled
	nstest.Eventually(t, "it is found to hang", func() bool { return a.loop.Hung() > 500*time.Millisecond })
	close(goOn)
	nstest.Eventually(t, "it comes round again", func() bool { return a.loop.Hung() < 50*time.Millisecond })
	a.loop.Shutdown()
	<-a.over
	if late := a.loop.Hung(); late != 0 {
		t.Errorf("it has ended, and hangs for %s", late)
	}
}
