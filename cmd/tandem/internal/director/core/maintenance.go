// SPDX-License-Identifier: Apache-2.0

package core

import (
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
)

// Maintenance says which of the files that drain servers exist, by path.
type Maintenance map[string]bool

// inMaintenance reports whether the file that drains a server exists.
func (s *State) inMaintenance(srv *server) bool {
	return srv.MaintenanceFile != "" && s.maintenance[srv.Maintenance()]
}

func (ev Maintenance) on(s *State) {
	for _, path := range s.cfg.MaintenanceFiles() {
		if _, ok := ev[path]; !ok {
			return // these are the files of an earlier configuration
		}
	}
	before := s.maintenance
	s.maintenance = ev
	s.logMaintenance(before)
}

// logMaintenance logs and records the servers whose maintenance begins or ends, and plans their services again.
func (s *State) logMaintenance(before Maintenance) {
	for _, svc := range s.services {
		for _, srv := range svc.servers {
			path := srv.Maintenance()
			is := s.inMaintenance(srv)
			if path == "" || is == before[path] {
				continue
			}
			what, cause := "is drained for maintenance", path+" exists"
			if !is {
				what, cause = "is no longer drained for maintenance", path+" does not exist any more"
				s.release(srv)
			}
			s.log(Info, "server "+what, "server", srv.id, "file", path)
			s.recordServer(api.EventOrder, srv.id, what, cause)
			s.touchServer(serverPlace{svc, srv})
		}
	}
}
