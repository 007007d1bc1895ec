// SPDX-License-Identifier: Apache-2.0

// Package logsink writes log lines without delaying their sender: to standard error, or to systemd's journal with fields.
package logsink

import (
	"bytes"
	"io"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
)

// maxQueued is the maximum size of the queue in bytes.
const maxQueued = 1 << 20

// An output writes entries in their order. It may block: standard error may be a full pipe that nobody reads, and the journal may
// have stopped. It reports no error, because there is nowhere to report it to.
type output interface {
	write(batch []entry)
}

// A Sink queues log lines and writes them in a goroutine of its own. If the queue is full, lines are dropped and counted.
type Sink struct {
	out   output
	limit int
	wake  chan struct{}

	mu      sync.Mutex // never held over a write to out
	queue   []entry
	size    int // of the queue in bytes
	writing bool
	dropped int           // lines since the last notice
	idle    chan struct{} // closed when everything is written; nil: nobody waits for that
}

var _ io.Writer = (*Sink)(nil)

// New returns a sink for out. It only queues until Run is called.
func New(out io.Writer) *Sink { return sinkFor(stream{out}) }

func sinkFor(out output) *Sink {
	return &Sink{out: out, limit: maxQueued, wake: make(chan struct{}, 1)}
}

// Write queues p, which is one or more whole lines, and returns at once. It never fails.
func (s *Sink) Write(p []byte) (int, error) {
	s.put(entry{message: string(p)}, max(1, bytes.Count(p, []byte{'\n'})))
	return len(p), nil
}

// put queues an entry of that many lines.
func (s *Sink) put(e entry, lines int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if size := e.size(); s.size+size > s.limit {
		s.dropped += lines
	} else {
		s.queue, s.size = append(s.queue, e), s.size+size
	}
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Run writes the queue for as long as the process lives: a write that nobody reads cannot be cancelled. When there
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
			s.out.write(batch)
		}
	}
}

// take returns the queue, and the number of lines that were dropped.
func (s *Sink) take() (batch []entry, dropped int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	batch, s.queue, s.size = s.queue, nil, 0
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

// A stream is an output of lines.
type stream struct{ io.Writer }

func (s stream) write(batch []entry) {
	var lines bytes.Buffer
	for _, e := range batch {
		lines.WriteString(e.message)
	}
	_, _ = s.Write(lines.Bytes())
}
