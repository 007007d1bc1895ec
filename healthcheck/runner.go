// SPDX-License-Identifier: Apache-2.0

package healthcheck

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
)

// DefaultMaxInFlight is how many probes run at the same time unless Options say otherwise: enough for 2,000 checks a second
// of servers that all make their check wait for a timeout of 1 s. Each takes a file descriptor.
const DefaultMaxInFlight = 2048

// Options are what a Runner is made with; the zero value works.
type Options struct {
	// Log gets one line for each change of a target's health; nil: nothing is logged.
	Log hclog.Logger
	// Notify is told of every change of a target's health, and of the reason while it is unhealthy; in order, from one
	// goroutine, while no probe can be started: it must not block. It may call the Runner's methods. A target that Set is
	// just removing may still be spoken of. nil: nobody is told.
	Notify func(Verdict)
	// Rand spreads the probes; the runner's alone from now on. nil: a random seed.
	Rand *rand.Rand
	// MaxInFlight is how many probes run at the same time, at most; 0: DefaultMaxInFlight.
	MaxInFlight int
}

// A Runner probes targets, each at its interval, and keeps what it finds. One goroutine holds the schedule and carries the
// probes that are plain; each other probe under way has its own. Its methods may be called from any goroutine.
type Runner struct {
	log         hclog.Logger
	notify      func(Verdict)
	maxInFlight int
	probe       func(context.Context, Target) result
	release     func() // lets go of what probes left open

	waiting func() (waiter, error) // makes one for Run

	mu      sync.Mutex
	waiter  waiter // Run's, while and after it runs
	rand    *rand.Rand
	entries map[string]*entry // by target ID
	queue   queue
	slack   time.Duration // see slackFor
	running bool
	stats   Stats
	done    []ended // probes that had a goroutine, for Run to take in
	lacked  string  // what kept the latest probe that was not run from running

	complained complaint // Run's own
}

// NewRunner makes a runner without targets. It does nothing before Run.
func NewRunner(o Options) *Runner {
	p := newProber()
	r := &Runner{
		log:         o.Log,
		notify:      o.Notify,
		maxInFlight: o.MaxInFlight,
		probe:       p.probe,
		release:     p.close,
		waiting:     func() (waiter, error) { return newEngine() },
		rand:        o.Rand,
		entries:     make(map[string]*entry),
	}
	if r.log == nil {
		r.log = hclog.NewNullLogger()
	}
	if r.notify == nil {
		r.notify = func(Verdict) {}
	}
	if r.rand == nil {
		r.rand = rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	}
	if r.maxInFlight <= 0 {
		r.maxInFlight = DefaultMaxInFlight
	}
	return r
}

// poke has Run look at the schedule again.
func (r *Runner) poke() {
	r.mu.Lock()
	w := r.waiter
	r.mu.Unlock()
	if w != nil {
		w.wake()
	}
}

// Status tells what is known of each target, by ID.
func (r *Runner) Status() map[string]TargetStatus {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make(map[string]TargetStatus, len(r.entries))
	for id, e := range r.entries {
		all[id] = e.status
	}
	return all
}

// Stats tells what the runner has done so far.
func (r *Runner) Stats() Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stats
}
