// SPDX-License-Identifier: Apache-2.0

package healthcheck

import (
	"fmt"
	"time"
)

// A State is the state of a target after the results of one check. It is a value: it reads no clock.
type State struct {
	Status TargetStatus
	flap   flapping
	cause  Cause     // of the latest failure
	word   string    // the reason of the latest result that said something
	since  time.Time // when the director first could not run a probe since the latest result; zero: it can run them
}

// An essence is the part of a state that may affect decisions. A verdict reports every change of it.
type essence struct {
	health   Health
	since    time.Time
	flapping bool
	expired  bool
	advice   Advice
	silent   bool  // while unhealthy
	cause    Cause // while unhealthy
}

func (s *State) essence() essence {
	e := essence{health: s.Status.Health, since: s.Status.Since, flapping: s.Status.Flapping, expired: s.Status.Expired, advice: s.Status.Advice}
	if e.health == Unhealthy {
		e.silent, e.cause = s.Status.Silent, s.cause
	}
	return e
}

// Differs reports whether a verdict must report the change from one state to another.
func (s *State) Differs(other *State) bool { return s.essence() != other.essence() }

// A FlapTurn says whether a target has just begun or ceased to flap.
type FlapTurn uint8

// The turns; the zero value is none.
const (
	FlapBegan FlapTurn = iota + 1
	FlapEnded
)

// A Change says what one result has changed.
type Change struct {
	Before  TargetStatus
	Verdict bool // the target's owner must get a verdict
	Again   bool // the result before was a failure with the same cause
	Flap    FlapTurn
	Quiet   bool // the target still flaps, and the log has already said so
}

// NewState returns the state of a target without results.
func NewState(now time.Time) State {
	return State{Status: TargetStatus{Health: Unknown, Since: now, Reason: "not checked yet"}}
}

// UnderNewCheck returns the first state of another check of the same target. Results in a row are not kept: they do not count
// for the rise and fall of another check.
func (s State) UnderNewCheck() State {
	s.Status.Streak, s.Status.Trouble, s.Status.Expired, s.since = 0, "", false, time.Time{}
	return s
}

// Pause returns the time from the start of one probe to the start of the next, before jitter.
func (s *State) Pause(c *Config) time.Duration {
	switch t := (tracker{s.Status.Health, s.Status.Streak}); {
	case c.FastInterval > 0 && t.undecided(c.Rise):
		return c.FastInterval
	case c.IntervalDown > 0 && t.health == Unhealthy:
		return c.IntervalDown
	}
	return c.Interval
}

// Expiry returns how long the last health is valid while the director cannot run the probes. It is three times the time that a
// check needs to find that a server has failed.
func (c *Config) Expiry() time.Duration { return 3 * time.Duration(max(c.Fall, 1)) * c.Longest() }

// Lack records that the director could not run a probe, and returns what has changed. This is the director's own fault, not a
// failure of the server. The health stays for the check's Expiry. After that it is unknown, and the next results count as
// those of a new server.
func (s *State) Lack(c *Config, reason string, at time.Time) Change {
	is, before := &s.Status, s.essence()
	change := Change{Before: *is}
	if s.since.IsZero() {
		s.since = at
	}
	is.Trouble = reason
	is.Expired = at.Sub(s.since) >= c.Expiry()
	if is.Expired && is.Health != Unknown {
		is.Health, is.Since, is.Streak, is.Silent = Unknown, at, 0, false
	}
	switch {
	case is.Checks == 0:
		is.Reason = "not checked yet: " + reason
	case is.Health == Unknown:
		is.Reason = "unknown, because the director cannot run the check: " + reason
	}
	change.Verdict = s.essence() != before
	return change
}

// Stall records that the director stood still, and returns what has changed. A probe that was due meanwhile was not made, so
// it is not known whether the server still works. The next results decide. Failures before the standstill still count: a
// director that stands still again and again must find a dead server too.
func (s *State) Stall(c *Config, lasted time.Duration, at time.Time) Change {
	is := &s.Status
	change := Change{Before: *is}
	if is.Health != Healthy || lasted <= c.Interval {
		return change
	}
	is.Health, is.Since, is.Streak = Unknown, at, min(is.Streak, 0)
	is.Reason = "unknown, because the director stood still for " + short(lasted.Round(time.Millisecond))
	change.Verdict = true
	return change
}

// Abstain records a probe that has nothing to say about the server, and returns what has changed. Its health and advice stay. A
// target without results is healthy.
func (s *State) Abstain(reason string, started, at time.Time) Change {
	is, before := &s.Status, s.essence()
	change := Change{Before: *is}
	s.since, is.Trouble, is.Expired = time.Time{}, "", false
	if is.Health == Unknown {
		is.Health, is.Since = Healthy, at
	}
	is.Reason = "no word: " + reason
	if s.word != "" {
		is.Reason = s.word + "; since then no word: " + reason
	}
	is.LastAt, is.LastLatency = at, at.Sub(started)
	is.count(false)
	change.Verdict = s.essence() != before
	return change
}

// Record counts a success or failure of a probe that took from started to at, and says what it changed.
func (s *State) Record(c *Config, r Result, started, at time.Time) Change {
	is, before := &s.Status, s.essence()
	s.since, is.Trouble, is.Expired = time.Time{}, "", false
	change := Change{Before: *is, Again: is.Streak < 0 && s.cause == r.Cause}
	success := r.Outcome == Passed
	rise, fall := c.Rise, c.Fall
	if r.Decisive {
		rise, fall = 1, 1
	}
	t := tracker{is.Health, is.Streak}.step(success, rise, fall)
	wasFlapping := s.flap.is
	s.flap, change.Flap = s.flap.step(at, t.health != is.Health && !s.flap.held(at), c.Flap)
	change.Quiet = wasFlapping && s.flap.is
	held := s.flap.held(at)
	if held {
		t.health = Unhealthy
	}
	if t.health != is.Health {
		is.Since = at
	}
	is.Health, is.Streak, is.Flapping = t.health, t.streak, s.flap.is
	is.Reason, s.word = r.Reason, r.Reason
	is.Silent = r.Silent || success && is.Silent && is.Health == Unhealthy
	if success {
		is.Advice = r.Advice
	} else {
		s.cause = r.Cause
	}
	if success && is.Health == Unhealthy { // without the rest, an unhealthy server's reason is "status 200"
		is.Reason += fmt.Sprintf("; passes again, and is healthy after %d in a row", rise)
	}
	if held {
		is.Reason = "flapping: held down for " + short(c.Flap.Hold) + "; last result: " + r.Reason
	}
	is.LastAt = at
	is.LastLatency = at.Sub(started)
	is.count(success)
	change.Verdict = s.essence() != before
	return change
}

func (s *TargetStatus) count(success bool) {
	s.Checks++
	if success {
		s.Successes++
	} else {
		s.Failures++
	}
}
