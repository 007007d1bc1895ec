// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"context"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/healthcheck/probe/epoll"
)

// The verdicts alone tell an owner at any time what Status says, but for counts, times and the reasons of successes.
func TestVerdictsTellAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(Options{}, scripted("+"))
		b.run(t)
		known := make(map[string]healthcheck.TargetStatus)
		set := func(step string, targets ...healthcheck.Target) {
			t.Helper()
			b.verdicts = nil
			b.Set(targets)
			synctest.Wait()
			was := known
			known = make(map[string]healthcheck.TargetStatus)
			for _, target := range targets {
				known[target.ID] = was[target.ID]
			}
			for _, v := range b.verdicts {
				known[v.ID] = v.TargetStatus
			}
			for id, is := range b.Status() {
				told := max(known[id].Health, healthcheck.Unknown)
				if told != is.Health || told != healthcheck.Unknown && !known[id].Since.Equal(is.Since) {
					t.Errorf("%s: %s is %+v, the verdicts say %+v", step, id, is, known[id])
				}
			}
		}
		sleep := func() {
			b.verdicts = nil
			time.Sleep(10 * time.Second)
			synctest.Wait()
			for _, v := range b.verdicts {
				known[v.ID] = v.TargetStatus
			}
		}
		a, other := target("a"), target("b")
		set("new", a)
		sleep()
		set("unchanged", a)
		sharer := a
		sharer.ID = "sharer"
		set("one that shares a probe", a, sharer)
		if known["sharer"].Health != healthcheck.Healthy {
			t.Errorf("the sharer is %s", known["sharer"].Health)
		}
		set("another one", a, other)
		sleep()
		a.Config.Fall++
		set("another check", a, other)
		a.Addr = other.Addr
		set("another address", a, other)
		a.Addr = target("c").Addr
		set("a new address", a, other)
		if known["a"].Health != healthcheck.Unknown {
			t.Errorf("at a new address it is %s", known["a"].Health)
		}
		sleep()
		a.Config.Timeout = -1
		set("no longer valid", a, other)
		set("gone", other)
	})
}

// Whether an unhealthy server is silent decides whether the director takes itself to be cut off.
func TestSilenceIsAVerdict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		b := newBench(Options{}, func(context.Context, *healthcheck.Target) healthcheck.Result {
			n++
			res := healthcheck.Fail("timeout after 1s while connecting")
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

// stuckLog is a log's reader that does not read until it is closed.
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

// A log that hangs keeps neither the verdict back nor a lock.
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
