// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"context"
	"maps"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/healthcheck/probe/epoll"
)

// The verdicts are enough to know everything that Status says, except counts, times of probes and reasons of successes.
func TestVerdictsTellAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(Options{}, scripted("+"))
		var mu sync.Mutex
		told := make(map[string]healthcheck.TargetStatus)
		b.notify = func(v healthcheck.Verdict) {
			mu.Lock()
			defer mu.Unlock()
			told[v.ID] = v.TargetStatus
		}
		b.run(t)
		set := func(step string, targets ...healthcheck.Target) {
			t.Helper()
			b.Set(targets)
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			all := b.Status()
			for id, is := range all {
				health := max(told[id].Health, healthcheck.Unknown)
				if health != is.Health || health != healthcheck.Unknown && !told[id].Since.Equal(is.Since) {
					t.Errorf("%s: %s is %+v, the verdicts say %+v", step, id, is, told[id])
				}
			}
			maps.DeleteFunc(told, func(id string, _ healthcheck.TargetStatus) bool { return all[id].Health == 0 })
		}
		health := func(id string) healthcheck.Health {
			mu.Lock()
			defer mu.Unlock()
			return max(told[id].Health, healthcheck.Unknown)
		}
		sleep := func() {
			time.Sleep(10 * time.Second)
			synctest.Wait()
		}
		a, other := target("a"), target("b")
		set("new", a)
		sleep()
		set("unchanged", a)
		sharer := a
		sharer.ID = "sharer"
		set("one that shares a probe", a, sharer)
		if got := health("sharer"); got != healthcheck.Healthy {
			t.Errorf("the sharer is %s", got)
		}
		set("another one", a, other)
		sleep()
		a.Config.Fall++
		set("another check", a, other)
		a.Addr = other.Addr
		set("another address", a, other)
		a.Addr = target("c").Addr
		set("a new address", a, other)
		if got := health("a"); got != healthcheck.Unknown {
			t.Errorf("at a new address it is %s", got)
		}
		sleep()
		a.Config.Timeout = -1
		set("no longer valid", a, other)
		set("gone", other)
	})
}

// A change of silence alone is a verdict: if all its servers are silent, a director counts as cut off.
func TestSilenceIsAVerdict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		b := newBench(Options{}, func(context.Context, *healthcheck.Target) healthcheck.Result {
			n++
			res := healthcheck.Fail(healthcheck.TimedOut, "timeout after 1s while connecting")
			res.Silent = n < 6
			return res
		})
		b.Set([]healthcheck.Target{target("a")})
		b.run(t)
		time.Sleep(time.Minute)
		b.stop()
		var got []bool
		for _, v := range b.verdicts {
			got = append(got, v.Silent)
		}
		if want := []bool{true, false}; !reflect.DeepEqual(got, want) {
			t.Errorf("verdicts with silence %v, want %v", got, want)
		}
	})
}

// A stuckLog is the reader of a log that stops at the first change of a server.
type stuckLog struct {
	began, read chan struct{}
}

func (s stuckLog) Write(p []byte) (int, error) {
	if strings.Contains(string(p), "server is") {
		close(s.began)
		<-s.read
	}
	return len(p), nil
}

// A log that hangs delays no verdict and holds no lock.
func TestVerdictComesBeforeItsLogLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := stuckLog{make(chan struct{}), make(chan struct{})}
		b := newBench(Options{}, scripted("+"))
		b.logTo(s)
		b.Set([]healthcheck.Target{target("a")})
		b.run(t)
		<-s.began
		if len(b.verdicts) != 1 || b.Status()["a"].Health != healthcheck.Healthy {
			t.Errorf("verdicts %v, status %v while the log hangs", b.verdicts, b.Status())
		}
		b.Set(nil)
		_ = b.Stats()
		close(s.read)
		b.stop()
	})
}

// logTo replaces the log's reader.
func (b *bench) logTo(s stuckLog) {
	b.Runner.log = hclog.New(&hclog.LoggerOptions{Output: s, Level: hclog.Info, DisableTime: true})
}

// A waitCounter counts how often Run wakes up.
type waitCounter struct {
	sleeper
	waits int
}

func (w *waitCounter) Wait(d, slack time.Duration) ([]epoll.Ended, time.Duration) {
	w.waits++
	return w.sleeper.Wait(d, slack)
}

func TestNoTargetsNoWakeUps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &waitCounter{sleeper: make(sleeper, 1)}
		b := newBench(Options{}, scripted("+"))
		b.newPoller = func() (poller, error) { return w, nil }
		b.run(t)
		time.Sleep(30 * 24 * time.Hour)
		synctest.Wait()
		if w.waits != 1 {
			t.Errorf("woke up %d times in a month without targets", w.waits-1)
		}
	})
}
