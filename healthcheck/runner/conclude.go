// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"container/heap"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/healthcheck/probe/epoll"
)

// standstill is the lateness of Run from which the director counts as having stood still: it was stopped by a signal, suspended
// with its machine, or without a processor.
const standstill = 50 * time.Millisecond

// A news has everything that the log lines about one result need.
type news struct {
	healthcheck.Change
	name   string // of the target
	part   bool
	shared int // targets that share the probe
	after  healthcheck.TargetStatus
}

// conclude handles the result of a probe, schedules the next one, and reports the changes: first to Notify, then to the log,
// which may be slow.
func (r *Runner) conclude(p epoll.Ended) {
	e := p.Owner.(*entry)
	r.mu.Lock()
	n := news{Change: r.settle(e, p), name: e.name(), part: e.part(), shared: len(e.members), after: e.state.Status}
	if n.Verdict {
		for _, m := range e.members {
			r.verdicts = append(r.verdicts, healthcheck.Verdict{ID: m.id, TargetStatus: n.after})
		}
	}
	r.mu.Unlock()
	r.notifyAll()
	r.logChange(e, p.Result, n)
}

// notifyAll passes the verdicts to Notify.
func (r *Runner) notifyAll() {
	r.mu.Lock()
	all := r.verdicts
	r.verdicts = nil
	r.mu.Unlock()
	for _, v := range all {
		r.notify(v)
	}
}

// uncounted reports whether a failure does not count. If the director stood still during the probe, the server may have answered
// in time. One failure in a row is not counted for this reason: a director that is always late still finds failed servers.
// Timeouts of a server that has sent something are never counted: a director that is late also asks late.
func (r *Runner) uncounted(e *entry, p epoll.Ended) bool {
	overdue := p.At.Sub(p.Started) > e.target.Config.Timeout+standstill
	late := overdue || p.Started.Before(r.stoodStill)
	again := e.repeated && (p.Result.Silent || p.Result.Cause.Kind != healthcheck.TimedOut)
	return late && !again && !p.Result.Decisive && p.Result.Panic == nil
}

// stall ends the validity of verdicts that are too old after a standstill. Their probes are overdue, and so run at once.
func (r *Runner) stall(lasted time.Duration) {
	r.mu.Lock()
	n, now := 0, r.stoodStill
	for e := range distinct(r.entries) {
		if !e.state.Stall(&e.target.Config, lasted, now).Verdict {
			continue
		}
		n++
		for _, m := range e.members {
			r.verdicts = append(r.verdicts, healthcheck.Verdict{ID: m.id, TargetStatus: e.state.Status})
		}
	}
	r.mu.Unlock()
	r.notifyAll()
	if n > 0 {
		r.log.Warn("director stood still: checking anew what was healthy before", "for", lasted.Round(time.Millisecond), "targets", n)
	}
}

// asleep returns how long the machine has been suspended since the last call. Go's clock does not count this time.
func (r *Runner) asleep() time.Duration {
	var boot, monotonic unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &boot) != nil || unix.ClockGettime(unix.CLOCK_MONOTONIC, &monotonic) != nil {
		return 0
	}
	total := time.Duration(boot.Nano() - monotonic.Nano())
	slept := total - r.suspended
	r.suspended = total
	return slept
}

// settle counts a result, and puts the entry back into the queue.
func (r *Runner) settle(e *entry, p epoll.Ended) healthcheck.Change {
	change := healthcheck.Change{Before: e.state.Status}
	r.stats.InFlight--
	if p.Result.Panic != nil {
		r.stats.Panics++
	}
	if e.gone {
		return change // the target was removed or changed meanwhile
	}
	e.stop()
	c := &e.target.Config
	atOnce := !e.repeated
	if e.repeated = p.Result.Outcome == healthcheck.Failed && r.uncounted(e, p); e.repeated {
		p.Result = healthcheck.Result{Outcome: healthcheck.NotRun, Reason: "the director stood still during the probe"}
	}
	switch p.Result.Outcome {
	case healthcheck.NotRun:
		r.stats.NotRun++
		r.lacked = p.Result.Reason
		change = e.state.Lack(c, p.Result.Reason, p.At)
	case healthcheck.Failed:
		r.stats.Failed++
		fallthrough
	case healthcheck.Passed:
		change = e.state.Record(c, p.Result, p.Started, p.At)
	case healthcheck.NoWord:
		change = e.state.Abstain(p.Result.Reason, p.Started, p.At)
	}
	e.Next(p.Started, p.At, e.state.Pause(c), c, r.rand)
	if e.repeated && atOnce {
		e.Due = p.At
	}
	heap.Push(&r.queue, e)
	return change
}

// logChange logs what a result changed.
func (r *Runner) logChange(e *entry, res healthcheck.Result, n news) {
	before, name, c := n.Before, n.name, &e.target.Config
	if res.Panic != nil && !n.Again {
		r.log.Error("check panicked", "target", name, "panic", res.Panic.Value, "stack", string(res.Panic.Stack))
	}
	args := []any{"target", name, "changes", c.Flap.Changes, "window", c.Flap.Window, "held", c.Flap.Hold}
	switch n.Flap {
	case healthcheck.FlapBegan:
		r.log.Warn("target flaps: its changes are not logged until it stops", args...)
	case healthcheck.FlapEnded:
		r.log.Warn("target no longer flaps", args...)
	}
	if !n.Verdict {
		return
	}
	log := r.log.Debug // a server may change its reason, or the weight that it asks for, with every probe
	if !n.part && (n.after.Health != before.Health && !n.Quiet || n.after.Advice.Drain != before.Advice.Drain) {
		log = r.log.Info
	}
	args = []any{"was", before.Health, "reason", n.after.Reason}
	if n.shared > 1 {
		args = append(args, "shared-by", n.shared)
	}
	switch to := e.target.Endpoint(); {
	case n.part:
		log("check is "+n.after.Health.String(), append([]any{"target", name, "type", c.Type}, args...)...)
	case to.Addr().IsValid():
		log("server is "+n.after.Health.String(), append([]any{"target", name, "address", to}, args...)...)
	default:
		log("target is "+n.after.Health.String(), append([]any{"target", name}, args...)...)
	}
}

// complainEvery is the shortest time between two log lines about probes that the director could not run.
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
