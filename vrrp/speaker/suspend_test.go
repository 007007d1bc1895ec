// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/vrrp"
	"github.com/tandem-lvs/tandem/vrrp/internal/nstest"
)

// A loop whose machine was suspended sees that time has passed, although its own clock stood still.
func TestSuspensionCounts(t *testing.T) {
	t.Parallel()
	var asleep atomic.Int64
	s := newBridge(t)
	a := s.plugLoop("192.0.2.1", Options{}, func(l *Loop) {
		l.suspension = func() time.Duration { return atStart + time.Duration(asleep.Load()) }
		l.Configure([]vrrp.Config{fastConfig(51, 150)})
	})
	a.awaitState(51, vrrp.Master)
	const nap = 10 * time.Second
	asleep.Store(int64(nap))
	nstest.Eventually(t, "the nap counts", func() bool { return a.counters(51).LongestGap >= nap })
	// A machine that was never suspended differs by the accuracy of the readings only.
	if d := suspension() - atStart; d > shortestSuspension || d < -shortestSuspension {
		t.Errorf("this machine was suspended for %s", d)
	}
}

// Whether a thread may be realtime does not depend on the wall clock, which somebody may set back.
func TestRealtimeIgnoresTheWallClock(t *testing.T) {
	now := time.Now()
	if d := sinceStart(now.Add(time.Second)) - sinceStart(now); d != int64(time.Second) {
		t.Errorf("a second is %d ns", d)
	}
	if s := sinceStart(now); s < 0 || s > int64(time.Hour) {
		t.Errorf("the process runs for %s", time.Duration(s))
	}
}
