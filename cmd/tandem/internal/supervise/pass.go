// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/election/message"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/handoff"
)

// handOffTimeout is the maximum time until an election waits for its successor.
const handOffTimeout = 3 * time.Second

// A passed is what another program in this process needs of an election process.
type passed struct {
	pid            int
	socket, shared *os.File // the socket is a copy
}

// A passable is an election process that another program in this process can inherit.
type passable interface{ pass() (passed, error) }

var _, _ passable = (*process)(nil), (*formerProcess)(nil)

func (p *process) pass() (passed, error) { return pass(p.cmd.Process.Pid, p.Conn, p.shared) }

func pass(pid int, conn net.Conn, shared *os.File) (passed, error) {
	unixConn, ok := conn.(*net.UnixConn)
	if !ok {
		return passed{}, errors.New("the socket of the election process is of another kind")
	}
	socket, err := unixConn.File()
	if err != nil {
		return passed{}, fmt.Errorf("failed to copy the socket of the election process: %w", err)
	}
	return passed{pid, socket, shared}, nil
}

// HandOff makes the election wait for a successor of another version, and describes it; nil: none runs, and none should. The
// descriptors are valid until end is called. The election then goes on as before, if no successor has come.
func (s *Supervisor) HandOff(ctx context.Context) (e *handoff.Election, end func(), err error) {
	if s.formerLives() { // it waits for a successor
		return describe(s.former.Former, s.former.order, s.former.report, func() {})
	}
	if s.idle() {
		return nil, func() {}, nil
	}
	s.setHandOff(true)
	cancel := func() { s.setHandOff(false) }
	if err := s.awaitListening(ctx); err != nil {
		cancel()
		return nil, func() {}, err
	}
	s.mu.Lock()
	child, order, last := s.child, s.carried, s.last
	s.mu.Unlock()
	return describe(child, order, last, cancel)
}

func (s *Supervisor) setHandOff(on bool) {
	s.mu.Lock()
	s.handOff = on
	s.mu.Unlock()
	nudge(s.changed)
}

// describe describes an election process. If this fails it calls cancel, which otherwise end does.
func describe(from any, o message.Order, last message.Report, cancel func()) (*handoff.Election, func(), error) {
	p, ok := from.(passable)
	if !ok {
		cancel()
		return nil, func() {}, errors.New("the election process does not run")
	}
	is, err := p.pass()
	if err != nil {
		cancel()
		return nil, func() {}, err
	}
	end := func() {
		_ = is.socket.Close()
		cancel()
	}
	return &handoff.Election{
		PID: is.pid, Socket: int(is.socket.Fd()), Board: int(is.shared.Fd()), Order: handoff.WithoutSecrets(o), Report: last,
	}, end, nil
}

// awaitListening waits until the election waits for a successor, and has carried out the latest order.
func (s *Supervisor) awaitListening(ctx context.Context) error {
	timeout := time.After(handOffTimeout)
	for {
		s.mu.Lock()
		running := s.running
		ready := running && s.last.HandOff && s.last.Sequence == s.order.Sequence && s.carried.Sequence == s.order.Sequence
		delivery := s.delivery
		s.mu.Unlock()
		switch {
		case ready:
			return nil
		case !running:
			return errors.New("the election process does not run")
		}
		select {
		case <-delivery:
		case <-timeout:
			return fmt.Errorf("the election process is not ready for a successor within %s", handOffTimeout)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
