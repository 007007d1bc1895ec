// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"slices"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/election/message"
)

// An orphan is an election without a director. It models election/directorless.go.
type orphan struct {
	begun     map[string]bool // the routers whose hand-over was seen
	until     time.Time
	successor *election
}

// losesDirector runs when the director's end of the socket is closed.
func (e *election) losesDirector() {
	e.director = nil
	switch {
	case e != e.host.elections[0]:
		e.dies()
	case e.ending:
	case e.order.OrphanGrace <= 0 || !e.obeyed:
		e.leave()
	default:
		e.say(e.host.name, "election has lost its director")
		for i := range e.order.Routers {
			e.order.Routers[i].Standby = true
		}
		e.orphan = &orphan{begun: make(map[string]bool), until: e.now.Add(e.order.OrphanGrace)}
		e.later(e.order.HandOverTime(), func() {
			for _, r := range e.order.Routers {
				e.orphan.begun[r.Name] = true
			}
			e.goOnWithoutDirector()
		})
		e.later(e.order.OrphanGrace, func() {
			e.say(e.host.name, "no director came back in time")
			e.orphan = nil
			e.leave()
		})
		e.settle()
	}
}

// goOnWithoutDirector ends the routers that the peer has taken over, and hands the other routers to a successor.
func (e *election) goOnWithoutDirector() {
	if e.orphan == nil {
		return
	}
	under := false
	for _, r := range e.routers {
		s := &r.status
		e.orphan.begun[s.Name] = e.orphan.begun[s.Name] || s.HandingOver
		under = under || s.HandingOver || s.Holding && !e.orphan.begun[s.Name]
	}
	if under {
		return
	}
	before := len(e.order.Routers)
	e.order.Routers = slices.DeleteFunc(slices.Clone(e.order.Routers), func(o message.Router) bool {
		r := e.named(o.Name)
		return r == nil || !r.status.Holding
	})
	if len(e.order.Routers) != before {
		e.configure()
		e.settleSoon()
	}
	next := e.orphan.successor
	switch {
	case len(e.order.Routers) == 0:
		e.orphan = nil
		e.leave()
	case next != nil && next.alive:
		next.handed = slices.Clone(e.order.Routers)
		e.say(e.host.name, "election hands off to its successor: %d routers", len(next.handed))
		e.dies()
	}
}

// askPredecessor asks for the hand-off again and again, until the lock is free.
func (e *election) askPredecessor() {
	e.later(e.between(5*time.Millisecond, 15*time.Millisecond), func() {
		first := e.host.election()
		if first == e || first == nil {
			return
		}
		if first.orphan != nil && first.orphan.successor != e {
			first.do(func() {
				if first.orphan != nil {
					first.orphan.successor = e
					first.goOnWithoutDirector()
				}
			})
		}
		e.askPredecessor()
	})
}
