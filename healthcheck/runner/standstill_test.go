// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tandem-lvs/tandem/healthcheck"
)

// A director is stopped for 10 s, as by SIGSTOP. It does not count this time as failures of its servers: it repeats the
// probes that were under way.
func TestStandstillIsNotAFailure(t *testing.T) {
	for _, tt := range []struct {
		name        string
		answers     bool            // the server, at once
		standstills []time.Duration // when they begin; each takes 10 s
		verdicts    []string
		notRun      uint64
	}{
		{"none, server works", true, nil, []string{"healthy"}, 0},
		{"one, server works", true, []time.Duration{10500 * time.Millisecond}, []string{"healthy"}, 1},
		{"several, server works", true, []time.Duration{10500 * time.Millisecond, 30500 * time.Millisecond}, []string{"healthy", "unknown", "healthy"}, 2},
		{"one, server fails later", false, []time.Duration{10500 * time.Millisecond}, []string{"healthy", "unhealthy"}, 1},
		{"never ending, server fails", false, []time.Duration{10500 * time.Millisecond, 20600 * time.Millisecond,
			30700 * time.Millisecond, 40800 * time.Millisecond, 50900 * time.Millisecond}, []string{"healthy", "unhealthy"}, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				f := &frozen{sleeper: make(sleeper, 1)}
				for _, at := range tt.standstills {
					f.standstills = append(f.standstills, [2]time.Time{start.Add(at), start.Add(at + 10*time.Second)})
				}
				var failing atomic.Bool
				b := newBench(Options{}, func(ctx context.Context, _ *healthcheck.Target) healthcheck.Result {
					// The exchange takes 800 ms of the director's time. A failed server never answers.
					answer := time.After(800 * time.Millisecond)
					if failing.Load() {
						answer = nil
					}
					select {
					case <-answer:
						if now := time.Now(); f.thaw(now) == now {
							return healthcheck.Pass("connected")
						}
						<-ctx.Done()
					case <-ctx.Done():
					}
					now := time.Now()
					time.Sleep(f.thaw(now).Sub(now))
					return timedOut(ctx)
				})
				b.newPoller = func() (poller, error) { return f, nil }
				a := target("a")
				a.Config.Fall, a.Config.Rise, a.Config.Jitter = 1, 1, 0
				b.Set([]healthcheck.Target{a})
				b.run(t)
				time.Sleep(time.Until(start.Add(10 * time.Second)))
				// The test's own wake-ups would be the director's too, so from here the test only waits.
				failing.Store(!tt.answers)
				time.Sleep(80 * time.Second)
				b.stop()
				var got []string
				for _, v := range b.verdicts {
					got = append(got, v.Health.String())
				}
				if strings.Join(got, " ") != strings.Join(tt.verdicts, " ") {
					t.Errorf("verdicts %v, want %v; status %+v", got, tt.verdicts, b.Status())
				}
				if n := b.Stats().NotRun; n < min(tt.notRun, 1) || n > uint64(len(tt.standstills)) {
					t.Errorf("%d probes were repeated in %d standstills", n, len(tt.standstills))
				}
			})
		})
	}
}

// A probe begins when its timeout does. If its goroutine runs only after a standstill, the standstill is within the probe.
func TestProbeBeginsWithItsTimeout(t *testing.T) {
	var limit time.Time
	b := newBench(Options{}, func(ctx context.Context, _ *healthcheck.Target) healthcheck.Result {
		limit, _ = ctx.Deadline()
		return healthcheck.Pass("connected")
	})
	b.poller, _ = newSleeper()
	a := target("a")
	var probes sync.WaitGroup
	b.start(t.Context(), &entry{target: a}, time.Now(), &probes)()
	probes.Wait()
	for _, p := range b.delivered() {
		if begun := limit.Add(-a.Config.Timeout); p.Started.After(begun) {
			t.Errorf("started %s after its timeout began", p.Started.Sub(begun))
		}
	}
	if limit.IsZero() {
		t.Error("not probed")
	}
}

// A repeated probe that the director cannot run is not repeated at once again.
func TestRepeatIsNoLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		b := newBench(Options{}, func(ctx context.Context, target *healthcheck.Target) healthcheck.Result {
			if n++; n > 2 {
				return healthcheck.Result{Outcome: healthcheck.NotRun, Reason: "too many open files"}
			}
			time.Sleep(target.Config.Timeout + time.Second)
			return timedOut(ctx)
		})
		b.Set([]healthcheck.Target{target("a")})
		b.run(t)
		time.Sleep(time.Minute)
		b.stop()
		if got := b.Stats(); got.Probes > 35 || got.Failed != 1 {
			t.Errorf("stats %+v", got)
		}
	})
}
