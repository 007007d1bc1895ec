// SPDX-License-Identifier: Apache-2.0

package core

import "github.com/tandem-lvs/tandem/configs"

// adoptLeaders finds the servers that servers of other services track.
func (s *State) adoptLeaders() {
	byName := make(map[string]*server)
	for _, svc := range s.services {
		for _, srv := range svc.servers {
			byName[configs.TrackID(svc.Service, srv.Server)] = srv
		}
	}
	for _, svc := range s.services {
		for _, srv := range svc.servers {
			srv.leader = byName[srv.Track] // nil without a Track
		}
	}
}

// keptAway reports whether the server that a server tracks is drained or disabled, or a file of maintenance drains either.
func (s *State) keptAway(srv *server) (drained, disabled bool) {
	drained = s.inMaintenance(srv)
	if srv.leader != nil {
		o := s.overrides[srv.leader.id]
		drained, disabled = drained || o.Drained || s.inMaintenance(srv.leader), o.Disabled
	}
	return drained, disabled
}

// touchFollowers plans the services again whose servers track a server.
func (s *State) touchFollowers(leader *server) {
	for _, svc := range s.services {
		for _, srv := range svc.servers {
			if srv.leader == leader {
				s.touch(svc)
			}
		}
	}
}
