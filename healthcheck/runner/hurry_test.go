// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tandem-lvs/tandem/healthcheck"
)

// Hurry starts the next probe of a target at once, and only that one. A probe under way goes on.
func TestHurry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStarts()
		b := newBench(Options{}, s.note(func(context.Context, *healthcheck.Target) healthcheck.Result {
			time.Sleep(100 * time.Millisecond)
			return healthcheck.Pass("connected")
		}))
		slow, other := target("a"), target("b")
		slow.Config.Interval, other.Config.Interval = time.Hour, time.Hour
		slow.Config.Jitter, other.Config.Jitter = 0, 0
		b.Set([]healthcheck.Target{slow, other})
		b.run(t)
		time.Sleep(90 * time.Minute)
		synctest.Wait()
		before, others := len(s.ofTarget("a")), len(s.ofTarget("b"))
		b.Hurry([]string{"a", "nobody"})
		synctest.Wait()
		if n := len(s.ofTarget("a")); n != before+1 || s.ofTarget("a")[n-1] != time.Now() {
			t.Errorf("%d probes before, then %d, the last at %s", before, n, s.ofTarget("a")[n-1])
		}
		b.Hurry([]string{"a"}) // it is under way
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(s.ofTarget("a")) != before+1 || len(s.ofTarget("b")) != others || s.overlaps() > 0 {
			t.Errorf("%d probes of a, %d of b, %d overlap", len(s.ofTarget("a"))-before, len(s.ofTarget("b"))-others, s.overlaps())
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if len(s.ofTarget("a")) != before+2 {
			t.Errorf("%d probes of a in the hour after that, want 1", len(s.ofTarget("a"))-before-1)
		}
		b.stop()
	})
}
