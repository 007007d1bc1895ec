// SPDX-License-Identifier: Apache-2.0

// Package runner probes many targets, each at its own interval.
//
// One goroutine runs the schedule and the plain probes on non-blocking sockets. Plain probes are TCP connections, and HTTP
// without TLS if only the status counts. Every other probe under way has its own goroutine. Both give the same results.
package runner

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/healthcheck/probe"
	"github.com/tandem-lvs/tandem/healthcheck/probe/epoll"
)

// DefaultMaxInFlight is how many probes run at the same time unless Options say otherwise. It is enough for 2,000 checks a
// second if all of them wait for a timeout of 1 s. Each probe needs a file descriptor.
const DefaultMaxInFlight = 2048

// Options are the parts of a Runner. The zero value works.
type Options struct {
	// Log gets one line for each change of a target's health; nil: nothing is logged.
	Log hclog.Logger
	// Notify gets a verdict on every change that may affect a decision: see healthcheck.Verdict. The verdicts come from one
	// goroutine, in order for each target, also those that Set causes. A new target is unknown until its first verdict.
	// Notify must not block: no probe starts meanwhile. It may call the Runner's methods. It may still get a verdict on a
	// target that Set removes at the same time. nil: nobody is notified.
	Notify func(healthcheck.Verdict)
	// Rand spreads the probes. Nobody else may use it. nil: a random seed.
	Rand *rand.Rand
	// MaxInFlight is the largest number of probes at the same time; 0: DefaultMaxInFlight.
	MaxInFlight int
}

// A Runner probes targets, each at its interval, and stores the results. Any goroutine may call its methods.
type Runner struct {
	log         hclog.Logger
	notify      func(healthcheck.Verdict)
	maxInFlight int
	probe       func(context.Context, *healthcheck.Target) healthcheck.Result
	release     func() // closes what probes have left open

	newPoller func() (poller, error) // for Run

	mu       sync.Mutex
	poller   poller // only Run uses it
	rand     *rand.Rand
	entries  map[string]*entry // by target ID
	queue    queue
	slack    time.Duration // how late a probe may start
	running  bool
	stats    healthcheck.Stats
	done     []epoll.Ended         // probes that had a goroutine, for Run to conclude
	verdicts []healthcheck.Verdict // for Run to pass to notify, in order
	lacked   string                // the reason of the latest probe that was not run

	// Run's own:
	stoodStill time.Time     // the end of the latest standstill
	suspended  time.Duration // since the machine was booted
	complained complaint
}

// New makes a runner without targets. It does nothing before Run.
func New(o Options) *Runner {
	p := probe.New()
	r := &Runner{
		log:         o.Log,
		notify:      o.Notify,
		maxInFlight: o.MaxInFlight,
		probe:       p.Probe,
		release:     p.Close,
		newPoller:   func() (poller, error) { return epoll.New() },
		rand:        o.Rand,
		entries:     make(map[string]*entry),
	}
	if r.log == nil {
		r.log = hclog.NewNullLogger()
	}
	if r.notify == nil {
		r.notify = func(healthcheck.Verdict) {}
	}
	if r.rand == nil {
		r.rand = rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	}
	if r.maxInFlight <= 0 {
		r.maxInFlight = DefaultMaxInFlight
	}
	return r
}

// wake makes Run look at the schedule again.
func (r *Runner) wake() {
	r.mu.Lock()
	p := r.poller
	r.mu.Unlock()
	if p != nil {
		p.Wake()
	}
}

// Status returns the status of each target, by ID.
func (r *Runner) Status() map[string]healthcheck.TargetStatus {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make(map[string]healthcheck.TargetStatus, len(r.entries))
	for id, e := range r.entries {
		all[id] = e.state.Status
	}
	return all
}

// Stats returns the counts of the runner so far.
func (r *Runner) Stats() healthcheck.Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stats
}
