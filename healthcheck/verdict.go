// SPDX-License-Identifier: Apache-2.0

package healthcheck

import (
	"container/heap"
	"time"
)

// A news is what a result changed.
type news struct {
	verdicts []Verdict // one for each target that shares the probe
	before   TargetStatus
	flap     string // words for the log, once each time that the target begins or ceases to flap
	quiet    bool   // it flaps, which the log has been told
}

// conclude takes in the result of a probe, schedules the next, and tells of what has changed.
func (r *Runner) conclude(p ended) {
	r.mu.Lock()
	n := r.settle(p)
	name, part, flap := p.entry.name, p.entry.part, p.entry.target.Config.Flap
	r.mu.Unlock()

	if p.result.panic != nil && n.before.Reason != p.result.reason {
		r.log.Error("check panicked", "target", name, "panic", p.result.panic.value, "stack", string(p.result.panic.stack))
	}
	if n.flap != "" {
		r.log.Warn(n.flap, "target", name, "changes", flap.Changes, "window", flap.Window, "held", flap.Hold)
	}
	if len(n.verdicts) == 0 {
		return
	}
	verdict := n.verdicts[0]
	log := r.log.Debug // a server may change its reason, or the weight that it asks for, with every probe
	if !part && (verdict.Health != n.before.Health && !n.quiet || verdict.Advice.Drain != n.before.Advice.Drain) {
		log = r.log.Info
	}
	args := []any{"was", n.before.Health, "reason", verdict.Reason}
	if len(n.verdicts) > 1 {
		args = append(args, "shared-by", len(n.verdicts))
	}
	switch to := p.entry.target.endpoint(); {
	case part:
		log("check is "+verdict.Health.String(), append([]any{"target", name, "type", p.entry.target.Config.Type}, args...)...)
	case to.Addr().IsValid():
		log("server is "+verdict.Health.String(), append([]any{"target", name, "address", to}, args...)...)
	default:
		log("target is "+verdict.Health.String(), append([]any{"target", name}, args...)...)
	}
	for _, v := range n.verdicts {
		r.notify(v)
	}
}

// settle counts a result, puts it into the target's status and the target back into the queue.
func (r *Runner) settle(p ended) news {
	e := p.entry
	before := e.status
	r.stats.InFlight--
	if p.result.panic != nil {
		r.stats.Panics++
	}
	if e.gone {
		return news{before: before} // the target was removed or changed meanwhile
	}
	e.stop()
	n := news{before: before}
	switch p.result.outcome {
	case notRun:
		r.stats.NotRun++
		r.lacked = p.result.reason
		if e.status.Checks == 0 {
			e.status.Reason = "not checked yet: " + p.result.reason
		}
	case failed:
		r.stats.Failed++
		n = e.record(p)
	case passed:
		n = e.record(p)
	}
	e.next(p.started, p.at, r.rand)
	heap.Push(&r.queue, e)
	return n
}

// record takes a success or failure into the status and tells what is new.
func (e *entry) record(p ended) news {
	s, c := &e.status, e.target.Config
	n := news{before: *s}
	success := p.result.outcome == passed
	rise, fall := c.Rise, c.Fall
	if p.result.decisive {
		rise, fall = 1, 1
	}
	t := tracker{s.Health, s.Streak}.step(success, rise, fall)
	e.note(&n, p.at, t.health != s.Health && !e.flap.held(p.at))
	if e.flap.held(p.at) {
		t.health = Unhealthy
	}
	changed := t.health != s.Health
	if changed {
		s.Since = p.at
	}
	s.Health, s.Streak, s.Flapping = t.health, t.streak, e.flap.is
	s.Reason = p.result.reason
	s.Silent = p.result.silent || success && s.Silent && s.Health == Unhealthy
	if success {
		s.Advice = p.result.advice
	}
	if e.flap.held(p.at) {
		s.Reason = "held down for " + c.Flap.Hold.String() + ", for it flaps; at last: " + p.result.reason
	}
	s.LastAt = p.at
	s.LastLatency = p.at.Sub(p.started)
	s.count(success)
	if !changed && s.Advice == n.before.Advice && (success || s.Health != Unhealthy || s.Reason == e.told) {
		return n
	}
	e.told = s.Reason
	for _, own := range e.ids {
		n.verdicts = append(n.verdicts, Verdict{ID: own.id, Health: s.Health, Reason: s.Reason, Since: s.Since, Advice: s.Advice, Silent: s.Silent, Flapping: s.Flapping})
	}
	return n
}

// note takes a change, or none, into the target's flapping.
func (e *entry) note(n *news, now time.Time, changed bool) {
	quiet := e.flap.is
	var began, ended bool
	e.flap, began, ended = e.flap.step(now, changed, e.target.Config.Flap)
	n.quiet = quiet && e.flap.is
	switch {
	case began:
		n.flap = "target flaps: its changes are no longer logged one by one"
	case ended:
		n.flap = "target flaps no longer"
	}
}

func (s *TargetStatus) count(success bool) {
	s.Checks++
	if success {
		s.Successes++
	} else {
		s.Failures++
	}
}

// complainEvery is how often the director's own trouble is logged, at most.
const complainEvery = 10 * time.Second

// A complaint is what was logged last of probes that the director could not run, or not in time.
type complaint struct {
	late, notRun uint64
	at           time.Time
}

// complain logs what kept probes from running since the last complaint.
func (r *Runner) complain() {
	r.mu.Lock()
	s, lacked := r.stats, r.lacked
	r.mu.Unlock()
	now := time.Now()
	late, notRun := s.StartedLate-r.complained.late, s.NotRun-r.complained.notRun
	if late+notRun == 0 || now.Sub(r.complained.at) < complainEvery {
		return
	}
	r.complained = complaint{late: s.StartedLate, notRun: s.NotRun, at: now}
	args := []any{"started-late", late, "not-run", notRun, "in-flight", s.InFlight, "most", r.maxInFlight}
	if notRun > 0 {
		args = append(args, "reason", lacked)
	}
	r.log.Warn("director cannot keep up with its checks", args...)
}
