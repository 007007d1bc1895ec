// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tandem-lvs/tandem/healthcheck"
)

// flapper runs the check of a server whose health changes six times, 2 s apart. After that the server is healthy.
func flapper(t *testing.T, f healthcheck.Flap) *bench {
	t.Helper()
	b := newBench(Options{}, scripted("+r+r+r+"))
	a := target("a")
	a.Config.Interval, a.Config.Rise, a.Config.Fall, a.Config.Jitter, a.Config.Flap = 2*time.Second, 1, 1, 0, f
	b.Set([]healthcheck.Target{a})
	b.run(t)
	return b
}

// A hold is shorter than the flap window. When the hold is over, the old changes must not count again: a server that stays
// healthy is not held again.
func TestHoldEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := flapper(t, healthcheck.Flap{Changes: 4, Window: time.Hour, Hold: 30 * time.Second})
		time.Sleep(2 * time.Minute)
		if s := b.Status()["a"]; s.Health != healthcheck.Healthy || s.Flapping {
			t.Errorf("after the hold: %+v", s)
		}
		b.stop()
	})
}

// A server that flaps is logged once, held unhealthy for the configured time, and then healthy again.
func TestFlappingServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := flapper(t, healthcheck.Flap{Changes: 4, Window: time.Minute, Hold: 5 * time.Minute})
		time.Sleep(30 * time.Second)
		s := b.Status()["a"]
		if s.Health != healthcheck.Unhealthy || !s.Flapping || s.Reason != "flapping: held down for 5m; last result: connected" {
			t.Errorf("while it is held: %+v", s)
		}
		time.Sleep(6 * time.Minute)
		s = b.Status()["a"]
		if s.Health != healthcheck.Healthy || s.Flapping || s.Reason != "connected" {
			t.Errorf("afterwards: %+v", s)
		}
		b.stop()
		log := b.log.String()
		if strings.Count(log, "target flaps:") != 1 || strings.Count(log, "target no longer flaps") != 1 {
			t.Errorf("log\n%s", log)
		}
		if n := len(b.verdicts); n != 6 { // healthy, unhealthy, healthy, unhealthy and held, no longer flapping, healthy
			t.Errorf("%d verdicts: %+v", n, b.verdicts)
		}
	})
}
