// SPDX-License-Identifier: Apache-2.0

// Package supervise runs the election process of a director: it starts the process, watches its signs of life, and removes
// its addresses when it dies.
//
// Four goroutines share the work, so that a slow one does not delay the others:
//
//   - The reader reads the election's messages and records a sign of life at each read. It waits for nothing but the socket.
//   - The writer sends orders. If an election does not read, only the writer waits.
//   - The judge (Run) checks the signs of life, kills an election that hangs, and removes the addresses of a dead one.
//   - The courier passes the latest report to the consumer. If the consumer blocks, only the courier waits.
package supervise

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/election/message"
	"github.com/tandem-lvs/tandem/vrrp"
	"github.com/tandem-lvs/tandem/vrrp/address"
)

const (
	// The first restart after a death is immediate. The next one waits for firstPause, and the pause then doubles up to maxPause.
	firstPause = 20 * time.Millisecond
	maxPause   = 10 * time.Second
	// settled is how long an election must have lived so that its death counts as the first again.
	settled = 30 * time.Second
	// startTime is the time that an election may need from its start to its first advertisement. A router whose peer takes
	// over sooner than that is not resumed: its addresses are removed at once.
	startTime = 100 * time.Millisecond
	// refreshTimeout is the maximum wait for a requested report.
	refreshTimeout = 300 * time.Millisecond
	// joinTimeout is the maximum wait, at the end of Run, for a consumer that blocks or a killed process that does not end.
	joinTimeout = time.Second
)

// A Supervisor keeps one election running while there are virtual routers, and removes the addresses of one that died.
type Supervisor struct {
	log    hclog.Logger
	spawn  func() (Child, error)
	notify func(message.Report)
	remove func([]vrrp.Config) error
	clock  func() message.Monotonic
	beats  chan struct{} // has room for one

	changed chan struct{}  // there is a new order
	asked   chan struct{}  // a caller wants a report
	posted  chan struct{}  // there is a report for the courier
	beside  sync.WaitGroup // goroutines that may hang: the courier, and those that wait for the end of a process

	alive atomic.Int64 // the moment of the latest sign of life, a message.Monotonic

	mu       sync.Mutex // held for a few instructions only
	order    message.Order
	ordered  addressLedger     // the addresses of order
	ledger   addressLedger     // the addresses that elections may have on the interfaces
	last     message.Report    // the latest
	sure     message.Monotonic // the latest moment at which last was known to be true
	resume   []message.Resume  // what the next election may resume, until it has carried out an order
	restarts uint64
	began    message.Monotonic // when the first election was started
	gone     time.Duration     // from then to the start of the present election

	pending   *message.Report // for the courier
	received  uint64          // counts the reports
	delivered uint64          // the number of the latest report that notify has returned from
	delivery  chan struct{}   // closed and made anew after each delivery, and when an election ends
	running   bool            // an election runs
}

// New returns a supervisor that starts elections with spawn. It passes their reports to notify, one at a time. If reports
// arrive while notify runs, only the latest one waits.
func New(log hclog.Logger, spawn func() (Child, error), notify func(message.Report)) *Supervisor {
	return &Supervisor{
		log: log, spawn: spawn, notify: notify, remove: address.RemoveResources, clock: monotonicNow,
		changed: make(chan struct{}, 1), asked: make(chan struct{}, 1), posted: make(chan struct{}, 1),
		ledger: make(addressLedger), delivery: make(chan struct{}), beats: make(chan struct{}, 1),
	}
}

// Configure sets what the election should run. A running election gets the order at once. Configure does not block.
func (s *Supervisor) Configure(o message.Order) {
	ordered := ledgerOf(o)
	s.mu.Lock()
	defer s.mu.Unlock()
	o.Sequence = s.order.Sequence + 1
	s.order, s.ordered = o, ordered
	nudge(s.changed)
}

// Beats gets a message after a sign of life, unless one waits there. A reader that has work from time to time can do it then,
// when this process is awake anyway.
func (s *Supervisor) Beats() <-chan struct{} { return s.beats }

// Sequence is the number of the latest order.
func (s *Supervisor) Sequence() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.order.Sequence
}

// Restarts counts the elections that died without an order to leave.
func (s *Supervisor) Restarts() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.restarts
}

// Refresh asks the election for a report and returns when notify has handled it. It returns early when no election runs, and
// after 300 ms at the latest.
func (s *Supervisor) Refresh() {
	s.mu.Lock()
	number, running := s.received+1, s.running
	s.mu.Unlock()
	if !running {
		return
	}
	nudge(s.asked)
	timeout := time.After(refreshTimeout)
	for {
		s.mu.Lock()
		done, delivery := !s.running || s.delivered >= number, s.delivery
		s.mu.Unlock()
		if done {
			return
		}
		select {
		case <-delivery:
		case <-timeout:
			return
		}
	}
}

// Run supervises until ctx ends. Then the election hands over and leaves, and Run returns.
func (s *Supervisor) Run(ctx context.Context) error {
	ended := make(chan struct{})
	s.beside.Go(func() { s.deliver(ended) })
	defer s.join()
	defer close(ended)
	pause := time.Duration(0)
	for {
		for s.idle() {
			select {
			case <-ctx.Done():
				return nil
			case <-s.changed:
			}
		}
		started := time.Now()
		err := s.runChild(ctx)
		switch {
		case err == nil && ctx.Err() != nil:
			return nil
		case err == nil:
			continue // it left because there was nothing left to run
		case ctx.Err() != nil:
			return errors.Join(err, s.cleanUp(nil))
		}
		if time.Since(started) > settled {
			pause = 0
		}
		s.cleanUpAfter(err, pause)
		s.log.Error("the election process died: starting it again", "error", err, "pause", pause)
		select {
		case <-ctx.Done():
			return s.cleanUp(nil)
		case <-time.After(pause):
		}
		pause = min(max(2*pause, firstPause), maxPause)
	}
}

// join waits for the goroutines that may hang, but not longer than joinTimeout.
func (s *Supervisor) join() {
	joined := make(chan struct{})
	go func() {
		s.beside.Wait()
		close(joined)
	}()
	select {
	case <-joined:
	case <-time.After(joinTimeout):
	}
}

// deliver is the courier. It passes the latest report to notify until ended is closed.
func (s *Supervisor) deliver(ended <-chan struct{}) {
	for more := true; more; {
		select {
		case <-s.posted:
		case <-ended:
			more = false // but deliver the last one
		}
		s.mu.Lock()
		report, number := s.pending, s.received
		s.pending = nil
		s.mu.Unlock()
		if report == nil {
			continue
		}
		s.notify(*report)
		s.mu.Lock()
		s.delivered = number
		s.wakeRefreshers()
		s.mu.Unlock()
	}
}

// post stores a report for the courier. The caller holds mu.
func (s *Supervisor) post(r message.Report) {
	s.last, s.pending = r, &r
	s.received++
	nudge(s.posted)
}

// wakeRefreshers wakes the callers that wait in Refresh. The caller holds mu.
func (s *Supervisor) wakeRefreshers() {
	close(s.delivery)
	s.delivery = make(chan struct{})
}

// setRunning says whether an election runs.
func (s *Supervisor) setRunning(running bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running = running
	s.wakeRefreshers()
}

// idle tells whether there is nothing to run.
func (s *Supervisor) idle() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.order.Routers) == 0
}

// next returns the order to send. From now on its addresses may be on the interfaces. The first order to an election lists
// the routers to resume.
func (s *Supervisor) next(first bool) message.Order {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.order
	if first {
		o.Resume = s.resume
	}
	// An election that replaces a dead one must not start the startup delays again.
	o.Routers = slices.Clone(o.Routers)
	for i := range o.Routers {
		o.Routers[i].StartupDelay = max(0, o.Routers[i].StartupDelay-s.gone)
	}
	s.ledger.add(s.ordered)
	return o
}

// setStarted records the start of an election.
func (s *Supervisor) setStarted() {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.clock()
	if s.restarts == 0 {
		s.began = now
	}
	s.gone = time.Duration(now - s.began)
}

// nudge wakes the reader of a channel of capacity 1. Several nudges before the reader wakes count as one.
func nudge(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
