// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"math"
	"slices"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/election/message"
)

// Configure sets what the election should run. A running election gets the order at once. Configure does not block.
func (s *Supervisor) Configure(o message.Order) {
	ordered := ledgerOf(o)
	s.mu.Lock()
	defer s.mu.Unlock()
	o.Sequence = s.order.Sequence + 1
	s.order, s.ordered = o, ordered
	nudge(s.changed)
}

// Sequence returns the number of the latest order.
func (s *Supervisor) Sequence() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.order.Sequence
}

// next returns the order to send. From now on its addresses may be on the interfaces. The first order to an election lists
// the routers to resume.
func (s *Supervisor) next(first bool) message.Order {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.order
	o.HandOff = s.handOff
	if first {
		o.Resume = s.resume
	}
	// An election that replaces a dead one must not start the startup delays again.
	o.Routers = slices.Clone(o.Routers)
	for i := range o.Routers {
		o.Routers[i].StartupDelay = max(0, o.Routers[i].StartupDelay-s.gone)
	}
	s.ledger.add(s.ordered)
	return o
}

// setStarted records the start of an election.
func (s *Supervisor) setStarted() {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.clock()
	if s.restarts == 0 {
		s.began = now
	}
	s.gone = time.Duration(now - s.began)
	if s.former != nil { // the former version has waited
		s.gone = math.MaxInt64
	}
}
