// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tandem-lvs/tandem/healthcheck"
)

// starts records when the probes of each target start, and whether two of one target overlap.
type starts struct {
	mu      sync.Mutex
	of      map[string][]time.Time
	busy    map[string]bool
	overlap int
}

func newStarts() *starts {
	return &starts{of: make(map[string][]time.Time), busy: make(map[string]bool)}
}

// note wraps a prober to record its starts.
func (s *starts) note(probe func(context.Context, *healthcheck.Target) healthcheck.Result) func(context.Context, *healthcheck.Target) healthcheck.Result {
	return func(ctx context.Context, t *healthcheck.Target) healthcheck.Result {
		s.mu.Lock()
		s.of[t.ID] = append(s.of[t.ID], time.Now())
		if s.busy[t.ID] {
			s.overlap++
		}
		s.busy[t.ID] = true
		s.mu.Unlock()
		defer func() {
			s.mu.Lock()
			s.busy[t.ID] = false
			s.mu.Unlock()
		}()
		return probe(ctx, t)
	}
}

// ofTarget returns when the probes of a target have started.
func (s *starts) ofTarget(id string) []time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.of[id])
}

// overlaps returns how many probes started while another one of the same target was under way.
func (s *starts) overlaps() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.overlap
}

// count returns how many probes started from a to b.
func (s *starts) count(a, b time.Time) int {
	n := 0
	for _, of := range s.of {
		for _, at := range of {
			if !at.Before(a) && at.Before(b) {
				n++
			}
		}
	}
	return n
}

func TestTenThousandTargets(t *testing.T) {
	const (
		n        = 10_000
		interval = 5 * time.Second
	)
	synctest.Test(t, func(t *testing.T) {
		s := newStarts()
		b := newBench(Options{}, s.note(func(context.Context, *healthcheck.Target) healthcheck.Result {
			time.Sleep(20 * time.Millisecond)
			return healthcheck.Pass("connected")
		}))
		targets := make([]healthcheck.Target, n)
		for i := range targets {
			targets[i] = target(fmt.Sprint(i))
			targets[i].Config.Interval = interval
		}
		b.Set(targets)
		start := time.Now()
		b.run(t)
		time.Sleep(30 * time.Second)
		b.stop()

		if len(s.of) != n || s.overlap != 0 || b.Stats().StartedLate != 0 {
			t.Errorf("%d targets probed, %d overlaps, stats %+v", len(s.of), s.overlap, b.Stats())
		}
		for id, of := range s.of {
			if first := of[0].Sub(start); first > time.Second {
				t.Errorf("target %s: first probe after %s", id, first)
			}
			if second := of[1].Sub(of[0]); second > interval {
				t.Errorf("target %s: second probe %s after the first", id, second)
			}
			for i := 2; i < len(of); i++ {
				if gap := of[i].Sub(of[i-1]); gap < interval*95/100 || gap > interval {
					t.Errorf("target %s: probe %d comes %s after the one before", id, i, gap)
				}
			}
			if since := start.Add(30 * time.Second).Sub(of[len(of)-1]); since > interval {
				t.Errorf("target %s: no probe for %s", id, since)
			}
		}
		// The probes are spread: 1,000 first probes in each 100 ms of the first second, later 200 (and 5 % more) in each 100
		// ms.
		for at := start; at.Before(start.Add(time.Second)); at = at.Add(100 * time.Millisecond) {
			if got := s.count(at, at.Add(100*time.Millisecond)); got < 800 || got > 1400 {
				t.Errorf("%d probes in the 100 ms from %s", got, at.Sub(start))
			}
		}
		for at := start.Add(7 * time.Second); at.Before(start.Add(29 * time.Second)); at = at.Add(100 * time.Millisecond) {
			if got := s.count(at, at.Add(100*time.Millisecond)); got < 130 || got > 290 {
				t.Errorf("%d probes in the 100 ms from %s", got, at.Sub(start))
			}
		}
	})
}

func TestShortIntervalStartsSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStarts()
		b := newBench(Options{}, s.note(scripted("+")))
		a := target("a")
		a.Config.Interval, a.Config.Timeout = 100*time.Millisecond, 100*time.Millisecond
		b.Set([]healthcheck.Target{a})
		start := time.Now()
		b.run(t)
		time.Sleep(10 * time.Second)
		b.stop()
		if first := s.of["a"][0].Sub(start); first > 100*time.Millisecond {
			t.Errorf("first probe after %s", first)
		}
		if got := len(s.of["a"]); got < 100 || got > 106 {
			t.Errorf("%d probes in 10 s at 100 ms", got)
		}
	})
}

// A probe lasts as long as its interval. The next one follows at once. They do not overlap, and none is late.
func TestProbeAsLongAsItsInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStarts()
		b := newBench(Options{}, s.note(scripted("t")))
		a := target("a")
		a.Config.Timeout = a.Config.Interval
		b.Set([]healthcheck.Target{a})
		b.run(t)
		time.Sleep(21 * time.Second)
		b.stop()
		if got := b.Stats(); got.Probes != 11 || got.StartedLate != 0 || s.overlap != 0 {
			t.Errorf("stats %+v, %d overlaps", got, s.overlap)
		}
	})
}

// If more probes are due than may run at the same time, they wait and count as late. No server fails because of that.
func TestInFlightCap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var now, most atomic.Int64
		b := newBench(Options{MaxInFlight: 3}, func(ctx context.Context, _ *healthcheck.Target) healthcheck.Result {
			most.Store(max(most.Load(), now.Add(1)))
			defer now.Add(-1)
			time.Sleep(900 * time.Millisecond)
			return healthcheck.Pass("connected")
		})
		var targets []healthcheck.Target
		for i := range 20 { // 20 × 0.9 s of work every 2 s, for 3
			targets = append(targets, target(fmt.Sprint(i)))
		}
		b.Set(targets)
		b.run(t)
		time.Sleep(time.Minute)
		b.stop()
		if most.Load() != 3 {
			t.Errorf("%d probes at the same time, want 3", most.Load())
		}
		if got := b.Stats(); got.StartedLate < 150 || got.Failed != 0 || got.Probes < 190 {
			t.Errorf("stats %+v", got)
		}
		for id, s := range b.Status() {
			if s.Health != healthcheck.Healthy || s.Checks < 5 {
				t.Errorf("target %s: %+v", id, s)
			}
		}
	})
}

// After a stall all targets are due at once. They are probed at once, and are spread again afterwards.
func TestCrowdIsSpreadAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStarts()
		b := newBench(Options{}, s.note(scripted("+")))
		stall := make(chan struct{})
		notify := b.notify
		b.notify = func(v healthcheck.Verdict) {
			if v.ID == "staller" {
				<-stall
			}
			notify(v)
		}
		var targets []healthcheck.Target
		for i := range 1000 {
			targets = append(targets, target(fmt.Sprint(i)))
		}
		b.Set(targets)
		b.run(t)
		time.Sleep(10 * time.Second)
		b.Set(append(targets, target("staller")))
		time.Sleep(10 * time.Second)
		close(stall)
		resumed := time.Now()
		time.Sleep(10 * time.Second)
		b.stop()
		if got := s.count(resumed, resumed.Add(time.Nanosecond)); got < 1000 {
			t.Errorf("%d probes at once after the stall, want all", got)
		}
		if late := b.Stats().StartedLate; late < 990 || late > 1001 { // the staller is late too
			t.Errorf("%d late, want nearly all, once", late)
		}
		for at := resumed.Add(4 * time.Second); at.Before(resumed.Add(9 * time.Second)); at = at.Add(100 * time.Millisecond) {
			if got := s.count(at, at.Add(100*time.Millisecond)); got > 90 {
				t.Errorf("%d probes in 100 ms, %s after the stall, want about 50", got, at.Sub(resumed))
			}
		}
	})
}

// A timeout may be longer than the interval. Probes of a target never overlap: a server that answers is asked at each interval, and
// one that does not is asked again when the probe before has ended.
func TestTimeoutBeyondTheInterval(t *testing.T) {
	const interval, timeout = time.Second, 5 * time.Second
	synctest.Test(t, func(t *testing.T) {
		s := newStarts()
		b := newBench(Options{}, s.note(func(ctx context.Context, t *healthcheck.Target) healthcheck.Result {
			if t.ID == "quick" {
				return healthcheck.Pass("connected")
			}
			<-ctx.Done()
			return healthcheck.FailSilently(healthcheck.TimedOut, "timeout")
		}))
		quick, mute := target("quick"), target("mute")
		for _, c := range []*healthcheck.Config{&quick.Config, &mute.Config} {
			c.Interval, c.Timeout, c.Jitter, c.Fall = interval, timeout, 0, 3
		}
		b.Set([]healthcheck.Target{quick, mute})
		b.run(t)
		time.Sleep(mute.Config.Longest()*3 + interval)
		down := b.Status()["mute"]
		time.Sleep(15 * time.Second)
		b.stop()
		if s.overlap != 0 || b.Stats().StartedLate != 0 {
			t.Errorf("%d overlaps, stats %+v", s.overlap, b.Stats())
		}
		for id, want := range map[string]time.Duration{"quick": interval, "mute": timeout} {
			of := s.of[id]
			if len(of) < 5 {
				t.Fatalf("%s: %d probes", id, len(of))
			}
			for i := 2; i < len(of); i++ {
				if gap := of[i].Sub(of[i-1]); gap < want || gap > want+100*time.Millisecond {
					t.Errorf("%s: probe %d comes %s after the one before, want %s", id, i, gap, want)
				}
			}
		}
		if down.Health != healthcheck.Unhealthy {
			t.Errorf("after 3 timeouts: %s", down.Health)
		}
	})
}
