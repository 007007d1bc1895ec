// SPDX-License-Identifier: Apache-2.0

package core

import (
	"net/netip"

	"github.com/tandem-lvs/tandem/healthcheck"
)

// A census counts the real servers that are checked.
type census struct {
	checked  int
	speaking int // checked servers that are not silent
	open     int // checked servers of unknown health
	down     int // checked servers that are unhealthy
	machines map[netip.Addr]int
}

func (c *census) count(srv *server, by int) {
	if !srv.counted {
		return
	}
	c.checked += by
	if !srv.silent {
		c.speaking += by
	}
	if srv.open {
		c.open += by
	}
	if srv.down {
		c.down += by
	}
	if c.machines[srv.Addr] += by; c.machines[srv.Addr] == 0 {
		delete(c.machines, srv.Addr)
	}
}

// recount updates the census for one server.
func (s *State) recount(svc *service, srv *server) {
	if srv == svc.sorry {
		return
	}
	s.census.count(srv, -1)
	srv.counted = svc.checks(srv)
	srv.silent = srv.verdict.Health == healthcheck.Unhealthy && srv.verdict.Silent
	srv.down = srv.verdict.Health == healthcheck.Unhealthy
	srv.open = svc.probed() && srv.verdict.Health == healthcheck.Unknown
	s.census.count(srv, 1)
}
