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
// from there. One Run at a time.
func (r *Runner) Run(ctx context.Context) error {
	var probes sync.WaitGroup
	r.begin()
	defer func() {
		probes.Wait()
		r.end()
	}()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		timer.Reset(r.startDue(ctx, &probes))
		r.complain()
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		case <-r.wake:
		case p := <-r.results:
			r.conclude(p)
		}
	}
}

// begin puts every target into the queue anew.
func (r *Runner) begin() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.running = true
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
	r.queue = nil
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
// something to do unless a probe ends or a target changes first.
func (r *Runner) startDue(ctx context.Context, probes *sync.WaitGroup) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	for len(r.queue) > 0 && r.stats.InFlight < r.maxInFlight {
		if wait := r.queue[0].due.Sub(now); wait > 0 {
			return wait
		}
		r.start(ctx, heap.Pop(&r.queue).(*entry), now, probes)
	}
	return time.Hour
}

func (r *Runner) start(ctx context.Context, e *entry, now time.Time, probes *sync.WaitGroup) {
	r.stats.Probes++
	r.stats.InFlight++
	if now.Sub(e.due) > e.target.Config.Interval/10 {
		// Late probes come in crowds, after a stall: they must not stay one.
		r.stats.StartedLate++
		e.scatter = true
	}
	var probe context.Context
	probe, e.cancel = context.WithTimeout(ctx, e.target.Config.Timeout)
	probes.Go(func() {
		p := ended{entry: e, started: time.Now()}
		p.result = r.contain(probe, e.target)
		p.at = time.Now()
		select {
		case r.results <- p:
		case <-ctx.Done():
		}
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
