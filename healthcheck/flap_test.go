// SPDX-License-Identifier: Apache-2.0

package healthcheck

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestFlapping(t *testing.T) {
	// A letter a second: c for a change, . for none; below each stands whether it flaps then.
	for _, tt := range []struct {
		name    string
		flap    Flap
		seconds string
		want    string
	}{
		{"never, unless it is wanted", Flap{}, "cccccc", "......"},
		{"as often as that", Flap{Changes: 3, Window: 10 * time.Second}, "c.c.c.", "....FF"},
		{"not often enough", Flap{Changes: 3, Window: 4 * time.Second}, "c.c.c.", "......"},
		{"until the changes are too old", Flap{Changes: 2, Window: 3 * time.Second}, "cc...", ".FF.."},
		{"and again", Flap{Changes: 2, Window: 3 * time.Second}, "cc...cc", ".FF...F"},
		{"goes on", Flap{Changes: 2, Window: 3 * time.Second}, "ccccc..", ".FFFFF."},
	} {
		var f flapping
		got, turns := "", 0
		for i, letter := range tt.seconds {
			var began, ended bool
			f, began, ended = f.step(time.Unix(int64(i), 0), letter == 'c', tt.flap)
			if f.is {
				got += "F"
			} else {
				got += "."
			}
			if began || ended {
				turns++
			}
		}
		if got != tt.want {
			t.Errorf("%s: %s gives %s, want %s", tt.name, tt.seconds, got, tt.want)
		}
		if want := strings.Count(got, ".F") + strings.Count(got, "F."); turns != want {
			t.Errorf("%s: %d turns told, want %d", tt.name, turns, want)
		}
	}
}

// flapper runs the check of a server that flaps six times, 2 s apart, and is well from then on.
func flapper(t *testing.T, f Flap) *bench {
	t.Helper()
	b := newBench(Options{}, scripted("+r+r+r+"))
	a := target("a")
	a.Config.Interval, a.Config.Rise, a.Config.Fall, a.Config.Jitter, a.Config.Flap = 2*time.Second, 1, 1, 0, f
	b.Set([]Target{a})
	b.run(t)
	return b
}

// A hold shorter than the window ends too, and a server that is well since then stays in.
func TestHoldEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := flapper(t, Flap{Changes: 4, Window: time.Hour, Hold: 30 * time.Second})
		time.Sleep(2 * time.Minute)
		if s := b.Status()["a"]; s.Health != Healthy || s.Flapping {
			t.Errorf("after the hold: %+v", s)
		}
		b.stop()
	})
}

// A server that flaps is logged once, held down for as long as is wanted, and comes back.
func TestFlappingServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := flapper(t, Flap{Changes: 4, Window: time.Minute, Hold: 5 * time.Minute})
		time.Sleep(30 * time.Second)
		s := b.Status()["a"]
		if s.Health != Unhealthy || !s.Flapping || s.Reason != "held down for 5m0s, for it flaps; at last: connected" {
			t.Errorf("while it is held: %+v", s)
		}
		time.Sleep(6 * time.Minute)
		s = b.Status()["a"]
		if s.Health != Healthy || s.Flapping || s.Reason != "connected" {
			t.Errorf("afterwards: %+v", s)
		}
		b.stop()
		log := b.log.String()
		if strings.Count(log, "target flaps:") != 1 || strings.Count(log, "target flaps no longer") != 1 {
			t.Errorf("log\n%s", log)
		}
		if n := len(b.verdicts); n != 5 { // healthy, unhealthy, healthy, unhealthy and held, healthy
			t.Errorf("%d verdicts: %+v", n, b.verdicts)
		}
	})
}
