// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tandem-lvs/tandem/healthcheck"
)

// settled returns a running bench whose target a is healthy, 30 s after the start.
func settled(t *testing.T, s *starts) *bench {
	b := newBench(Options{}, s.note(scripted("+")))
	b.Set([]healthcheck.Target{target("a")})
	b.run(t)
	time.Sleep(30 * time.Second)
	return b
}

func TestSetKeepsWhatIsTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStarts()
		b := settled(t, s)
		before := b.Status()["a"]
		for range 100 { // far more often than the interval
			b.Set([]healthcheck.Target{target("a"), target("b")})
			time.Sleep(100 * time.Millisecond)
		}
		b.stop()
		after := b.Status()["a"]
		if after.Checks < before.Checks+4 || after.Checks > before.Checks+6 || !after.Since.Equal(before.Since) {
			t.Errorf("before %+v, after 10 s %+v", before, after)
		}
		of := s.of["a"]
		for i := 2; i < len(of); i++ {
			if gap := of[i].Sub(of[i-1]); gap < 1900*time.Millisecond || gap > 2*time.Second {
				t.Errorf("probe %d comes %s after the one before", i, gap)
			}
		}
		if got := b.Status()["b"]; got.Health != healthcheck.Healthy {
			t.Errorf("the new target: %+v", got)
		}
	})
}

func TestSetTakesEffectAtOnce(t *testing.T) {
	changed := func(f func(*healthcheck.Target)) []healthcheck.Target {
		a := target("a")
		f(&a)
		return []healthcheck.Target{a}
	}
	tests := []struct {
		name    string
		targets []healthcheck.Target
		health  healthcheck.Health // 0: gone
		checks  bool               // the counts are kept
	}{
		{"another interval", changed(func(a *healthcheck.Target) { a.Config.Interval = time.Minute }), healthcheck.Healthy, true},
		{"another type", changed(func(a *healthcheck.Target) { a.Config = healthcheck.DefaultConfig(healthcheck.HTTP) }), healthcheck.Healthy, true},
		{"another port of the check", changed(func(a *healthcheck.Target) { a.Config.Port = 81 }), healthcheck.Healthy, true},
		{"another address", changed(func(a *healthcheck.Target) { a.Addr = netip.MustParseAddrPort("192.0.2.2:80") }), healthcheck.Unknown, false},
		{"another port of the server", changed(func(a *healthcheck.Target) { a.Addr = netip.MustParseAddrPort("192.0.2.1:81") }), healthcheck.Unknown, false},
		{"removed", nil, 0, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := settled(t, newStarts())
				before := b.Status()["a"]
				b.Set(tt.targets)
				after, present := b.Status()["a"]
				if !present {
					after.Health = 0
				}
				if after.Health != tt.health || (after.Checks == before.Checks) != tt.checks {
					t.Errorf("before %+v, after %+v", before, after)
				}
				time.Sleep(time.Second) // a changed check is run soon
				synctest.Wait()
				if got := b.Status()["a"]; present && got.Checks == after.Checks {
					t.Errorf("no check in the second after the change: %+v", got)
				}
				probes := b.Stats().Probes
				time.Sleep(time.Hour)
				if b.Stats().Probes == probes == present {
					t.Errorf("probes went from %d to %d", probes, b.Stats().Probes)
				}
				b.stop()
			})
		})
	}
}

// The results of one check in a row do not count for another check's rise and fall.
func TestSetStartsTheCountAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(Options{}, scripted("+rrr"))
		b.Set([]healthcheck.Target{target("a")})
		b.run(t)
		for b.Status()["a"].Failures < 2 {
			time.Sleep(time.Millisecond)
		}
		other := target("a")
		other.Config.Timeout /= 2
		b.Set([]healthcheck.Target{other})
		for b.Status()["a"].Failures < 4 {
			time.Sleep(time.Millisecond)
		}
		if got := b.Status()["a"].Health; got != healthcheck.Healthy {
			t.Errorf("%s after two failures of one check and two of another, fall 3", got)
		}
	})
}

// The result of a cancelled probe does not count for the present targets, and the probe is not repeated.
func TestSetCancelsProbesUnderWay(t *testing.T) {
	other := target("a")
	other.Config.Rise = 5
	tests := []struct {
		name     string
		targets  []healthcheck.Target
		verdicts int
		probes   uint64 // at most, in a minute
	}{
		{"removed", nil, 0, 1},
		{"changed", []healthcheck.Target{other}, 1, 34},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(Options{}, func(ctx context.Context, target *healthcheck.Target) healthcheck.Result {
					if target.Config.Rise == other.Config.Rise {
						return healthcheck.Pass("connected")
					}
					<-ctx.Done()
					return healthcheck.Fail(healthcheck.TimedOut, "cancelled")
				})
				first := target("a")
				first.Config.Fall = 1
				b.Set([]healthcheck.Target{first})
				b.run(t)
				for b.Stats().InFlight == 0 {
					time.Sleep(time.Millisecond)
				}
				b.Set(tt.targets)
				synctest.Wait()
				if got := b.Stats(); got.InFlight != 0 || got.Failed != 0 {
					t.Errorf("stats %+v", got)
				}
				time.Sleep(time.Minute)
				b.stop()
				if got := b.Stats(); got.Probes > tt.probes || got.Failed != 0 {
					t.Errorf("stats after a minute %+v", got)
				}
				if len(b.verdicts) != tt.verdicts || tt.verdicts > 0 && b.verdicts[0].Health != healthcheck.Healthy {
					t.Errorf("verdicts %v", b.verdicts)
				}
			})
		})
	}
}

// Repeated changes must not delay a check for ever.
func TestChangeNeverDelays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(Options{}, scripted("+"))
		targets := make([]healthcheck.Target, 100)
		for i := range targets {
			targets[i] = target(fmt.Sprint(i))
		}
		b.Set(targets)
		b.run(t)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		dues := func() map[string]time.Time {
			b.mu.Lock()
			defer b.mu.Unlock()
			all := make(map[string]time.Time)
			for id, e := range b.entries {
				all[id] = e.Due
			}
			return all
		}
		before := dues()
		for i := range targets {
			targets[i].Config.Fall++
		}
		b.Set(targets)
		for id, due := range dues() {
			if due.After(before[id]) {
				t.Errorf("target %s was due at %s, and after the change at %s", id, before[id], due)
			}
		}
	})
}

func TestTargetThatCannotBeChecked(t *testing.T) {
	tests := []struct {
		name   string
		change func(*healthcheck.Target)
		want   string
	}{
		{"no interval", func(a *healthcheck.Target) { a.Config.Interval, a.Config.Timeout = 0, -1 },
			"cannot be checked: interval 0s: must be above 0; timeout -1ns: must be above 0"},
		{"no port", func(a *healthcheck.Target) { a.Addr = netip.MustParseAddrPort("192.0.2.1:0") }, "cannot be checked: no port to check"},
		{"no address", func(a *healthcheck.Target) { a.Addr = netip.AddrPortFrom(netip.Addr{}, 80) }, "cannot be checked: no address to check"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := settled(t, newStarts())
				bad := target("a")
				tt.change(&bad)
				probes := b.Stats().Probes
				for range 3 {
					b.Set([]healthcheck.Target{bad})
					time.Sleep(time.Minute)
				}
				b.stop()
				if got := b.Status()["a"]; got.Health != healthcheck.Unknown || got.Reason != tt.want {
					t.Errorf("status %+v, want %q", got, tt.want)
				}
				if got := b.Stats(); got.Probes != probes || got.InFlight != 0 {
					t.Errorf("stats %+v, had %d probes", got, probes)
				}
				if n := strings.Count(b.log.String(), "target cannot be checked"); n != 1 {
					t.Errorf("logged %d times, want once:\n%s", n, b.log.String())
				}
				b.run(t) // nor when Run begins again
				time.Sleep(time.Minute)
				b.stop()
				if got := b.Stats().Probes; got != probes {
					t.Errorf("%d probes, had %d", got, probes)
				}
			})
		})
	}
}

func TestLaterOfTwoWithOneID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStarts()
		b := newBench(Options{}, s.note(func(_ context.Context, target *healthcheck.Target) healthcheck.Result {
			return healthcheck.Pass(target.Addr.String())
		}))
		b.run(t)
		synctest.Wait()
		second := target("a")
		second.Addr = netip.MustParseAddrPort("192.0.2.2:80")
		b.Set([]healthcheck.Target{target("a"), second})
		time.Sleep(20*time.Second + time.Millisecond)
		b.stop()
		if got := b.Status()["a"]; got.Reason != "192.0.2.2:80" || got.Checks != uint64(len(s.of["a"])) {
			t.Errorf("status %+v after %d probes", got, len(s.of["a"]))
		}
	})
}

// With many callers and many changes, the last Set counts. Mostly for the race detector.
func TestConcurrentSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(Options{}, func(ctx context.Context, _ *healthcheck.Target) healthcheck.Result {
			time.Sleep(10 * time.Millisecond)
			return healthcheck.Pass("connected")
		})
		b.run(t)
		var wg sync.WaitGroup
		for w := range 8 {
			wg.Go(func() {
				for i := range 100 {
					var targets []healthcheck.Target
					for n := range i % 20 {
						targets = append(targets, target(fmt.Sprint(w, n)))
					}
					b.Set(targets)
					_, _ = b.Status(), b.Stats()
					time.Sleep(time.Duration(w+1) * 17 * time.Millisecond)
				}
			})
		}
		wg.Wait()
		b.Set([]healthcheck.Target{target("x"), target("y")})
		time.Sleep(10 * time.Second)
		b.stop()
		if got := b.Status(); len(got) != 2 || got["x"].Health != healthcheck.Healthy || got["y"].Health != healthcheck.Healthy {
			t.Errorf("status %+v", got)
		}
	})
}
