// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"container/heap"
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
	wires   [segments][nodes][nodes]wire
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
	heap.Push(&w.queue, event{t, w.next, do})
}

func (w *world) after(d time.Duration, do func()) { w.at(w.now.Add(d), do) }

// run lets the world go on until a time, or until an invariant is broken.
func (w *world) run(until time.Time) {
	for len(w.queue) > 0 && !w.queue[0].at.After(until) && w.watch.broken == nil {
		e := heap.Pop(&w.queue).(event)
		w.now = e.at
		e.do()
		w.watch.look(w)
	}
	if w.watch.broken == nil {
		w.now = until
	}
}

// between is a random duration.
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
	for _, do := range all {
		p.do(do)
	}
}

// runs tells whether the process lives and is not stopped.
func (p *process) runs() bool { return p.alive && !p.stopped }

// A queue holds the events to come, the next one first.
type queue []event

func (q queue) Len() int      { return len(q) }
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q queue) Less(i, j int) bool {
	return q[i].at.Before(q[j].at) || q[i].at.Equal(q[j].at) && q[i].number < q[j].number
}

// Push implements heap.Interface.
func (q *queue) Push(x any) { *q = append(*q, x.(event)) }

// Pop implements heap.Interface.
func (q *queue) Pop() any {
	last := len(*q) - 1
	e := (*q)[last]
	(*q)[last] = event{}
	*q = (*q)[:last]
	return e
}
