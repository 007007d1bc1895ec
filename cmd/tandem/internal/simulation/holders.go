// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"net/netip"
	"slices"

	"github.com/tandem-lvs/tandem/vrrp"
)

// lookAtHolders checks that two directors do not have the addresses of a segment for longer than the rules of the hand-over allow.
// Below, held is for how long both have had them, hearing for how long they have heard each other, and together for how long they
// have heard each other's announcements.
func (m *monitor) lookAtHolders(w *world, segment int, v netip.Addr, holders int) {
	a, b := w.hosts[0], w.hosts[1]
	bothRun := a.takesPart() && b.takesPart()
	hearing := m.hear[segment].is(bothRun && w.joined(segment), w.now)
	together := m.together[segment].is(bothRun && w.joinedOn(segment), w.now)
	if heard := hearing > m.scenario.Interval+slack; segment == outside && (holders == 2 || heard) {
		m.split = !heard // a master advertises once an interval: before that the other one may not have heard it
	}
	if segment == outside {
		for i, h := range w.hosts {
			m.holds[i].is(h.kernelRuns() && h.kernel.addrs[slot(vip)], w.now)
		}
	}
	held := m.both[segment].is(holders == 2, w.now)
	both := min(hearing, held)
	// The losing master hears the winner within an interval, and hears it announce the addresses. A master that hands over
	// keeps them for at most an interval and Linger.
	bound := m.scenario.Interval + vrrp.Linger + slack
	m.handed[segment] = held > 0 && (m.handed[segment] || w.tookOver(segment))
	if held > hearing && m.handed[segment] {
		// The network was mended while a master of each half had the addresses, and one of them handed over. It took the other
		// one for its successor, and waited for its announcement.
		bound += m.scenario.Interval
	}
	m.offered[segment] = held > 0 && (m.offered[segment] || w.bothOffer(segment))
	if held > hearing && m.offered[segment] {
		// The operators of both halves of a split network hand over, and the network is mended. Each director waits for the other
		// one to take over, until the first offer ends. The clients of both halves are served all the time, as in the split
		// network, because neither director announces anything. They move together when one of the two is master again.
		bound += (&vrrp.Config{AdvertInterval: m.scenario.Interval}).OfferTime()
	}
	if together < bound && together < hearing {
		// They hear each other over the other segment. The losing master does not hear the winner announce the addresses, and keeps
		// them until its next advertisement would be due. Clients hear the winner, who announces when it hears the loser.
		bound += m.scenario.Interval
	}
	if both > bound {
		m.broke(w, "two holders", "both directors have had %s for %s while they heard each other; the bound is %s", v, both, bound)
	}
}

// tookOver reports whether a router has handed over to another master, or hands over because of a fault.
func (w *world) tookOver(segment int) bool {
	for _, h := range w.hosts {
		if e := h.election(); e != nil && slices.ContainsFunc(e.routers, func(r *router) bool {
			s := &r.status
			return r.segment == segment && (s.State == vrrp.Fault && s.HandingOver || s.State != vrrp.Master && s.Cause.Kind == vrrp.CauseTookOver)
		}) {
			return true
		}
	}
	return false
}

// bothOffer reports whether both directors have the addresses of a segment, and offer their place. A member of a sync group whose
// group is backup does not count.
func (w *world) bothOffer(segment int) bool {
	offers := 0
	for _, h := range w.hosts {
		e := h.election()
		if e == nil || slices.ContainsFunc(e.routers, func(r *router) bool { return r.status.State != vrrp.Master }) {
			return false
		}
		if slices.ContainsFunc(e.routers, func(r *router) bool { return r.segment == segment && r.status.HandingOver }) {
			offers++
		}
	}
	return offers == len(w.hosts)
}
