// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/election/message"
)

const (
	// leaveGrace is the time that an election has for leaving, beside the time in which it offers its addresses. It keeps them for
	// at most 1.05 s of this (vrrp.MaxLinger).
	leaveGrace = 3 * time.Second
	// deathTimeout is the maximum wait for the end of a killed process. A thread that waits for a frozen disk does not end at
	// SIGKILL.
	deathTimeout = 500 * time.Millisecond
	// exitStatusTimeout is the maximum wait for the exit status of an election whose socket is closed.
	exitStatusTimeout = 2 * time.Millisecond
)

var (
	errEndedUnasked = errors.New("it ended without being told to leave")
	errNotEnded     = errors.New("it was killed and has not ended: one of its threads waits in the kernel")
)

// A Child is a running election process, seen from the director.
type Child interface {
	io.ReadWriteCloser
	SetWriteDeadline(t time.Time) error
	// Wait blocks until the process has ended, and returns its result. Closing the socket does not end the process.
	Wait() error
	// Kill ends the process at once.
	Kill() error
	// Spoke returns when a router last advertised as master, also after the process has ended, until Close. It is negative if the
	// router is not master or has offered its place, and 0 if this is not known.
	Spoke(id message.RouterID) message.Monotonic
}

// A watch supervises one election process.
type watch struct {
	*Supervisor
	child   Child
	leaving atomic.Bool

	looks *time.Timer   // when to look at the signs of life
	send  chan struct{} // the writer is to send the order
	stuck chan struct{} // closed when the election does not read its orders
	eof   chan struct{} // closed when the socket is
	ended chan struct{} // closed when the watch is over
	dead  chan error    // how the process ended

	// The judge's own.
	killed   bool
	undead   <-chan time.Time // when to give up waiting for the end of a killed process
	overdue  <-chan time.Time // when an election that was told to leave has had its time
	handOver time.Duration    // the longest hand-over of what was ordered
}

// runChild runs one election to its end. It returns nil if the election left because it was ordered to.
func (s *Supervisor) runChild(ctx context.Context) error {
	child, err := s.startProcess(ctx)
	if err != nil {
		return fmt.Errorf("failed to start the election process: %w", err)
	}
	s.setChild(child)
	s.setRunning(true)
	defer s.setRunning(false)
	s.setStarted()
	s.setAlive()
	w := &watch{
		Supervisor: s, child: child, dead: make(chan error, 1), send: make(chan struct{}, 1),
		stuck: make(chan struct{}), eof: make(chan struct{}), ended: make(chan struct{}), looks: time.NewTimer(suspectTimeout),
	}
	s.beside.Go(func() { w.dead <- child.Wait() })
	var conversation sync.WaitGroup
	conversation.Go(w.read)
	conversation.Go(w.write)
	defer func() {
		close(w.ended)
		s.noteSpoke(child)
		_ = child.Close() // frees the reader and the writer
		conversation.Wait()
	}()
	return w.judge(ctx)
}

// noteSpoke stores when the routers of an election that has ended last advertised.
func (s *Supervisor) noteSpoke(child Child) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.spoke = make(map[message.RouterID]message.Monotonic, len(s.order.Routers))
	for _, r := range s.order.Routers {
		id := message.IDOf(r.Config)
		s.spoke[id] = child.Spoke(id)
		if s.spoke[id] == 0 && s.former != nil && s.former.took == nil {
			s.spoke[id] = s.former.Spoke(id)
		}
	}
}

func (s *Supervisor) setChild(c Child) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.child = c
}

// startProcess starts an election. If the start hangs, it can still be told to end.
func (s *Supervisor) startProcess(ctx context.Context) (Child, error) {
	type result struct {
		child Child
		err   error
	}
	started := make(chan result, 1)
	go func() {
		child, err := s.spawn()
		started <- result{child, err}
	}()
	select {
	case r := <-started:
		return r.child, r.err
	case <-ctx.Done():
	}
	select {
	case r := <-started:
		return r.child, r.err
	case <-time.After(joinTimeout):
		return nil, ctx.Err() // an election that starts later finds its socket closed when this process ends
	}
}
