// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/healthcheck/internal/probetest"
)

// shared are targets that want the same probe.
func shared(ids ...string) []healthcheck.Target {
	var all []healthcheck.Target
	for _, id := range ids {
		t := target("a")
		t.ID = id
		all = append(all, t)
	}
	return all
}

func TestSameProbeRunsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(Options{}, scripted("++rrr"))
		b.Set(shared("a", "b", "c"))
		b.run(t)
		time.Sleep(20 * time.Second)
		b.stop()
		if got := b.Stats().Probes; got > 11 {
			t.Errorf("%d probes in 20 s for three targets at one place, want those of one", got)
		}
		all := b.Status()
		if len(all) != 3 || all["a"] != all["b"] || all["b"] != all["c"] || all["c"].Health != healthcheck.Unhealthy {
			t.Errorf("status %+v", all)
		}
		var ids []string
		for _, v := range b.verdicts {
			ids = append(ids, v.ID+" "+v.Health.String())
		}
		if got := strings.Join(ids, ", "); got != "a healthy, b healthy, c healthy, a unhealthy, b unhealthy, c unhealthy" {
			t.Errorf("verdicts %s", got)
		}
		if n := strings.Count(b.log.String(), "\n"); n != 2 || !strings.Contains(b.log.String(), "shared-by=3") {
			t.Errorf("want a line a change:\n%s", b.log.String())
		}
	})
}

func TestWhatIsNotShared(t *testing.T) {
	other := target("b")
	other.Addr = target("a").Addr
	other.Config.Timeout /= 2
	port := target("c")
	port.Addr, port.Config.Port = target("a").Addr, 81
	script := probetest.Shell("true")
	again := script
	again.ID = "again"
	if got := probes([]healthcheck.Target{target("a"), other, port, target("d"), script, again}); got != 6 {
		t.Errorf("%d probes, want each to have its own", got)
	}
	// Different ports of a server, but one port for the check of both.
	first, second := target("a"), target("b")
	first.Config.Port, second.Config.Port = 9000, 9000
	second.Addr = netip.AddrPortFrom(first.Addr.Addr(), 81)
	if got := probes([]healthcheck.Target{first, second}); got != 1 {
		t.Errorf("%d probes of one port", got)
	}
	// An endpoint that the check writes out is the same endpoint.
	plain, written, elsewhere := target("a"), target("b"), target("c")
	written.Addr = netip.AddrPortFrom(plain.Addr.Addr(), 443)
	written.Config.Port = plain.Addr.Port()
	elsewhere.Config.Address = plain.Addr.Addr()
	if got := probes([]healthcheck.Target{plain, written, elsewhere}); got != 1 {
		t.Errorf("%d probes of one place", got)
	}
}

// A shared probe is not disturbed when targets join or leave it.
func TestSharersComeAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStarts()
		b := newBench(Options{}, s.note(scripted("+")))
		b.Set(shared("a", "b"))
		b.run(t)
		time.Sleep(30*time.Second + time.Millisecond)
		checks := b.Status()["b"].Checks
		b.Set(shared("b", "c"))
		now := b.Status()
		if len(now) != 2 || now["b"].Checks != checks || now["c"].Checks != checks || now["c"].Health != healthcheck.Healthy {
			t.Errorf("a gone, c come: %+v", now)
		}
		if b.Stats().InFlight != 0 || len(b.queue) != 1 {
			t.Errorf("%d probes in the queue", len(b.queue))
		}
		// One target changes its probe: it keeps its health, and the others keep their probe.
		split := shared("b", "c")
		split[1].Config.Fall = 9
		b.Set(split)
		now = b.Status()
		if now["b"].Checks != checks || now["c"].Health != healthcheck.Healthy || len(b.queue) != 2 {
			t.Errorf("after the split: %+v", now)
		}
		b.Set(shared("c"))
		b.Set(nil)
		time.Sleep(time.Minute)
		b.stop()
		if len(b.queue) != 0 || len(b.Status()) != 0 || s.overlap != 0 {
			t.Errorf("%d in the queue, %d overlaps", len(b.queue), s.overlap)
		}
	})
}

func TestIntervals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStarts()
		b := newBench(Options{}, s.note(scripted("++++r+r+rrrrrrr+r++")))
		a := target("a")
		a.Config.Interval, a.Config.IntervalDown, a.Config.FastInterval, a.Config.Timeout = 10*time.Second, 30*time.Second, time.Second, time.Second
		a.Config.Jitter, a.Config.Rise, a.Config.Fall = 0, 2, 2
		b.Set([]healthcheck.Target{a})
		b.run(t)
		time.Sleep(5 * time.Minute)
		b.stop()
		//            + + + r + r + r r r r r r r + r + + …; the pause after the first + is of any length
		want := []int{10, 10, 10, 1, 10, 1, 10, 1, 30, 30, 30, 30, 30, 30, 1, 30, 1, 10}
		of := s.of["a"]
		for i := 2; i < min(len(of), len(want)+2); i++ {
			if gap := int(of[i].Sub(of[i-1]).Seconds()); gap != want[i-2] {
				t.Errorf("pause %d is %d s, want %d", i-1, gap, want[i-2])
			}
		}
		if len(of) < 15 {
			t.Errorf("%d probes", len(of))
		}
	})
}

// An agent's result is the server's own report: it counts at once.
func TestDecisiveFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		b := newBench(Options{}, func(context.Context, *healthcheck.Target) healthcheck.Result {
			n++
			switch n {
			case 1:
				return healthcheck.Pass("the agent says up")
			case 2, 3:
				return healthcheck.Result{Outcome: healthcheck.Passed, Reason: "the agent says 50%", Advice: healthcheck.Advice{Given: true, Percent: 50}}
			case 4:
				return healthcheck.Fail(healthcheck.Refused, "connection refused")
			}
			return healthcheck.Result{Outcome: healthcheck.Failed, Reason: "the agent says down", Decisive: true}
		})
		b.Set([]healthcheck.Target{target("a")})
		b.run(t)
		for b.Status()["a"].Checks < 4 {
			time.Sleep(time.Millisecond)
		}
		if s := b.Status()["a"]; s.Health != healthcheck.Healthy || s.Advice.Percent != 50 {
			t.Errorf("one failure makes it %+v", s)
		}
		for b.Status()["a"].Checks < 5 {
			time.Sleep(time.Millisecond)
		}
		b.stop()
		if s := b.Status()["a"]; s.Health != healthcheck.Unhealthy || s.Reason != "the agent says down" {
			t.Errorf("status %+v", s)
		}
		if len(b.verdicts) != 3 || !b.verdicts[1].Advice.Given {
			t.Errorf("verdicts %+v", b.verdicts)
		}
	})
}

// probes counts the different probes that targets want.
func probes(targets []healthcheck.Target) int {
	r := New(Options{})
	r.Set(targets)
	n := 0
	for range distinct(r.entries) {
		n++
	}
	return n
}
