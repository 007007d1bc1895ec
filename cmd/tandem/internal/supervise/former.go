// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/election/board"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/election/message"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/handoff"
)

// A Former is the election of the version that this director has replaced. It goes on with the last order of that version until an
// election of this version has taken over from it. This director does not speak with it: it only keeps its socket open, because a
// closed one would mean that the director is dead.
type Former interface {
	// Wait blocks until the process has ended, and returns its result.
	Wait() error
	// Terminate tells the process to hand over and to leave.
	Terminate() error
	// Kill ends the process at once.
	Kill() error
	// Spoke is that of Child.
	Spoke(id message.RouterID) message.Monotonic
	Close() error
}

const (
	// formerTimeout is the time for the end of a former election from which another one has taken over. It may have to wait for a disk.
	formerTimeout = 5 * time.Second
	// formerDeath is the maximum wait for the end of a former election whose successor says that it died.
	formerDeath = 300 * time.Millisecond
)

// A formerState is the Supervisor's own about a former election.
type formerState struct {
	Former
	order  message.Order
	report message.Report // the latest that it said
	ended  chan struct{}  // closed when the process has ended
	took   *time.Timer    // kills it when another one has taken over; nil: none has
}

// Adopt makes the supervisor keep a former election. It comes before Run.
func (s *Supervisor) Adopt(f Former, order message.Order, last message.Report) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.former = &formerState{Former: f, order: order, report: last, ended: make(chan struct{})}
	s.order.Sequence, s.carried, s.last, s.sure = order.Sequence, order, last, s.clock()
	s.ledger.add(ledgerOf(order))
}

// watchFormer waits for the end of the former election.
func (s *Supervisor) watchFormer() {
	f := s.former
	err := f.Wait()
	s.mu.Lock()
	if err != nil && f.took == nil {
		s.log.Error("the election of the former version died", "error", err)
	}
	if f.took != nil {
		f.took.Stop()
	}
	s.mu.Unlock()
	close(f.ended)
	_ = f.Close()
}

// cleanUpAtEnd removes what a dead election left. What a former election has, it removes itself: see stopFormer.
func (s *Supervisor) cleanUpAtEnd() error {
	if s.formerLives() {
		return nil
	}
	return s.cleanUp(nil)
}

// formerLives reports whether the former election still runs.
func (s *Supervisor) formerLives() bool {
	if s.former == nil {
		return false
	}
	select {
	case <-s.former.ended:
		return false
	default:
		return true
	}
}

// Waiting says why the former election still runs; empty: it does not.
func (s *Supervisor) Waiting() string {
	if !s.formerLives() {
		return ""
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.why != "" {
		return s.why
	}
	return "the election of this version has not taken over yet"
}

// seeTakeover ends a former election that does not end by itself, after an election of ours has taken over. The caller holds mu.
func (s *Supervisor) seeTakeover(r message.Report) {
	if f := s.former; f != nil && f.took == nil && r.Sequence > 0 && !r.Succeeding {
		f.took = time.AfterFunc(formerTimeout, func() {
			s.log.Error("the election of the former version does not end: killing it")
			_ = f.Kill()
		})
	}
}

// formerGoesOn decides what follows from the death of an election that should have taken over from the former one. It returns false
// if the former one is dead too: then it was as if this one had died as master.
func (s *Supervisor) formerGoesOn(cause error) bool {
	if !s.formerLives() {
		return false
	}
	select {
	case <-s.former.ended:
		return false
	case <-time.After(formerDeath):
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.former.took; t != nil {
		t.Stop()
		s.former.took = nil
	}
	s.restarts++
	s.why = fmt.Sprintf("the election process of this version died and is started again: %v", cause)
	s.post(message.Report{Problem: s.why + ". The one of the former version goes on, and is not told of changes"})
	return true
}

// stopFormer ends a former election at the end of Run.
func (s *Supervisor) stopFormer() error {
	if !s.formerLives() {
		return nil
	}
	s.mu.Lock()
	limit := s.carried.HandOverTime() + leaveGrace
	s.mu.Unlock()
	err := s.former.Terminate()
	select {
	case <-s.former.ended:
		return nil
	case <-time.After(limit):
	}
	s.log.Error("the election of the former version does not leave: killing it", "error", err)
	_ = s.former.Kill()
	select {
	case <-s.former.ended:
	case <-time.After(deathTimeout):
	}
	return s.cleanUp(nil)
}

// A formerProcess is a former election that this process inherited, because it was the director of the former version.
type formerProcess struct {
	conn    net.Conn
	process *os.Process
	board   *board.Board
	shared  *os.File // the file of the board
}

var _ Former = (*formerProcess)(nil)

// Inherit returns the election that a hand-off describes.
func Inherit(e handoff.Election) (Former, error) {
	unix.CloseOnExec(e.Socket)
	unix.CloseOnExec(e.Board)
	shared, err := board.Open(e.Board)
	if err != nil {
		return nil, err
	}
	socket := os.NewFile(uintptr(e.Socket), "election")
	conn, err := net.FileConn(socket)
	_ = socket.Close() // FileConn has its own copy
	if err != nil {
		return nil, fmt.Errorf("failed to use the socket of the former election: %w", err)
	}
	process, err := os.FindProcess(e.PID)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("failed to find the former election: %w", err), conn.Close())
	}
	return &formerProcess{conn: conn, process: process, board: shared, shared: os.NewFile(uintptr(e.Board), "election board")}, nil
}

// Wait reads what the process says, so that it never waits for that.
func (p *formerProcess) Wait() error {
	go func() { _, _ = io.Copy(io.Discard, p.conn) }()
	state, err := p.process.Wait()
	switch {
	case err != nil:
		return err
	case !state.Success():
		return errors.New(state.String())
	}
	return nil
}

func (p *formerProcess) Terminate() error { return p.process.Signal(syscall.SIGTERM) }
func (p *formerProcess) Kill() error      { return p.process.Kill() }

func (p *formerProcess) Spoke(id message.RouterID) message.Monotonic {
	return message.Monotonic(p.board.Spoke(id.Interface, id.Name))
}

// Close leaves the board mapped: the watch of another election may still read it.
func (p *formerProcess) Close() error { return errors.Join(p.conn.Close(), p.shared.Close()) }

func (p *formerProcess) pass() (passed, error) { return pass(p.process.Pid, p.conn, p.shared) }
