// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/election/message"
	"github.com/tandem-lvs/tandem/vrrp"
)

const (
	// An election that died is started again at once, one that dies again after firstPause, which then doubles.
	firstPause = 20 * time.Millisecond
	maxPause   = 10 * time.Second
	// startTime is what an election may need from its start to its first advertisement. A router that has less than
	// that left before its peer takes over lets go of its addresses at once.
	startTime = 100 * time.Millisecond
	// settled is how long an election must have lived for its death to count as the first again.
	settled = 30 * time.Second
	// leaveGrace is what an election may take to leave beyond the three intervals that a hand-over lasts at most.
	leaveGrace = 3 * time.Second
	// refreshTimeout is how long a report may take that was asked for.
	refreshTimeout = 300 * time.Millisecond
	// sendTimeout is how long an election may leave an order unread before it is taken for hung.
	sendTimeout = 5 * time.Second
	// hungTimeout is how long an election may give no sign of life. Its peer has taken over by then, and it must not go on
	// answering for the addresses. A pulse looks, each pulseInterval; one that itself was late proves nothing.
	hungTimeout   = 3 * time.Second
	pulseInterval = 500 * time.Millisecond
	// maxBeats is how many pauses between signs of life may pass, and a bare one still confirms the last report. An election
	// that woke from a longer silence may have a successor that it has not told of yet.
	maxBeats = 3
)

// obituaryTime is how long it may take to learn how an election died whose socket is closed.
const obituaryTime = 2 * time.Millisecond

var errEndedUnasked = errors.New("it ended without being told to")

// A Child is a running election process, seen from the director.
type Child interface {
	io.ReadWriteCloser
	SetWriteDeadline(t time.Time) error
	// Wait blocks until the process has ended, and tells how. Close of the socket alone does not end it.
	Wait() error
	// Kill ends the process at once.
	Kill() error
}

// A Supervisor keeps one election running while there are virtual routers, and cleans up behind one that died.
type Supervisor struct {
	log    hclog.Logger
	spawn  func() (Child, error)
	notify func(message.Report)
	remove func([]vrrp.Config) error
	clock  func() message.Monotonic

	change chan struct{}  // order is new
	ask    chan struct{}  // somebody wants a report
	dying  sync.WaitGroup // those who wait for the end of an election

	mu       sync.Mutex
	order    message.Order
	ledger   addressLedger     // what elections may have on the interfaces
	last     message.Report    // the latest that is more than a sign of life
	alive    message.Monotonic // when the latest sign of life came
	sure     message.Monotonic // until when the last report is known to have held
	resume   []message.Resume  // what the next election may resume, until it has carried out an order
	restarts uint64
	began    message.Monotonic // when the first election was started
	gone     time.Duration     // from then until the present one was
	fresh    chan struct{}     // closed at the next report that is more than a sign of life; nil: no election runs
}

// NewSupervisor returns a supervisor that starts elections by spawn and passes their reports to notify, one at a
// time, in order.
func NewSupervisor(log hclog.Logger, spawn func() (Child, error), notify func(message.Report)) *Supervisor {
	return &Supervisor{
		log: log, spawn: spawn, notify: notify, remove: vrrp.RemoveAssets, clock: monotonicNow,
		change: make(chan struct{}, 1), ask: make(chan struct{}, 1), ledger: make(addressLedger),
	}
}

// Configure sets what the election should run. It takes effect at once where an election runs, and for each that is
// started later.
func (s *Supervisor) Configure(o message.Order) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o.Sequence = s.order.Sequence + 1
	s.order = o
	nudge(s.change)
}

// Sequence is that of the latest order.
func (s *Supervisor) Sequence() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.order.Sequence
}

// Restarts counts the elections that died without being told to.
func (s *Supervisor) Restarts() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.restarts
}

// Refresh has the election report, for the counters, and returns when notify had that report; or soon after, where
// no election runs or it does not answer.
func (s *Supervisor) Refresh() {
	s.mu.Lock()
	fresh := s.fresh
	s.mu.Unlock()
	if fresh == nil {
		return
	}
	nudge(s.ask)
	select {
	case <-fresh:
	case <-time.After(refreshTimeout):
	}
}

// refreshed lets go of those who wait for a report, and says whether there may be another.
func (s *Supervisor) refreshed(more bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fresh != nil {
		close(s.fresh)
	}
	if s.fresh = nil; more {
		s.fresh = make(chan struct{})
	}
}

// next is the order to send; the first one to an election tells what to resume.
func (s *Supervisor) next(first bool) message.Order {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.order
	if first {
		o.Resume = s.resume
	}
	o.Routers = s.delayed(o.Routers)
	s.ledger.add(o)
	return o
}

// delayed are routers with what was left of their startup delays when the present election was started: one that takes the
// place of one that died must not begin anew with them.
func (s *Supervisor) delayed(routers []message.Router) []message.Router {
	routers = slices.Clone(routers)
	for i := range routers {
		routers[i].StartupDelay = max(0, routers[i].StartupDelay-s.gone)
	}
	return routers
}

// start takes note of the start of an election.
func (s *Supervisor) start() {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.clock()
	if s.restarts == 0 {
		s.began = now
	}
	s.gone = time.Duration(now - s.began)
}

// Run supervises until ctx ends; then the election hands over and leaves, and Run returns when it has.
func (s *Supervisor) Run(ctx context.Context) error {
	defer s.dying.Wait()
	pause := time.Duration(0)
	for {
		for len(s.next(false).Routers) == 0 {
			select {
			case <-ctx.Done():
				return nil
			case <-s.change:
			}
		}
		started := time.Now()
		err := s.runChild(ctx)
		switch {
		case err == nil && ctx.Err() != nil:
			return nil
		case err == nil:
			continue // it left because there was nothing to run any more
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

// runChild runs one election to its end: nil when it left as told.
func (s *Supervisor) runChild(ctx context.Context) error {
	child, err := s.spawn()
	if err != nil {
		return fmt.Errorf("start the election process: %w", err)
	}
	s.refreshed(true)
	defer s.refreshed(false)
	s.start()
	dead := make(chan error, 1)
	s.dying.Go(func() { dead <- child.Wait() })
	obeys, eof := make(chan struct{}), make(chan struct{})
	var reader sync.WaitGroup
	reader.Go(func() {
		defer close(eof)
		s.read(child, obeys)
	})
	defer func() {
		_ = child.Close()
		reader.Wait()
	}()

	out := json.NewEncoder(child)
	stop := ctx.Done()
	var overdue <-chan time.Time
	first, leaving, killed := true, false, false
	pulse := time.NewTicker(pulseInterval)
	defer pulse.Stop()
	looked := s.clock()
	s.setAlive()
	write := func(o message.Order) {
		_ = child.SetWriteDeadline(time.Now().Add(sendTimeout))
		if err := out.Encode(o); errors.Is(err, os.ErrDeadlineExceeded) {
			overdue = time.After(0)
		}
		// Any other failure means that the child died, and dead tells.
	}
	send := func() {
		o := s.next(first)
		first = false
		leaving = leaving || len(o.Routers) == 0
		if leaving && overdue == nil {
			overdue = time.After(o.HandOverTime() + leaveGrace)
		}
		o.Leave = leaving
		write(o)
	}
	select {
	case <-s.change: // the first order has it
	default:
	}
	send()
	tooLate := s.tooLate()
	for {
		select {
		case <-stop:
			leaving, stop = true, nil
			send()
		case <-s.change:
			send()
		case <-s.ask:
			write(message.Order{Report: true})
		case <-obeys:
			// The addresses are the election's own business from now on.
			obeys, tooLate = nil, nil
		case <-tooLate:
			tooLate = nil
			s.log.Error("the election was not back in time: its addresses come off")
			if err := s.cleanUp(nil); err != nil {
				s.log.Error("take off the addresses", "error", err)
			}
		case <-pulse.C: // what it carries is when it was due
			now := s.clock()
			if late := time.Duration(now - looked); late > 2*pulseInterval {
				s.setAlive() // nobody ran us for a while, and the election may have fared alike
			}
			looked = now
			if silent := s.silence(); silent > hungTimeout && !killed {
				killed = true
				s.log.Error("the election process gives no sign of life: killing it", "silent", silent)
				if err := child.Kill(); err != nil {
					s.log.Error("kill the election process", "error", err)
				}
			}
		case <-eof:
			// The kernel takes tens of milliseconds to end a process with packet sockets, and closes this one early.
			eof = nil
			if leaving {
				continue
			}
			select {
			case err := <-dead:
				return cmp.Or(err, errEndedUnasked)
			case <-time.After(obituaryTime):
			}
			if err := child.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
				s.log.Error("kill the election process", "error", err)
			}
			return errors.New("its socket was closed")
		case <-overdue:
			s.log.Error("the election process does not do as it is told: killing it")
			if err := child.Kill(); err != nil {
				s.log.Error("kill the election process", "error", err)
			}
		case err := <-dead:
			if err == nil && !leaving {
				err = errEndedUnasked
			}
			return err
		}
	}
}

// read passes reports on until the socket ends, and closes obeys at the first that follows an order.
func (s *Supervisor) read(child io.Reader, obeys chan<- struct{}) {
	in := json.NewDecoder(child)
	for obeyed := false; ; {
		var r message.Report
		if in.Decode(&r) != nil {
			return
		}
		s.mu.Lock()
		now := s.clock()
		if !r.Beat || time.Duration(now-s.sure) < maxBeats*s.order.BeatInterval() {
			s.sure = now
		} else {
			nudge(s.ask)
		}
		s.alive = now
		if r.Beat {
			s.mu.Unlock()
			continue
		}
		s.last = r
		if r.Sequence > 0 {
			s.resume = nil
		}
		s.ledger.prune(s.order, r)
		s.mu.Unlock()
		if r.Sequence > 0 && !obeyed {
			obeyed = true
			close(obeys)
		}
		s.notify(r)
		s.refreshed(true)
	}
}

// setAlive takes the present for a sign of life.
func (s *Supervisor) setAlive() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.alive = s.clock()
}

// silence is how long ago the latest sign of life is.
func (s *Supervisor) silence() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Duration(s.clock() - s.alive)
}
