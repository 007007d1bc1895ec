// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// epoch is when each simulation begins.
var epoch = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// A world is the simulated time and what happens in it.
type world struct {
	now   time.Time
	queue queue
	next  uint64 // number of the next event
	rand  *rand.Rand
	lines []string // the transcript

	hosts   [2]*host
	damages []*damage
	wires   [segments][nodes][nodes]wire // with the damages
	healed  bool                         // all faults are over
	// witnessOff says that the witness is switched off.
	witnessOff bool
	// slowStart is added to the time in which an election starts.
	slowStart time.Duration

	clear   [2]bool // the wires from a director to clients and real servers are clean
	servers []*server
	clients []*client
	watch   monitor
}

// An event happens at a time. Those of the same time happen in the order in which they were planned.
type event struct {
	at     time.Time
	number uint64
	do     func()
}

// at plans something for a time. A time in the past is now.
func (w *world) at(t time.Time, do func()) {
	if t.Before(w.now) {
		t = w.now
	}
	w.next++
	w.queue.push(event{t, w.next, do})
}

func (w *world) after(d time.Duration, do func()) { w.at(w.now.Add(d), do) }

// run lets the world go on until a time, or until an invariant is broken.
func (w *world) run(until time.Time) {
	for len(w.queue) > 0 && !w.queue[0].at.After(until) && w.watch.broken == nil {
		e := w.queue.pop()
		w.now = e.at
		e.do()
		w.watch.look(w)
	}
	if w.watch.broken == nil {
		w.now = until
	}
}

// between returns a random duration.
func (w *world) between(least, most time.Duration) time.Duration {
	return least + time.Duration(w.rand.Int64N(int64(most-least)+1))
}

// chance is true with a probability.
func (w *world) chance(p float64) bool { return p > 0 && w.rand.Float64() < p }

// say adds a line to the transcript.
func (w *world) say(who, format string, args ...any) {
	w.lines = append(w.lines, fmt.Sprintf("%9.4f  %-8s %s", w.now.Sub(epoch).Seconds(), who, fmt.Sprintf(format, args...)))
}

// A process does one thing after the other. While it is stopped it does nothing, and does the rest when it goes on.
type process struct {
	*world
	alive   bool
	stopped bool
	since   time.Time // when it was started, or last went on
	halted  time.Time // when it was last stopped
	backlog []func()
	woken   func(stood time.Duration) // nil: nothing is to be done
}

// later has the process do something after a time.
func (p *process) later(d time.Duration, do func()) { p.world.after(d, func() { p.do(do) }) }

func (p *process) do(do func()) {
	switch {
	case !p.alive:
	case p.stopped:
		p.backlog = append(p.backlog, do)
	default:
		do()
	}
}

func (p *process) stop() {
	if p.alive && !p.stopped {
		p.stopped, p.halted = true, p.now
	}
}

func (p *process) goOn() {
	if !p.stopped {
		return
	}
	p.stopped, p.since = false, p.now
	all := p.backlog
	p.backlog = nil
	if p.woken != nil {
		p.woken(p.now.Sub(p.halted))
	}
	for _, do := range all {
		p.do(do)
	}
}

// runs reports whether the process lives and is not stopped.
func (p *process) runs() bool { return p.alive && !p.stopped }

// A queue is a heap of the future events, the next one first.
type queue []event

func (e *event) before(o *event) bool {
	return e.at.Before(o.at) || e.number < o.number && e.at.Equal(o.at)
}

func (q *queue) push(e event) {
	*q = append(*q, e)
	all := *q
	i := len(all) - 1
	for i > 0 {
		parent := (i - 1) / 2
		if !e.before(&all[parent]) {
			break
		}
		all[i] = all[parent]
		i = parent
	}
	all[i] = e
}

func (q *queue) pop() event {
	all := *q
	first, last := all[0], all[len(all)-1]
	all[len(all)-1] = event{}
	all = all[:len(all)-1]
	*q = all
	i := 0
	for child := 1; child < len(all); child = 2*i + 1 {
		if child+1 < len(all) && all[child+1].before(&all[child]) {
			child++
		}
		if !all[child].before(&last) {
			break
		}
		all[i] = all[child]
		i = child
	}
	if len(all) > 0 {
		all[i] = last
	}
	return first
}
