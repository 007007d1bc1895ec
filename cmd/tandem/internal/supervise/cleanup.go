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

// startTime is the time that an election may need from its start to its first advertisement. A router whose peer takes
// over sooner than that is not resumed: its addresses are removed at once.
const startTime = 100 * time.Millisecond

// cleanUpAfter decides which routers the next election, started after a pause, can resume. It removes all other addresses: a
// peer that takes over must not share them with us.
func (s *Supervisor) cleanUpAfter(cause error, pause time.Duration) {
	s.mu.Lock()
	s.restarts++
	if s.resume == nil {
		s.resume = s.resumable()
	}
	soonest := s.clock().Add(pause + startTime)
	s.resume = slices.DeleteFunc(s.resume, func(r message.Resume) bool { return r.Before < soonest })
	kept := s.resume
	s.post(message.Report{Problem: fmt.Sprintf("the election process died and is started again: %v", cause)})
	s.mu.Unlock()
	if err := s.cleanUp(kept); err != nil {
		s.log.Error("failed to remove the addresses of the dead election", "error", err)
	}
}

// resumable returns the routers whose master was the dead election, by its last report. The caller holds mu, and has not
// posted another report since.
func (s *Supervisor) resumable() []message.Resume {
	if s.last.Sequence != s.order.Sequence {
		return nil // a router may have changed since
	}
	var routers []message.Resume
	for _, r := range s.last.Routers {
		ordered := func(o message.Router) bool { return message.IDOf(o.Config) == message.IDOfStatus(r) }
		if r.State != vrrp.Master || !r.Holding || !slices.ContainsFunc(s.order.Routers, ordered) {
			continue
		}
		// An election that was stopped or hung before it died has stopped advertising too. Its last advertisement is at
		// most an interval older than its last unbroken sign of life. The peer waits for three intervals and its skew time.
		routers = append(routers, message.Resume{
			Interface: r.Interface, Name: r.Name, Before: s.sure.Add(2 * r.AdvertInterval),
		})
	}
	return routers
}

// tooLate returns a channel that gets a message when it is too late to resume any router.
func (s *Supervisor) tooLate() <-chan time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.resume) == 0 {
		return nil
	}
	last := slices.MaxFunc(s.resume, func(a, b message.Resume) int { return int(a.Before - b.Before) })
	return time.After(time.Duration(last.Before - s.clock()))
}

// giveUpResuming removes the addresses that were kept for an election which did not resume in time.
func (s *Supervisor) giveUpResuming() {
	s.mu.Lock()
	s.resume = nil
	s.mu.Unlock()
	err := s.cleanUp(nil)
	s.log.Error("the election was not back in time: its addresses are removed")
	if err != nil {
		s.log.Error("failed to remove the addresses of the dead election", "error", err)
	}
}

// cleanUp removes everything that a dead election may have left, except the resources of the kept routers. If a removal
// fails, the next clean-up tries it again.
func (s *Supervisor) cleanUp(kept []message.Resume) error {
	s.mu.Lock()
	off := s.ledger.without(kept)
	s.mu.Unlock()
	if len(off) == 0 {
		return nil
	}
	if err := s.remove(slices.Collect(maps.Values(off))); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for key := range off {
		delete(s.ledger, key) // until it is ordered again
	}
	return nil
}
