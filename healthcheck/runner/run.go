// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"container/heap"
	"context"
	"runtime/debug"
	"sync"
	"time"

	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/healthcheck/probe/epoll"
)

// Run probes until ctx is done, and returns nil after the last probe has ended. The results are kept, and a later Run
// continues with them. Only one Run may be under way. If the kernel refuses to watch sockets, Run returns an error.
func (r *Runner) Run(ctx context.Context) error {
	p, err := r.newPoller()
	if err != nil {
		return err
	}
	r.raiseLimit()
	var probes sync.WaitGroup
	r.begin(p)
	r.asleep()
	defer context.AfterFunc(ctx, p.Wake)()
	for woke := time.Now(); ctx.Err() == nil; {
		pause, slack := r.startDue(ctx, &probes)
		r.notifyAll()
		r.complain()
		busy := time.Since(woke) // a stop of the process may be in this time as well as in the wait
		ended, late := p.Wait(pause, slack)
		woke = time.Now()
		if late = max(late, busy, r.asleep()); late > standstill {
			r.stoodStill = time.Now()
			r.stall(late)
		}
		for _, e := range append(ended, r.delivered()...) {
			if ctx.Err() == nil {
				r.conclude(e)
			}
		}
	}
	probes.Wait()
	r.release()
	p.Close()
	r.end()
	return nil
}

// deliver passes the result of a probe that had a goroutine to Run.
func (r *Runner) deliver(p epoll.Ended) {
	r.mu.Lock()
	r.done = append(r.done, p)
	w := r.poller
	r.mu.Unlock()
	w.Wake()
}

// delivered returns the results from deliver.
func (r *Runner) delivered() []epoll.Ended {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := r.done
	r.done = nil
	return all
}

// begin fills the queue with every target.
func (r *Runner) begin(p poller) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.running = true
	r.poller = p
	now := time.Now()
	for e := range distinct(r.entries) {
		if !e.refused {
			e.First(now, &e.target.Config, r.rand)
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

// startDue starts the probes that are due, up to the maximum number at the same time. It returns the time until the next one
// is due, and how late that one may start.
func (r *Runner) startDue(ctx context.Context, probes *sync.WaitGroup) (pause, slack time.Duration) {
	now := time.Now()
	due, pause, slack := r.takeDue(now)
	for _, e := range due {
		cancel := r.start(ctx, e, now, probes)
		r.mu.Lock()
		e.cancel = cancel
		if e.gone {
			e.stop()
		}
		r.mu.Unlock()
	}
	return pause, slack
}

// Hurry makes the next probes of targets start at once. Those under way go on. It does not block.
func (r *Runner) Hurry(ids []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	for _, id := range ids {
		if e := r.entries[id]; e != nil && e.index != idle && now.Before(e.Due) {
			e.Due = now
			heap.Fix(&r.queue, e.index)
		}
	}
	if r.poller != nil {
		r.poller.Wake()
	}
}

// takeDue removes the entries whose probes must start from the queue.
func (r *Runner) takeDue(now time.Time) (due []*entry, pause, slack time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.queue) > 0 && r.stats.InFlight < r.maxInFlight {
		if wait := r.queue[0].Due.Sub(now); wait > 0 {
			return due, wait, r.slack
		}
		e := heap.Pop(&r.queue).(*entry)
		r.stats.Probes++
		r.stats.InFlight++
		if now.Sub(e.Due) > e.target.Config.Interval/10 {
			// After a stall many probes are late at once. The next ones must be spread again.
			r.stats.StartedLate++
			e.Scatter = true
		}
		due = append(due, e)
	}
	return due, epoll.Forever, r.slack
}

// start starts a probe in the poller or in a goroutine.
func (r *Runner) start(ctx context.Context, e *entry, now time.Time, probes *sync.WaitGroup) (cancel func()) {
	if cancel, ok := r.poller.Launch(e, &e.target, now); ok {
		return cancel
	}
	// The timeout runs from here, however late the goroutine gets a processor: a standstill before that is within the probe.
	p := epoll.Ended{Owner: e, Started: time.Now()}
	probe, cancel := context.WithTimeout(ctx, e.target.Config.Timeout)
	probes.Go(func() {
		p.Result = r.contain(probe, &e.target)
		p.At = time.Now()
		r.deliver(p)
	})
	return cancel
}

// contain runs a probe. A panic becomes a failure.
func (r *Runner) contain(ctx context.Context, t *healthcheck.Target) (res healthcheck.Result) {
	defer func() {
		if v := recover(); v != nil {
			res = healthcheck.Panicked(v, debug.Stack())
		}
	}()
	return r.probe(ctx, t)
}
