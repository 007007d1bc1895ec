// SPDX-License-Identifier: Apache-2.0

package healthcheck

import (
	"container/heap"
	"time"
)

// conclude takes in the result of a probe, schedules the next, and tells of what has changed.
func (r *Runner) conclude(p ended) {
	r.mu.Lock()
	before := p.entry.status
	verdict := r.settle(p)
	r.mu.Unlock()

	id := p.entry.target.ID
	if p.result.panic != nil && before.Reason != p.result.reason {
		r.log.Error("check panicked", "target", id, "panic", p.result.panic.value, "stack", string(p.result.panic.stack))
	}
	if verdict == nil {
		return
	}
	log := r.log.Debug // a server may change its reason with every probe
	if verdict.Health != before.Health {
		log = r.log.Info
	}
	if to := p.entry.target.endpoint(); to.IsValid() {
		log("server is "+verdict.Health.String(), "target", id, "address", to, "was", before.Health, "reason", verdict.Reason)
	} else {
		log("target is "+verdict.Health.String(), "target", id, "was", before.Health, "reason", verdict.Reason)
	}
	r.notify(*verdict)
}

// settle counts a result, puts it into the target's status and the target back into the queue. It returns what there is
// to tell, or nil.
func (r *Runner) settle(p ended) *Verdict {
	e := p.entry
	r.stats.InFlight--
	if p.result.panic != nil {
		r.stats.Panics++
	}
	if r.entries[e.target.ID] != e {
		return nil // the target was removed or changed meanwhile
	}
	e.stop()
	e.next(p.started, p.at, r.rand)
	heap.Push(&r.queue, e)

	switch p.result.outcome {
	case abandoned:
		return nil
	case notRun:
		r.stats.NotRun++
		r.lacked = p.result.reason
		return nil
	case failed:
		r.stats.Failed++
	}
	return e.record(p)
}

// record takes a success or failure into the status and returns the verdict if there is a new one.
func (e *entry) record(p ended) *Verdict {
	s := &e.status
	success := p.result.outcome == passed
	t := tracker{s.Health, s.Streak}.step(success, e.target.Config.Rise, e.target.Config.Fall)
	changed := t.health != s.Health
	if changed {
		s.Since = p.at
	}
	s.Health, s.Streak = t.health, t.streak
	s.Reason, s.Silent = p.result.reason, p.result.silent
	s.LastAt = p.at
	s.LastLatency = p.at.Sub(p.started)
	s.Checks++
	if success {
		s.Successes++
	} else {
		s.Failures++
	}
	if !changed && (success || s.Health != Unhealthy || s.Reason == e.told) {
		return nil
	}
	e.told = s.Reason
	return &Verdict{ID: e.target.ID, Health: s.Health, Reason: s.Reason, Since: s.Since}
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
