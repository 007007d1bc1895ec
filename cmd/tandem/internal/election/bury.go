// SPDX-License-Identifier: Apache-2.0

package election

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/tandem-lvs/tandem/vrrp"
)

// bury works out what the next election, started after a pause, can resume, and takes all other addresses off: a peer
// that takes over would share them with us.
func (s *Supervisor) bury(cause error, pause time.Duration) {
	now := s.clock()
	s.mu.Lock()
	s.restarts++
	if s.resume == nil {
		for _, r := range s.last.Routers {
			if r.State != vrrp.Master || !r.Holding || !s.order.unchanged(s.last.Sequence, r) {
				continue
			}
			// One that had been stopped or hung before it died has not advertised since. The latest advertisement that
			// it is known to have sent is at most an interval before its latest unbroken sign of life, and the peer waits for
			// three intervals and its skew time.
			s.resume = append(s.resume, Resume{
				Interface: r.Interface, Name: r.Name, Before: s.sure.add(2 * r.AdvertInterval),
			})
		}
	}
	s.resume = slices.DeleteFunc(s.resume, func(r Resume) bool { return r.Before < now.add(pause+startTime) })
	kept := s.resume
	s.last = Report{Problem: fmt.Sprintf("the election process died and is started again: %v", cause)}
	report := s.last
	s.mu.Unlock()
	s.notify(report)
	if err := s.cleanUp(kept); err != nil {
		s.log.Error("take off the addresses of the dead election", "error", err)
	}
}

// unchanged reports whether a router of the report that follows an order is in the present one as it was.
func (o Order) unchanged(sequence uint64, s vrrp.Status) bool {
	return sequence == o.Sequence && slices.ContainsFunc(o.Routers, func(r Router) bool { return idOf(r.Config) == idOfState(s) })
}

// tooLate fires when nothing is left to resume.
func (s *Supervisor) tooLate() <-chan time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.resume) == 0 {
		return nil
	}
	last := slices.MaxFunc(s.resume, func(a, b Resume) int { return int(a.Before - b.Before) })
	return time.After(time.Duration(last.Before - s.clock()))
}

// cleanUp takes off everything that a dead election may have left, except for what the kept routers have. What could
// not be taken off is tried again the next time.
func (s *Supervisor) cleanUp(kept []Resume) error {
	s.mu.Lock()
	off := s.estate.without(kept)
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
		delete(s.estate, key) // until it is ordered again
	}
	return nil
}

// leaveTime is the longest that a hand-over of these routers takes: three of the longest interval.
func leaveTime(o Order) time.Duration {
	var longest time.Duration
	for _, r := range o.Routers {
		longest = max(longest, r.AdvertInterval)
	}
	return 3 * longest
}
