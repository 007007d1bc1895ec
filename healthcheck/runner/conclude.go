// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"container/heap"
	"time"

	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/healthcheck/probe/epoll"
)

// A news is what Run says about one result.
type news struct {
	change   healthcheck.Change
	verdicts []healthcheck.Verdict // one for each target that shares the probe
}

// conclude takes in the result of a probe, schedules the next one, and tells what has changed.
func (r *Runner) conclude(p epoll.Ended) {
	e := p.Owner.(*entry)
	r.mu.Lock()
	n := r.settle(e, p)
	name, part := e.name, e.part
	r.mu.Unlock()
	r.logChange(e, name, part, p.Result, n)
	for _, v := range n.verdicts {
		r.notify(v)
	}
}

// settle counts a result, and puts the entry back into the queue.
func (r *Runner) settle(e *entry, p epoll.Ended) news {
	n := news{change: healthcheck.Change{Before: e.state.Status}}
	r.stats.InFlight--
	if p.Result.Panic != nil {
		r.stats.Panics++
	}
	if e.gone {
		return n // the target was removed or changed meanwhile
	}
	e.stop()
	c := &e.target.Config
	switch p.Result.Outcome {
	case healthcheck.NotRun:
		r.stats.NotRun++
		r.lacked = p.Result.Reason
		e.state.Lack(p.Result.Reason)
	case healthcheck.Failed:
		r.stats.Failed++
		fallthrough
	case healthcheck.Passed:
		n.change = e.state.Record(c, p.Result, p.Started, p.At)
	}
	if n.change.Verdict {
		s := e.state.Status
		for _, own := range e.ids {
			n.verdicts = append(n.verdicts, healthcheck.Verdict{ID: own.id, TargetStatus: s})
		}
	}
	e.Next(p.Started, p.At, e.state.Pause(c), c, r.rand)
	heap.Push(&r.queue, e)
	return n
}

// logChange logs what a result changed.
func (r *Runner) logChange(e *entry, name string, part bool, res healthcheck.Result, n news) {
	before, c := n.change.Before, &e.target.Config
	if res.Panic != nil && before.Reason != res.Reason {
		r.log.Error("check panicked", "target", name, "panic", res.Panic.Value, "stack", string(res.Panic.Stack))
	}
	args := []any{"target", name, "changes", c.Flap.Changes, "window", c.Flap.Window, "held", c.Flap.Hold}
	switch n.change.Flap {
	case healthcheck.FlapBegan:
		r.log.Warn("target flaps: its changes are no longer logged one by one", args...)
	case healthcheck.FlapEnded:
		r.log.Warn("target flaps no longer", args...)
	}
	if len(n.verdicts) == 0 {
		return
	}
	verdict := n.verdicts[0]
	log := r.log.Debug // a server may change its reason, or the weight that it asks for, with every probe
	if !part && (verdict.Health != before.Health && !n.change.Quiet || verdict.Advice.Drain != before.Advice.Drain) {
		log = r.log.Info
	}
	args = []any{"was", before.Health, "reason", verdict.Reason}
	if len(n.verdicts) > 1 {
		args = append(args, "shared-by", len(n.verdicts))
	}
	switch to := e.target.Endpoint(); {
	case part:
		log("check is "+verdict.Health.String(), append([]any{"target", name, "type", c.Type}, args...)...)
	case to.Addr().IsValid():
		log("server is "+verdict.Health.String(), append([]any{"target", name, "address", to}, args...)...)
	default:
		log("target is "+verdict.Health.String(), append([]any{"target", name}, args...)...)
	}
}

// complainEvery is the shortest time between two log lines about the director's own trouble.
const complainEvery = 10 * time.Second

// A complaint is the last log line about probes that the director could not run, or not in time.
type complaint struct {
	late, notRun uint64
	at           time.Time
}

// complain logs what has kept probes from running since the last complaint.
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
