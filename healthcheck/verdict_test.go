// SPDX-License-Identifier: Apache-2.0

package healthcheck

import (
	"testing"
	"time"
)

// A silent server that begins to answer stays silent until it is healthy. If an answer is a failure, it ends the silence at
// once.
func TestSilenceEndsWithASuccessThatCounts(t *testing.T) {
	silence, refusal := FailSilently(TimedOut, "timeout"), Fail(Refused, "connection refused")
	c := &Config{Type: TCP, Interval: time.Second, Rise: 2, Fall: 1}
	s := NewState(time.Time{})
	for i, step := range []struct {
		result Result
		health Health
		silent bool
	}{
		{Pass("connected"), Healthy, false},
		{silence, Unhealthy, true},
		{Pass("connected"), Unhealthy, true},
		{refusal, Unhealthy, false},
		{Pass("connected"), Unhealthy, false},
		{silence, Unhealthy, true},
		{Pass("connected"), Unhealthy, true},
		{Pass("connected"), Healthy, false},
	} {
		s.Record(c, step.result, time.Time{}, time.Time{})
		if s.Status.Health != step.health || s.Status.Silent != step.silent {
			t.Errorf("step %d, %q: %s, silent %v; want %s, %v",
				i, step.result.Reason, s.Status.Health, s.Status.Silent, step.health, step.silent)
		}
	}
}

// While a server is unhealthy, another cause of its failures is a verdict; another detail of the same cause is not.
func TestVerdictsFollowCauses(t *testing.T) {
	c := &Config{Type: Exec, Interval: time.Second, Rise: 2, Fall: 1}
	s := NewState(time.Time{})
	for i, step := range []struct {
		result  Result
		verdict bool
	}{
		{Pass("exit code 0"), true},
		{FailCode(Exited, 1, "exit code 1: pool is empty"), true},
		{FailCode(Exited, 1, "exit code 1: no route"), false},
		{FailCode(Exited, 2, "exit code 2: no route"), true},
		{Fail(TimedOut, "timeout after 1s while the program ran"), true},
		{Pass("exit code 0"), false},
		{Fail(TimedOut, "timeout after 1s while the program ran"), false},
		{FailSilently(TimedOut, "timeout after 1s while the program ran"), true},
		{Pass("exit code 0"), false},
		{Pass("exit code 0"), true},
	} {
		if got := s.Record(c, step.result, time.Time{}, time.Time{}.Add(time.Duration(i))); got.Verdict != step.verdict {
			t.Errorf("step %d, %q: verdict %t, want %t", i, step.result.Reason, got.Verdict, step.verdict)
		}
	}
}

// While the director cannot run a check, the health stays for 3 × fall × interval. After that it is unknown, and one success,
// or fall failures, set it again.
func TestVerdictExpires(t *testing.T) {
	c := &Config{Type: HTTPS, Interval: time.Second, Rise: 2, Fall: 3}
	for _, was := range []Health{Healthy, Unhealthy} {
		s := NewState(time.Time{})
		now := time.Unix(0, 0)
		r := Pass("status 200")
		if was == Unhealthy {
			r = Fail(Refused, "connection refused")
		}
		for range c.Fall {
			s.Record(c, r, now, now)
		}
		for i := range 15 {
			now = now.Add(time.Second)
			change := s.Lack(c, "no such file", now)
			expired := i >= 9
			want := was
			if expired {
				want = Unknown
			}
			if is := s.Status; is.Health != want || is.Expired != expired || is.Trouble != "no such file" || change.Verdict != (i == 9) {
				t.Fatalf("%s, lack %d: %+v, verdict %t", was, i, is, change.Verdict)
			}
		}
		if want := "unknown, because the director cannot run the check: no such file"; s.Status.Reason != want {
			t.Errorf("reason %q, want %q", s.Status.Reason, want)
		}
		for i, health := range []Health{Unknown, Unknown, Unhealthy} {
			if s.Record(c, Fail(Refused, "connection refused"), now, now); s.Status.Health != health || s.Status.Trouble != "" {
				t.Errorf("%s, failure %d after it: %+v", was, i, s.Status)
			}
		}
	}
}

// A single result between two lacks keeps the verdict.
func TestResultsKeepAVerdict(t *testing.T) {
	c := &Config{Type: HTTPS, Interval: time.Second, Rise: 2, Fall: 1}
	s := NewState(time.Time{})
	for i := range 100 {
		now := time.Unix(int64(i), 0)
		if s.Lack(c, "too many open files", now); i%3 == 0 {
			s.Record(c, Pass("status 200"), now, now)
		}
	}
	if s.Status.Health != Healthy {
		t.Errorf("got %+v", s.Status)
	}
}

// TestVerdictDoesNotOutliveAStandstill: after a standstill of more than an interval it is not known whether a healthy server
// still works. A success shows that it does. A dead server is found after the usual number of failures, however often the
// director stands still meanwhile.
func TestVerdictDoesNotOutliveAStandstill(t *testing.T) {
	c := &Config{Type: TCP, Interval: time.Second, Rise: 2, Fall: 3}
	pass, fail := Pass("connected"), FailSilently(TimedOut, "timeout")
	var at time.Time
	s := NewState(at)
	for i, step := range []struct {
		stall  time.Duration
		result *Result
		health Health
	}{
		{stall: time.Minute, health: Unknown},
		{result: &pass, health: Healthy},
		{stall: time.Second, health: Healthy},
		{stall: 1001 * time.Millisecond, health: Unknown},
		{result: &pass, health: Healthy},
		{result: &fail, health: Healthy},
		{stall: 2 * time.Second, health: Unknown},
		{result: &fail, health: Unknown},
		{stall: 2 * time.Second, health: Unknown},
		{result: &fail, health: Unhealthy},
		{stall: time.Minute, health: Unhealthy},
	} {
		before := s.Status.Health
		var change Change
		if step.result != nil {
			change = s.Record(c, *step.result, at, at)
		} else {
			change = s.Stall(c, step.stall, at)
		}
		if s.Status.Health != step.health || before != step.health && !change.Verdict {
			t.Errorf("step %d: %s (%s), verdict %t; want %s", i, s.Status.Health, s.Status.Reason, change.Verdict, step.health)
		}
	}
}

// TestReasonWhileRising: an unhealthy server that passes again has a reason that says so. "status 200" alone would be a riddle.
func TestReasonWhileRising(t *testing.T) {
	c := &Config{Type: HTTP, Interval: time.Second, Rise: 3, Fall: 1}
	s := NewState(time.Time{})
	rising := "status 200; passes again, and is healthy after 3 in a row"
	for i, step := range []struct {
		result Result
		reason string
	}{
		{Fail(TimedOut, "timeout"), "timeout"},
		{Pass("status 200"), rising},
		{Fail(TimedOut, "timeout"), "timeout"},
		{Pass("status 200"), rising},
		{Pass("status 200"), rising},
		{Pass("status 200"), "status 200"},
	} {
		s.Record(c, step.result, time.Time{}, time.Time{}.Add(time.Duration(i)))
		if s.Status.Reason != step.reason {
			t.Errorf("step %d: %q, want %q", i, s.Status.Reason, step.reason)
		}
	}
}
