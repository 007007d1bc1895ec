// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"context"
	"errors"
	"time"
)

const (
	// The first restart after a death is immediate. The next one waits for firstPause, and the pause then doubles up to maxPause.
	firstPause = 20 * time.Millisecond
	maxPause   = 10 * time.Second
	// settled is how long an election must have lived so that its death counts as the first again.
	settled = 30 * time.Second
	// joinTimeout is the maximum wait, at the end of Run, for a consumer that blocks or a killed process that does not end.
	joinTimeout = time.Second
)

// Run keeps an election running until ctx ends. Then the election hands over and leaves, and Run returns.
func (s *Supervisor) Run(ctx context.Context) error {
	ended := make(chan struct{})
	s.beside.Go(func() { s.deliver(ended) })
	defer s.join()
	defer close(ended)
	if s.former != nil {
		s.beside.Go(s.watchFormer)
	}
	return errors.Join(s.run(ctx), s.stopFormer())
}

// run is Run without what is beside it.
func (s *Supervisor) run(ctx context.Context) error {
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
			return errors.Join(err, s.cleanUpAtEnd())
		}
		if time.Since(started) > settled {
			pause = 0
		}
		if !s.formerGoesOn(err) {
			s.cleanUpAfter(err)
		}
		s.log.Error("the election process died: starting it again", "error", err, "pause", pause)
		select {
		case <-ctx.Done():
			return s.cleanUpAtEnd()
		case <-time.After(pause):
		}
		pause = min(max(2*pause, firstPause), maxPause)
	}
}

// idle reports whether there is nothing to run.
func (s *Supervisor) idle() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.order.Routers) == 0
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

// Running reports whether an election process runs. One that hangs counts until it has been killed.
func (s *Supervisor) Running() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.running
}

// Restarts counts the elections that died without an order to leave.
func (s *Supervisor) Restarts() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.restarts
}
