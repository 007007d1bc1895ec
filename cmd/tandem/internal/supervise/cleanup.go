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

// cleanUpAfter decides which routers the next election can resume, and keeps their addresses meanwhile. It removes all other
// addresses. The clean-up may hang; the kept addresses are nevertheless removed in time.
func (s *Supervisor) cleanUpAfter(cause error) {
	s.mu.Lock()
	s.restarts++
	if s.resume == nil {
		s.resume = s.resumable()
		s.watchKept()
	}
	kept := s.dropExpired()
	s.post(message.Report{Problem: fmt.Sprintf("the election process died and is started again: %v", cause)})
	s.mu.Unlock()
	if err := s.cleanUp(kept); err != nil {
		s.log.Error("failed to remove the addresses of the dead election", "error", err)
	}
}

// resumable returns the routers whose master was the dead election, by its last report. The caller holds mu, and has not
// posted another report since.
func (s *Supervisor) resumable() []message.Resume {
	if s.last.Sequence != s.carried.Sequence {
		return nil
	}
	routers := []message.Resume{}
	for _, r := range s.last.Routers {
		was, is := find(s.carried, r), find(s.order, r)
		// A router whose configuration has changed since may be another one by now.
		if r.State != vrrp.Master || !r.Holding || r.HandingOver || was == nil || is == nil || !was.Equal(is) {
			continue
		}
		last := s.spoke[message.IDOfStatus(r)]
		if last < 0 {
			continue // it is no longer what its last report says
		}
		if last == 0 {
			// An election that was stopped or hung before it died has stopped advertising too. Its last advertisement is at most an
			// interval older than its last unbroken sign of life.
			last = s.sure.Add(-r.AdvertInterval)
		}
		// The peer waits for three intervals and its skew time.
		routers = append(routers, message.Resume{
			Interface: r.Interface, Name: r.Name, Before: last.Add(vrrp.DownAdverts * r.AdvertInterval),
		})
	}
	return routers
}

// find returns the configuration of a router in an order, nil if it is not there.
func find(o message.Order, s vrrp.Status) *vrrp.Config {
	for i := range o.Routers {
		if c := &o.Routers[i].Config; message.IDOf(*c) == message.IDOfStatus(s) {
			return c
		}
	}
	return nil
}

// keptUntil returns when the addresses of a router that nobody has resumed must be gone. The peer may have taken over vrrp.Linger
// before that. It announces the addresses then, and the dead election does not: so it is a hand-over like any other.
func keptUntil(r message.Resume) message.Monotonic { return r.Before.Add(vrrp.Linger) }

// watchKept starts a timer for each moment at which kept addresses must be removed. Each runs by itself: what else hangs does not
// make it late. The caller holds mu.
func (s *Supervisor) watchKept() {
	moments := make(map[message.Monotonic]bool)
	for _, r := range s.resume {
		moments[keptUntil(r)] = true
	}
	for at := range moments {
		time.AfterFunc(time.Duration(at-s.clock()), s.expire)
	}
}

// expire removes the addresses whose time is over, unless an election has carried out an order: then the election maintains them.
func (s *Supervisor) expire() {
	s.mu.Lock()
	before := len(s.resume)
	kept := s.dropExpired()
	s.mu.Unlock()
	if len(kept) == before {
		return
	}
	err := s.cleanUp(kept)
	s.log.Error("the election was not back in time: its addresses are removed")
	if err != nil {
		s.log.Error("failed to remove the addresses of the dead election", "error", err)
	}
}

// dropExpired removes the routers from s.resume whose addresses must be gone, and returns a copy of the rest. A list that exists
// stays one: the next death before an order was carried out must not begin it anew. The caller holds mu.
func (s *Supervisor) dropExpired() []message.Resume {
	now := s.clock()
	s.resume = slices.DeleteFunc(s.resume, func(r message.Resume) bool { return keptUntil(r) <= now })
	return slices.Clone(s.resume)
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
