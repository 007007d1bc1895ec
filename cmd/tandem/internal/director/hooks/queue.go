// SPDX-License-Identifier: Apache-2.0

// Package hooks decides which hooks are told what, and when.
//
// Each subject, such as a virtual router or a real server, has one queue. These are its rules:
//
//   - One hook of a subject runs at a time. Hooks run in the order of the events, and those of one event in the order of the
//     file.
//   - A new state replaces an older one that the same hook has not started. If the subject is again in the state that was
//     started last, nothing in between is told.
//   - A hook that fails is tried again after a pause, in which only other hooks of the same event run. A newer state ends the
//     pause: if the hook hears of the newer state, it is told that one instead. If not, it has one last attempt.
//   - A contest is not told any more when the state has changed.
//   - What each hook was told last is recorded, so that a restart and a reload tell the present state to those that lack it.
//
// The package is pure: it starts nothing. Start returns the runs to start, and Ended takes their results.
package hooks

import (
	"fmt"
	"strings"
	"time"

	"github.com/tandem-lvs/tandem/configs"
)

const (
	// maxRouterRuns and maxServiceRuns are how many hooks run at the same time: of virtual routers, sync groups and the
	// director, and of services and servers. A thousand servers that fail must not start a thousand programs, and must not
	// delay what is told of a virtual router.
	maxRouterRuns  = 32
	maxServiceRuns = 8
	// maxRetryPause is the longest pause before a retry, unless the first pause is longer.
	maxRetryPause = time.Minute
)

// Why an event is not told.
const (
	replaced = "a newer event replaces this one"
	removed  = "it was removed from the configuration"
)

// A Run is one attempt of one hook. Its ID is never used again.
type Run struct {
	ID      uint64
	Hook    *configs.Hook
	Event   Event
	Attempt int // from 1
}

// A Result is the end of a run.
type Result struct {
	Problem string // why it failed; empty: it succeeded
	At      time.Time
	Took    time.Duration
}

// A Notice is about a run that has ended, or an event that is not told. It is a line for the log, and a sentence about the
// subject for the history.
type Notice struct {
	Failed  bool
	Message string
	Pairs   []any // of keys and values

	Subject Subject
	What    string // "told hook mail the event master"
	Cause   string // why it failed, or is not told
}

// A Queue has the state of all subjects and hooks. It has one owner.
type Queue struct {
	hooks    []*configs.Hook
	lines    map[Subject]*line
	running  map[uint64]*line
	retrying map[*line]bool // they wait for the time of a retry only
	ready    [classes][]*line
	busy     [classes]int // runs
	waiting  int          // entries
	lastID   uint64
	lastSeq  uint64
	stats    map[string]*Stat
	notices  []Notice
	records  Records // of an earlier process, about subjects that were not seen yet
	dirty    [classes]bool
}

// A class of subjects has a limit of its own.
const (
	routerClass = iota
	serviceClass
	classes
)

var maxRuns = [classes]int{routerClass: maxRouterRuns, serviceClass: maxServiceRuns}

func (s Subject) class() int {
	if s.Kind == Service || s.Kind == Server {
		return serviceClass
	}
	return routerClass
}

// A line is the queue of one subject.
type line struct {
	subject Subject
	hooks   []*configs.Hook // that hear of the subject
	state   Event           // the present one. Its What is 0 before the first.
	seq     uint64          // of state
	began   configs.HookEvent
	pending []entry
	run     *entry
	runID   uint64
	// told has the state that each hook was told last, by its name; 0: this has begun, or failed. A hook that was never told
	// anything is missing.
	told   map[string]configs.HookEvent
	failed map[string]bool // hooks whose last attempt has failed
	queued bool            // it is in ready
	gone   bool            // it is forgotten when its queue is empty
}

// An entry is something that one hook has to be told.
type entry struct {
	hook    *configs.Hook
	ev      Event
	seq     uint64    // of the event
	attempt int       // attempts that were made
	due     time.Time // of a retry
	last    bool      // the next attempt is the last
}

// New returns an empty queue. The records are of an earlier process.
func New(records Records) *Queue {
	q := &Queue{
		lines: make(map[Subject]*line), running: make(map[uint64]*line), retrying: make(map[*line]bool),
		stats: make(map[string]*Stat), records: make(Records, len(records)),
	}
	for subject, r := range records {
		q.records[subject] = r
	}
	return q
}

// Become sets the state of a subject. If it is the present one, nothing happens, unless again says that it has been another
// meanwhile.
func (q *Queue) Become(now time.Time, ev Event, again bool) {
	l, earlier := q.line(ev)
	if l == nil {
		return
	}
	switch {
	case l.state.What == ev.What && !again:
		return
	case l.state.What != 0:
		ev.Previous = l.state.What
	case earlier == ev.What:
		// Nobody has noticed the restart.
		q.lastSeq++
		ev.Previous, l.state, l.seq = earlier, ev, q.lastSeq
		q.reconcile(now, l)
		q.tidy(l)
		return
	default:
		ev.Previous = earlier
	}
	q.lastSeq++
	l.state, l.seq = ev, q.lastSeq
	q.dirty[l.subject.class()] = true
	for name := range l.failed {
		q.setFailed(l, name, false)
	}
	q.replace(now, l)
	for _, h := range l.hooks {
		if h.Hears(ev.What) {
			l.told[h.Name] = 0
			q.add(now, l, entry{hook: h, ev: ev, seq: l.seq})
		}
	}
	q.tidy(l)
}

// line returns the queue of an event's subject, and its state in an earlier process if the event is the first one. It is nil
// if nobody has to be told.
func (q *Queue) line(ev Event) (l *line, earlier configs.HookEvent) {
	if l = q.lines[ev.Subject]; l != nil {
		return l, 0
	}
	name := ev.Subject.String()
	record, known := q.records[name]
	delete(q.records, name)
	hooks := q.hooksOf(ev.Subject)
	if len(hooks) == 0 || !known && good(ev.What) {
		return nil, 0
	}
	l = &line{subject: ev.Subject, hooks: hooks, told: make(map[string]configs.HookEvent), failed: make(map[string]bool)}
	for _, h := range hooks {
		if told, ever := record.Told[h.Name]; ever {
			l.told[h.Name] = eventOf(told)
		}
	}
	q.lines[ev.Subject] = l
	q.dirty[l.subject.class()] = true
	return l, eventOf(record.State)
}

// replace drops what the new state of a subject makes needless.
func (q *Queue) replace(now time.Time, l *line) {
	what := l.state.What
	back := l.began == what
	q.drop(l, replaced, func(e *entry) bool {
		needless := isContest(e.ev.What) || isState(e.ev.What) && (back || e.hook.Hears(what))
		if !needless && e.attempt > 0 {
			e.due, e.last = now, true
		}
		return needless
	})
}

// Happen tells something that does not last.
func (q *Queue) Happen(now time.Time, ev Event) {
	l, _ := q.line(ev)
	if l == nil {
		return
	}
	q.lastSeq++
	for _, h := range l.hooks {
		if !h.Hears(ev.What) {
			continue
		}
		ev.Previous = l.state.What
		q.drop(l, replaced, func(e *entry) bool { return e.hook.Name == h.Name && isContest(ev.What) && isContest(e.ev.What) })
		q.add(now, l, entry{hook: h, ev: ev, seq: q.lastSeq})
	}
	q.tidy(l)
}

func (q *Queue) notice(n Notice) { q.notices = append(q.notices, n) }

// Notices returns the notices since the last call.
func (q *Queue) Notices() []Notice {
	all := q.notices
	q.notices = nil
	return all
}

// Forget forgets a subject when its queue is empty.
func (q *Queue) Forget(s Subject) {
	delete(q.records, s.String())
	q.dirty[s.class()] = true
	if l := q.lines[s]; l != nil {
		l.gone = true
		q.tidy(l)
	}
}

// add puts an entry at the end of a queue.
func (q *Queue) add(now time.Time, l *line, e entry) {
	l.pending = append(l.pending, e)
	q.waiting++
	q.stat(e.hook).Waiting++
	q.wake(l)
}

// drop removes the entries for which needless is true, which may change the others.
func (q *Queue) drop(l *line, why string, needless func(*entry) bool) {
	kept := l.pending[:0]
	for _, e := range l.pending {
		if !needless(&e) {
			kept = append(kept, e)
			continue
		}
		q.waiting--
		is := q.stat(e.hook)
		is.Waiting = max(0, is.Waiting-1) // its stat may be younger
		message := "hook is not told: "
		if e.attempt > 0 {
			message = "hook is not tried again: "
		} else {
			is.Superseded++
		}
		q.notice(Notice{
			Message: message + why, Pairs: []any{"hook", e.hook.Name, "subject", l.subject.String(), "event", e.ev.What.String()},
			Subject: l.subject, What: fmt.Sprintf("does not tell hook %s the event %s", e.hook.Name, e.ev.What), Cause: why,
		})
	}
	clear(l.pending[len(kept):])
	l.pending = kept
	q.wake(l)
}

// wake lets Start look at a subject.
func (q *Queue) wake(l *line) {
	delete(q.retrying, l)
	if !l.queued && l.run == nil && len(l.pending) > 0 {
		l.queued = true
		c := l.subject.class()
		q.ready[c] = append(q.ready[c], l)
	}
}

// tidy forgets a subject whose queue is empty, if it is gone, or if it is in the state of a subject that was never told of.
func (q *Queue) tidy(l *line) {
	if l.run != nil || len(l.pending) > 0 {
		return
	}
	settled := good(l.state.What) && len(l.failed) == 0
	for _, told := range l.told {
		settled = settled && told != 0
	}
	if l.gone || settled {
		for name := range l.failed {
			q.setFailed(l, name, false)
		}
		delete(q.lines, l.subject)
		q.dirty[l.subject.class()] = true
	}
}

func byName(a, b *line) int { return strings.Compare(a.subject.String(), b.subject.String()) }
