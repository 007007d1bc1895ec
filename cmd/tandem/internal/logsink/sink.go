// SPDX-License-Identifier: Apache-2.0

// Package logsink writes log lines without delaying their sender.
package logsink

import (
	"bytes"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
)

// maxQueued is the maximum size of the queue in bytes.
const maxQueued = 1 << 20

// A Sink queues log lines and writes them in a goroutine of its own. Standard error may be a full pipe that nobody reads. If
// the queue is full, lines are dropped and counted.
type Sink struct {
	out   io.Writer
	limit int
	wake  chan struct{}

	mu      sync.Mutex // never held over a write to out
	queue   []byte
	writing bool
	dropped int           // lines since the last notice
	idle    chan struct{} // closed when everything is written; nil: nobody waits for that
}

var _ io.Writer = (*Sink)(nil)

// New returns a sink for out. It only queues until Run is called.
func New(out io.Writer) *Sink {
	return &Sink{out: out, limit: maxQueued, wake: make(chan struct{}, 1)}
}

// Write queues p, which is one or more whole lines, and returns at once. It never fails.
func (s *Sink) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue)+len(p) > s.limit {
		s.dropped += max(1, bytes.Count(p, []byte{'\n'}))
	} else {
		s.queue = append(s.queue, p...)
	}
	select {
	case s.wake <- struct{}{}:
	default:
	}
	return len(p), nil
}

// Run writes the queue for as long as the process lives: a write to a pipe that nobody reads cannot be cancelled. When there
// is room again, it logs the number of dropped lines to log, whose output is the sink.
func (s *Sink) Run(log hclog.Logger) {
	for range s.wake {
		for {
			batch, dropped := s.take()
			if dropped > 0 {
				log.Warn("log lines were dropped: nobody reads the log fast enough", "count", dropped)
			}
			if len(batch) == 0 {
				break
			}
			_, _ = s.out.Write(batch) // there is nowhere to report an error to
		}
	}
}

// take returns the queue, and the number of lines that were dropped.
func (s *Sink) take() (batch []byte, dropped int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	batch, s.queue = slices.Clip(s.queue), nil
	dropped, s.dropped = s.dropped, 0
	s.writing = len(batch)+dropped > 0
	if !s.writing && s.idle != nil {
		close(s.idle)
		s.idle = nil
	}
	return batch, dropped
}

// Flush waits until everything that was logged is written, for at most timeout. It returns whether everything is written.
func (s *Sink) Flush(timeout time.Duration) bool {
	s.mu.Lock()
	if len(s.queue)+s.dropped == 0 && !s.writing {
		s.mu.Unlock()
		return true
	}
	if s.idle == nil {
		s.idle = make(chan struct{})
	}
	idle := s.idle
	s.mu.Unlock()
	select {
	case <-idle:
		return true
	case <-time.After(timeout):
		return false
	}
}
