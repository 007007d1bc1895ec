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
			if srv.leader = byName[srv.Track]; srv.leader != nil { // it is nil without a Track
				srv.leader.followers = append(srv.leader.followers, serverPlace{svc, srv})
			}
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

// touchServer plans the service of a server again, and those whose servers track it.
func (s *State) touchServer(at serverPlace) {
	s.touch(at.service)
	for _, follower := range at.server.followers {
		s.touch(follower.service)
	}
}

// release begins the slow start of a server that is no longer kept away, and of those that track it.
func (s *State) release(srv *server) {
	srv.released = s.now
	for _, follower := range srv.followers {
		follower.server.released = s.now
	}
}
