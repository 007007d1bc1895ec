// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/election/message"
)

// refreshTimeout is the maximum wait for a requested report.
const refreshTimeout = 300 * time.Millisecond

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

// deliver is the body of the courier: it passes the latest report to notify until ended is closed.
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

// setRunning records whether an election runs, and wakes the callers that wait in Refresh.
func (s *Supervisor) setRunning(running bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running = running
	s.wakeRefreshers()
}
