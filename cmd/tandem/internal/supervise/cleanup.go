// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/election/message"
	"github.com/tandem-lvs/tandem/vrrp"
)

// cleanUpAfter works out what the next election, started after a pause, can resume, and takes all other addresses off: a peer
// that takes over would share them with us.
func (s *Supervisor) cleanUpAfter(cause error, pause time.Duration) {
	now := s.clock()
	s.mu.Lock()
	s.restarts++
	if s.resume == nil {
		for _, r := range s.last.Routers {
			if r.State != vrrp.Master || !r.Holding || !unchanged(s.order, s.last.Sequence, r) {
				continue
			}
			// One that had been stopped or hung before it died has not advertised since. The latest advertisement that
			// it is known to have sent is at most an interval before its latest unbroken sign of life, and the peer waits for
			// three intervals and its skew time.
			s.resume = append(s.resume, message.Resume{
				Interface: r.Interface, Name: r.Name, Before: s.sure.Add(2 * r.AdvertInterval),
			})
		}
	}
	s.resume = slices.DeleteFunc(s.resume, func(r message.Resume) bool { return r.Before < now.Add(pause+startTime) })
	kept := s.resume
	s.last = message.Report{Problem: fmt.Sprintf("the election process died and is started again: %v", cause)}
	report := s.last
	s.mu.Unlock()
	s.notify(report)
	if err := s.cleanUp(kept); err != nil {
		s.log.Error("take off the addresses of the dead election", "error", err)
	}
}

// unchanged reports whether a router of the report that follows an order is in the present one as it was.
func unchanged(o message.Order, sequence uint64, s vrrp.Status) bool {
	return sequence == o.Sequence && slices.ContainsFunc(o.Routers, func(r message.Router) bool { return message.IDOf(r.Config) == message.IDOfStatus(s) })
}

// tooLate fires when nothing is left to resume.
func (s *Supervisor) tooLate() <-chan time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.resume) == 0 {
		return nil
	}
	last := slices.MaxFunc(s.resume, func(a, b message.Resume) int { return int(a.Before - b.Before) })
	return time.After(time.Duration(last.Before - s.clock()))
}

// cleanUp takes off everything that a dead election may have left, except for what the kept routers have. What could
// not be taken off is tried again the next time.
func (s *Supervisor) cleanUp(kept []message.Resume) error {
	s.mu.Lock()
	off := s.ledger.without(kept)
	s.mu.Unlock()
	if len(off) == 0 {
		return nil
	}
	configs := slices.Collect(maps.Values(off))
	if err := s.remove(configs); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for key := range off {
		delete(s.ledger, key) // until it is ordered again
	}
	return nil
}
