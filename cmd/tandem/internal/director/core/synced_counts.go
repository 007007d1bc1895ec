// SPDX-License-Identifier: Apache-2.0

package core

import (
	"net/netip"
	"slices"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/peer/message"
	"github.com/tandem-lvs/tandem/lvs"
)

// A tally has the numbers of established connections at one moment, by real server.
type tally struct {
	number  uint64 // counts the tallies of both; 0: they are not known
	servers map[string]int
}

// A syncScope says for whom the connections of a service count: they end when this one takes over without them.
type syncScope struct {
	owners map[witnessOwner]bool // its address is one of their VIPs
	all    bool                  // nobody here has its address, as with a firewall mark
}

// adoptSyncScopes finds out for whom the connections of each service count.
func (s *State) adoptSyncScopes() {
	holders := make(map[netip.Addr]witnessOwner)
	for _, r := range s.cfg.Routers {
		for _, vip := range slices.Concat(r.VIPs, r.ExcludedVIPs) {
			holders[vip.Addr()] = syncOwner(r)
		}
	}
	s.syncs.scopes = make(map[*service]syncScope)
	for _, svc := range s.services {
		scope := syncScope{owners: make(map[witnessOwner]bool)}
		for _, v := range svc.Virtuals {
			if owner, held := holders[v.Addr]; held {
				scope.owners[owner] = true
			} else {
				scope.all = true
			}
		}
		s.syncs.scopes[svc] = scope
	}
}

// countsConnections reports whether the connections in the kernel's table must be counted.
func (s *State) countsConnections() bool { return s.syncs.counts > 0 || s.syncs.asked }

func (s *State) newTally() tally {
	s.syncs.tallies++
	return tally{s.syncs.tallies, make(map[string]int)}
}

// countHere takes the kernel's table of this machine.
func (s *State) countHere(rows []lvs.Row) {
	if !s.countsConnections() {
		return
	}
	active := make(map[member]int)
	for _, row := range rows {
		for _, srv := range row.Servers {
			active[member{row.ServiceID, srv.ServerID}] += srv.Active
		}
	}
	s.syncs.here = s.newTally()
	for _, svc := range s.services {
		for _, srv := range svc.servers {
			for _, v := range svc.Virtuals {
				if n := active[member{v.ServiceID, srv.In(v).ServerID}]; n > 0 {
					s.syncs.here.servers[srv.id] += n
				}
			}
		}
	}
	s.peer.stale = s.peer.stale || s.syncs.asked
}

// countThere takes what the other director tells of its connections, and whether it asks for ours.
func (s *State) countThere(v *message.View) {
	s.followAsking(v)
	s.syncs.there = tally{}
	if v.Counted {
		s.syncs.there = s.newTally()
		for _, srv := range v.Servers {
			s.syncs.there.servers[srv.Name] += srv.Established
		}
	}
}

// followAsking takes whether the other director asks for our numbers. It asks once: its view may come before the channel works in both
// directions, so it is looked at again when it does.
func (s *State) followAsking(v *message.View) {
	asks := slices.ContainsFunc(v.Routers, func(r message.Router) bool { return r.Waits != nil })
	if asks && !s.syncs.asked {
		s.syncs.askedAt = s.syncs.tallies
	}
	s.syncs.asked = asks
}

// tellsConnections reports whether the views for the other director have the numbers of connections.
func (s *State) tellsConnections() bool {
	return s.syncs.asked && s.syncs.here.number > s.syncs.askedAt
}

// compareTables compares the latest numbers of both directors, if both were counted since the wait began.
func (s *State) compareTables(w *syncWait) {
	here, there := s.syncs.here, s.syncs.there
	is, first := [2]uint64{here.number, there.number}, !w.known()
	if here.number <= w.from || there.number <= w.from || is == w.compared {
		return
	}
	w.compared, w.have, w.of = is, 0, 0
	for _, svc := range s.services {
		if scope := s.syncs.scopes[svc]; !scope.all && !scope.owners[w.owner] {
			continue
		}
		for _, srv := range svc.servers {
			n := there.servers[srv.id]
			w.of, w.have = w.of+n, w.have+min(n, here.servers[srv.id])
		}
	}
	if missing := w.of - w.have; first || missing < w.fewest {
		w.fewest, w.fell = missing, s.now
	}
	s.peer.stale = true
}
