// SPDX-License-Identifier: Apache-2.0

package hooks

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/tandem-lvs/tandem/configs"
)

// Start returns the runs that are to be started now.
func (q *Queue) Start(now time.Time) (runs []Run) {
	for _, l := range slices.SortedFunc(maps.Keys(q.retrying), byName) {
		if !l.due().After(now) {
			q.wake(l)
		}
	}
	for c := range classes {
		for q.busy[c] < maxRuns[c] && len(q.ready[c]) > 0 {
			l := q.ready[c][0]
			q.ready[c] = q.ready[c][1:]
			l.queued = false
			if len(l.pending) == 0 {
				continue
			}
			i := l.next(now)
			if i < 0 {
				q.retrying[l] = true
				continue
			}
			runs = append(runs, q.begin(l, i))
		}
	}
	return runs
}

// next returns the index of the entry to start. -1: only retries wait. A retry that waits lets only entries of the same event
// pass.
func (l *line) next(now time.Time) int {
	for i, e := range l.pending {
		if e.seq != l.pending[0].seq {
			break
		}
		if !e.due.After(now) {
			return i
		}
	}
	return -1
}

// due is when the first of the waiting retries is due. The queue is not empty.
func (l *line) due() time.Time {
	var first time.Time
	for _, e := range l.pending {
		if e.seq == l.pending[0].seq && (first.IsZero() || e.due.Before(first)) {
			first = e.due
		}
	}
	return first
}

func (q *Queue) begin(l *line, i int) Run {
	e := l.pending[i]
	l.pending = append(l.pending[:i], l.pending[i+1:]...)
	e.attempt++
	if isState(e.ev.What) {
		l.began = e.ev.What
		q.dirty[l.subject.class()] = true
	}
	q.lastID++
	l.run, l.runID = &e, q.lastID
	q.running[l.runID] = l
	q.busy[l.subject.class()]++
	q.waiting--
	is := q.stat(e.hook)
	is.Waiting = max(0, is.Waiting-1)
	is.Running++
	return Run{ID: l.runID, Hook: e.hook, Event: e.ev, Attempt: e.attempt}
}

// Ended takes the result of a run.
func (q *Queue) Ended(now time.Time, id uint64, r Result) {
	l := q.running[id]
	if l == nil {
		return
	}
	delete(q.running, id)
	q.busy[l.subject.class()]--
	e := *l.run
	l.run = nil
	name := e.hook.Name
	is := q.stat(e.hook)
	is.Running = max(0, is.Running-1)
	is.Last = &Ended{Subject: l.subject, What: e.ev.What, Attempt: e.attempt, Result: r}
	pairs := []any{"hook", name, "subject", l.subject.String(), "event", e.ev.What.String(), "attempt", e.attempt, "took", r.Took.Round(time.Millisecond)}
	if r.Problem == "" {
		is.Succeeded++
		q.notice(Notice{Message: "hook told", Pairs: pairs, Subject: l.subject, What: fmt.Sprintf("told hook %s the event %s", name, e.ev.What)})
		q.setFailed(l, name, false)
		if isState(e.ev.What) {
			q.told(l, &e)
		}
	} else {
		is.Failed++
		is.LastFailure = is.Last
		again := q.retry(now, l, e)
		q.notice(Notice{
			Failed: true, Message: "hook failed", Pairs: append(pairs, "error", r.Problem, "again", again),
			Subject: l.subject, What: fmt.Sprintf("failed to tell hook %s the event %s, attempt %d", name, e.ev.What, e.attempt), Cause: r.Problem,
		})
		if !again && !l.tellsState(e.hook) {
			is.GivenUp = is.Last
			q.setFailed(l, name, true)
		}
	}
	q.wake(l)
	q.tidy(l)
}

// Beside counts the result of a run that was not started by Start.
func (q *Queue) Beside(run Run, r Result) {
	is := q.stat(run.Hook)
	is.Last = &Ended{Subject: run.Event.Subject, What: run.Event.What, Attempt: run.Attempt, Result: r}
	if r.Problem == "" {
		is.Succeeded++
		return
	}
	is.Failed++
	is.LastFailure = is.Last
}

// told records that a hook was told a state, unless it will be told a newer one.
func (q *Queue) told(l *line, e *entry) {
	q.dirty[l.subject.class()] = true
	if l.tellsState(e.hook) {
		return
	}
	if _, ever := l.told[e.hook.Name]; ever { // the hook was not removed meanwhile
		l.told[e.hook.Name] = e.ev.What
	}
}

// retry puts a failed entry back to the head of its queue, if it may be tried again.
func (q *Queue) retry(now time.Time, l *line, e entry) bool {
	h := e.hook
	if e.last || e.attempt > h.Retries || !q.hooked(l, h) {
		return false
	}
	newer := l.seq > e.seq // the state has changed since
	if l.tellsState(h) {
		return false
	}
	if newer && (isContest(e.ev.What) || h.Hears(l.state.What) || l.began == l.state.What) {
		return false
	}
	pause := h.RetryPause << min(e.attempt-1, 16)
	e.due = now.Add(min(pause, max(h.RetryPause, maxRetryPause)))
	if newer {
		e.due, e.last = now, true
	}
	l.pending = append([]entry{e}, l.pending...)
	q.waiting++
	q.stat(h).Waiting++
	return true
}

// tellsState tells whether a state waits for a hook.
func (l *line) tellsState(h *configs.Hook) bool {
	return slices.ContainsFunc(l.pending, func(e entry) bool { return e.hook.Name == h.Name && isState(e.ev.What) })
}

// hooked tells whether a subject still has the hook.
func (q *Queue) hooked(l *line, h *configs.Hook) bool {
	for _, is := range l.hooks {
		if is.Name == h.Name {
			return true
		}
	}
	return false
}

// Next is when Start has something to do without an event. The zero value: never.
func (q *Queue) Next() (next time.Time) {
	for l := range q.retrying {
		if due := l.due(); next.IsZero() || due.Before(next) {
			next = due
		}
	}
	return next
}

// Idle tells whether nothing runs or waits.
func (q *Queue) Idle() bool { return len(q.running) == 0 && q.waiting == 0 }
