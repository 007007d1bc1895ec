// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lvs/tandem/healthcheck"
)

// A bench is a runner in a bubble of fake time. A function takes the place of its servers.
type bench struct {
	*Runner
	verdicts []healthcheck.Verdict // Notify's
	log      bytes.Buffer
	stop     func() // ends Run and waits for it
}

// newBench makes a runner that is not yet running.
func newBench(o Options, probe func(context.Context, *healthcheck.Target) healthcheck.Result) *bench {
	b := &bench{}
	o.Log = hclog.New(&hclog.LoggerOptions{Output: &b.log, Level: hclog.Info, DisableTime: true})
	o.Rand = rand.New(rand.NewPCG(1, 2))
	o.Notify = func(v healthcheck.Verdict) { b.verdicts = append(b.verdicts, v) }
	b.Runner = New(o)
	b.probe, b.newPoller = probe, newSleeper
	return b
}

// run starts Run, which ends with the test at the latest.
func (b *bench) run(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	b.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(b.stop)
}

// target is checked every 2 s, rise 2, fall 3. Target a has 192.0.2.1; each target has its own address.
func target(id string) healthcheck.Target {
	addr := netip.AddrFrom4([4]byte{192, 0, 2, 1})
	if id != "a" {
		sum := sha256.Sum256([]byte(id))
		addr = netip.AddrFrom16([16]byte(append([]byte{0x20, 0x01, 0x0d, 0xb8}, sum[:12]...)))
	}
	return healthcheck.Target{ID: id, Addr: netip.AddrPortFrom(addr, 80), Config: healthcheck.DefaultConfig(healthcheck.TCP)}
}

// scripted answers with one letter of script for each probe, and always with the last letter after that: + success, r
// connection refused, t timeout, f no file descriptor, p panic.
func scripted(script string) func(context.Context, *healthcheck.Target) healthcheck.Result {
	return func(ctx context.Context, _ *healthcheck.Target) healthcheck.Result {
		answer := script[0]
		if len(script) > 1 {
			script = script[1:]
		}
		switch answer {
		case '+':
			return healthcheck.Pass("connected")
		case 'r':
			return healthcheck.Fail(healthcheck.Refused, "connection refused")
		case 't':
			<-ctx.Done()
			return timedOut(ctx)
		case 'f':
			return healthcheck.Result{Outcome: healthcheck.NotRun, Reason: "too many open files"}
		}
		panic("no such answer")
	}
}

// timedOut returns the result of a probe whose ctx is done.
func timedOut(ctx context.Context) healthcheck.Result {
	if errors.Is(ctx.Err(), context.Canceled) {
		return healthcheck.Result{Outcome: healthcheck.Abandoned}
	}
	return healthcheck.FailSilently(healthcheck.TimedOut, "timeout after 1s while connecting")
}

func TestVerdicts(t *testing.T) {
	tests := []struct {
		name, script string
		want         []string
	}{
		{"works", "+", []string{"healthy: connected"}},
		{"never works", "r", []string{"unhealthy: connection refused"}},
		{"fails, then returns", "+rrr++", []string{"healthy: connected", "unhealthy: connection refused", "healthy: connected"}},
		{"one failure is none", "+r+r+", []string{"healthy: connected"}},
		{"fails for another reason", "rrrrttr", []string{
			"unhealthy: connection refused", "unhealthy: timeout after 1s while connecting", "unhealthy: connection refused"}},
		{"a success that is too few says nothing", "rrr+rrr+r", []string{"unhealthy: connection refused"}},
		{"panics", "+p", []string{"healthy: connected", "unhealthy: the check panicked"}},
		{"the director's want is nobody's failure", "+ffffffff", []string{"healthy: connected",
			"unknown: unknown, because the director cannot run the check: too many open files"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(Options{}, scripted(tt.script))
				b.Set([]healthcheck.Target{target("a")})
				b.run(t)
				time.Sleep(time.Minute)
				b.stop()
				var got []string
				for _, v := range b.verdicts {
					if v.ID != "a" {
						t.Errorf("verdict on %q", v.ID)
					}
					got = append(got, v.Health.String()+": "+v.Reason)
				}
				if !reflect.DeepEqual(got, tt.want) {
					t.Errorf("verdicts %q, want %q", got, tt.want)
				}
			})
		})
	}
}

func TestSinceIsOfTheHealth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(Options{}, scripted("rrrt"))
		start := time.Now()
		b.Set([]healthcheck.Target{target("a")})
		if s := b.Status()["a"]; s.Health != healthcheck.Unknown || !s.Since.Equal(start) || s.Reason != "not checked yet" {
			t.Errorf("before the first probe: %+v", s)
		}
		b.run(t)
		time.Sleep(20 * time.Second)
		b.stop()
		if len(b.verdicts) != 2 {
			t.Fatalf("verdicts %v, want two", b.verdicts)
		}
		if b.verdicts[0].Since.Equal(start) || !b.verdicts[1].Since.Equal(b.verdicts[0].Since) {
			t.Errorf("unhealthy since %s, and with another reason since %s", b.verdicts[0].Since, b.verdicts[1].Since)
		}
	})
}

func TestStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answer := scripted("rrrr+")
		b := newBench(Options{}, func(ctx context.Context, target *healthcheck.Target) healthcheck.Result {
			time.Sleep(3 * time.Millisecond)
			return answer(ctx, target)
		})
		b.Set([]healthcheck.Target{target("a")})
		b.run(t)
		for b.Status()["a"].Checks < 5 {
			time.Sleep(time.Millisecond)
		}
		s := b.Status()["a"]
		want := healthcheck.TargetStatus{Health: healthcheck.Unhealthy, Since: s.Since, LastAt: s.LastAt,
			Reason:      "connected; passes again, and is healthy after 2 in a row",
			LastLatency: 3 * time.Millisecond, Streak: 1, Checks: 5, Successes: 1, Failures: 4}
		if s != want {
			t.Errorf("status\n%+v, want\n%+v", s, want)
		}
		if ago := time.Since(s.LastAt); ago > time.Millisecond {
			t.Errorf("last check ended %s ago", ago)
		}
		text, err := json.Marshal(b.Status())
		if err != nil || !strings.Contains(string(text), `"a":{"health":"unhealthy","since":"`) ||
			!strings.Contains(string(text), `"last_latency_ns":3000000,"flapping":false,"streak":1,"checks":5,"successes":1,"failures":4}`) {
			t.Errorf("JSON: %s, %v", text, err)
		}
		if got := b.Stats(); got.Probes != 5 || got.Failed != 4 || got.InFlight != 0 || got.StartedLate != 0 {
			t.Errorf("stats %+v", got)
		}
	})
}

func TestPanicIsContained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(Options{}, func(_ context.Context, target *healthcheck.Target) healthcheck.Result {
			if target.ID == "bad" {
				panic("index out of luck")
			}
			return healthcheck.Pass("connected")
		})
		b.Set([]healthcheck.Target{target("bad"), target("good")})
		b.run(t)
		time.Sleep(time.Minute)
		b.stop()
		if s := b.Status(); s["bad"].Health != healthcheck.Unhealthy || s["good"].Health != healthcheck.Healthy || s["good"].Failures != 0 {
			t.Errorf("status %+v", s)
		}
		if got := b.Stats(); got.Panics < 25 || got.Failed != got.Panics {
			t.Errorf("stats %+v", got)
		}
		log := b.log.String()
		if strings.Count(log, "index out of luck") != 1 || !strings.Contains(log, "TestPanicIsContained") {
			t.Errorf("the stack must be logged, once:\n%s", log)
		}
	})
}

func TestDirectorsTroubleIsLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(Options{}, scripted("f"))
		var targets []healthcheck.Target
		for i := range 100 {
			targets = append(targets, target(fmt.Sprint(i)))
		}
		b.Set(targets)
		b.run(t)
		time.Sleep(time.Minute)
		b.stop()
		if got := b.Stats(); got.NotRun < 2500 || got.Failed != 0 {
			t.Errorf("stats %+v", got)
		}
		log := b.log.String()
		if n := strings.Count(log, "\n"); n < 5 || n > 7 || !strings.Contains(log, `reason="too many open files"`) {
			t.Errorf("%d lines in a minute, want one every 10 s with the reason:\n%s", n, log)
		}
	})
}

func TestOneLogLineForAChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(Options{}, scripted("+rrrrtrtrt++"))
		b.Set([]healthcheck.Target{target("a")})
		b.run(t)
		time.Sleep(time.Minute)
		b.stop()
		want := `[INFO]  server is healthy: target=a address=192.0.2.1:80 was=unknown reason=connected
[INFO]  server is unhealthy: target=a address=192.0.2.1:80 was=healthy reason="connection refused"
[INFO]  server is healthy: target=a address=192.0.2.1:80 was=unhealthy reason=connected
`
		if got := b.log.String(); got != want {
			t.Errorf("log\n%swant\n%s", got, want)
		}
	})
}

// The zero Options work, and Notify may call the runner.
func TestNotifyMayCallBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r *Runner
		called := false
		r = New(Options{Notify: func(v healthcheck.Verdict) {
			called = r.Status()[v.ID].Health == v.Health
			r.Set(nil)
		}})
		r.probe, r.newPoller = scripted("+"), newSleeper
		r.Set([]healthcheck.Target{target("a")})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := r.Run(ctx); err != nil {
			t.Error(err)
		}
		if !called || len(r.Status()) != 0 || r.Stats().Probes != 1 {
			t.Errorf("called %v, status %v, stats %+v", called, r.Status(), r.Stats())
		}
		if err := New(Options{}).Run(ctx); err != nil {
			t.Error(err)
		}
	})
}

func TestRunEndsItsProbes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(Options{}, scripted("+t")) // the second probe lasts until it is cancelled
		b.Set([]healthcheck.Target{target("a"), target("b")})
		b.run(t)
		for b.Stats().InFlight == 0 {
			time.Sleep(time.Millisecond)
		}
		before := time.Now()
		b.stop()
		if took := time.Since(before); took != 0 {
			t.Errorf("Run took %s to end", took)
		}
		probes := b.Stats().Probes
		for id, s := range b.Status() {
			if s.Failures != 0 {
				t.Errorf("%s: a cancelled probe counts as failure: %+v", id, s)
			}
		}
		if got := b.Stats(); got.InFlight != 0 || got.Failed != 0 {
			t.Errorf("stats %+v", got)
		}
		time.Sleep(time.Minute)
		if b.Stats().Probes != probes {
			t.Error("probes go on after Run")
		}
		b.probe = scripted("+")
		b.run(t)
		time.Sleep(10 * time.Second)
		b.stop()
		if got := b.Status()["a"]; got.Health != healthcheck.Healthy || got.Checks < 5 {
			t.Errorf("second Run: %+v", got)
		}
	})
}
