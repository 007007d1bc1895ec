// SPDX-License-Identifier: Apache-2.0

package healthcheck

import (
	"container/heap"
	"context"
	"runtime/debug"
	"sync"
	"time"
)

// An ended is a probe that has ended.
type ended struct {
	entry   *entry
	result  result
	started time.Time
	at      time.Time
}

// Run probes until ctx is done, and returns nil when the last probe has ended. What was found stays: a later Run goes on
// from there. One Run at a time. An error is of the kernel's refusing to watch connections at all.
func (r *Runner) Run(ctx context.Context) error {
	w, err := r.waiting()
	if err != nil {
		return err
	}
	r.makeRoom()
	var probes sync.WaitGroup
	r.begin(w)
	defer context.AfterFunc(ctx, w.wake)()
	for ctx.Err() == nil {
		pause, slack := r.startDue(ctx, &probes)
		r.complain()
		for _, p := range append(w.wait(pause, slack), r.take()...) {
			if ctx.Err() == nil {
				r.conclude(p)
			}
		}
	}
	probes.Wait()
	r.release()
	w.close()
	r.end()
	return nil
}

// deliver hands in the result of a probe that had a goroutine.
func (r *Runner) deliver(p ended) {
	r.mu.Lock()
	r.done = append(r.done, p)
	w := r.waiter
	r.mu.Unlock()
	w.wake()
}

// take gives what was delivered.
func (r *Runner) take() []ended {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := r.done
	r.done = nil
	return all
}

// begin puts every target into the queue anew.
func (r *Runner) begin(w waiter) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.running = true
	r.waiter = w
	now := time.Now()
	for e := range distinct(r.entries) {
		if e.target.validate() == nil {
			e.first(now, r.rand)
			r.queue.Push(e)
		}
	}
	heap.Init(&r.queue)
}

// end empties the queue. Probes that were under way have been cancelled and have no result.
func (r *Runner) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.running = false
	r.stats.InFlight = 0
	r.queue, r.done = nil, nil
	for e := range distinct(r.entries) {
		e.index = idle
		e.stop()
	}
}

// stop cancels the probe under way, if there is one.
func (e *entry) stop() {
	if e.cancel != nil {
		e.cancel()
		e.cancel = nil
	}
}

// startDue starts the probes that are due, as many as may run at the same time, and gives the time until there will be
// something to do unless a probe ends or a target changes first, and by how much that may be late.
func (r *Runner) startDue(ctx context.Context, probes *sync.WaitGroup) (pause, slack time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	for len(r.queue) > 0 && r.stats.InFlight < r.maxInFlight {
		if wait := r.queue[0].due.Sub(now); wait > 0 {
			return wait, r.slack
		}
		r.start(ctx, heap.Pop(&r.queue).(*entry), now, probes)
	}
	return time.Hour, r.slack
}

func (r *Runner) start(ctx context.Context, e *entry, now time.Time, probes *sync.WaitGroup) {
	r.stats.Probes++
	r.stats.InFlight++
	if now.Sub(e.due) > e.target.Config.Interval/10 {
		// Late probes come in crowds, after a stall: they must not stay one.
		r.stats.StartedLate++
		e.scatter = true
	}
	if cancel, ok := r.waiter.launch(e, now); ok {
		e.cancel = cancel
		return
	}
	var probe context.Context
	probe, e.cancel = context.WithTimeout(ctx, e.target.Config.Timeout)
	probes.Go(func() {
		p := ended{entry: e, started: time.Now()}
		p.result = r.contain(probe, e.target)
		p.at = time.Now()
		r.deliver(p)
	})
}

// contain probes, and turns a panic into a failure.
func (r *Runner) contain(ctx context.Context, t Target) (res result) {
	defer func() {
		if p := recover(); p != nil {
			res = fail("the check panicked")
			res.panic = &panicked{value: p, stack: debug.Stack()}
		}
	}()
	return r.probe(ctx, t)
}
