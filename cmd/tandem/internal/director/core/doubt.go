// SPDX-License-Identifier: Apache-2.0

package core

import (
	"net/netip"
	"slices"
	"time"

	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/vrrp"
)

// A doubt is about a real server, or a sorry server, that has just stopped answering. The server is dead, or this director does
// not reach it: its cable is cut, it has no route, or a switch drops its packets.
//
// A server that leaves the kernel's table takes its connections with it. The table of a director that is cut off has copies of the
// connections that live at the other director. If its servers leave the table one after another, its copies are gone. When it
// comes back and takes over, every client gets a reset, although all servers are well. So a server in doubt has weight 0, and does
// not leave the table:
//
//   - If a machine answers on the server's own interface, the director is connected there, and the server is dead: the doubt ends,
//     and the server leaves the table. This takes some hundred milliseconds.
//   - If no machine answers there, or there is no route, the director is cut off from it. The doubt lasts until one answers again,
//     and the checks had the time to pass. They do not all pass at the same time, and the director may be master as soon as the
//     first one does.
//   - A master that other servers answer on other interfaces goes on to serve. The connections live here, and their clients should
//     reach another server: the doubt ends when the checks of the others had the time to fail too.
//   - Any answer of the server itself ends the doubt: its health is known.
type doubt struct {
	since time.Time
	cut   bool      // the director has been cut off since the server stopped answering
	until time.Time // when the checks had the time to pass; zero: the director is cut off
}

// quiet reports whether a server is unhealthy, and all of its checks that say so got no answer.
func (srv *server) quiet() bool {
	return srv.verdict.Health == healthcheck.Unhealthy && !slices.ContainsFunc(srv.status, func(is healthcheck.TargetStatus) bool {
		return is.Health == healthcheck.Unhealthy && !is.Silent
	})
}

// seeDoubt begins and ends the doubt about a server that had this health before its latest result.
func (s *State) seeDoubt(svc *service, srv *server, was healthcheck.Health) {
	switch quiet := srv.quiet(); {
	case srv.doubt != nil && !quiet:
		s.endDoubt(srv)
		s.touch(svc)
	case srv.doubt == nil && quiet && was != healthcheck.Unhealthy && s.mayHave(svc, srv):
		s.doubt(svc, srv, &doubt{since: s.now})
		s.silence.again, s.ask = true, true
	}
}

func (s *State) doubt(svc *service, srv *server, d *doubt) {
	srv.doubt = d
	s.silence.doubts = append(s.silence.doubts, serverPlace{svc, srv})
}

// keepDoubt continues the doubt about a server after a reload.
func (s *State) keepDoubt(svc *service, srv, was *server) {
	if was.doubt != nil && srv.quiet() {
		s.doubt(svc, srv, was.doubt)
	}
}

func (s *State) endDoubt(srv *server) {
	srv.doubt = nil
	s.silence.doubts = slices.DeleteFunc(s.silence.doubts, func(p serverPlace) bool { return p.server == srv })
}

// mayHave reports whether the kernel's table has a server, as far as it is known.
func (s *State) mayHave(svc *service, srv *server) bool {
	if !s.filled {
		return true
	}
	for _, virtual := range svc.Virtuals {
		id := srv.In(virtual).ServerID
		for _, is := range s.wanted[virtual.ServiceID].Servers {
			if is.ServerID == id {
				return true
			}
		}
	}
	return false
}

// inDoubt returns the addresses of the servers in doubt, in order.
func (s *State) inDoubt() (all []netip.Addr) {
	for _, at := range s.silence.doubts {
		all = append(all, at.server.Addr)
	}
	slices.SortFunc(all, netip.Addr.Compare)
	return slices.Compact(all)
}

// judgeDoubts ends the doubts about servers of which it is known now that they are dead.
func (s *State) judgeDoubts() {
	q := &s.silence
	was := q.fault
	if q.fault = s.linkFault(); was && !q.fault {
		q.whole = s.now
	}
	over := time.Time{}
	for _, at := range slices.Clone(q.doubts) {
		d := at.server.doubt
		reached, known := q.reached[at.server.Addr]
		switch {
		case q.on && q.fault || q.asked && !q.answer || known && !reached:
			if !d.cut && q.answer {
				s.log(Warn, "no machine answers on the way to a real server: it stays in the table for now", "server", at.server.id)
			}
			d.cut, d.until = true, time.Time{}
			if ends := s.givesUp(at); ends.IsZero() || s.now.Before(ends) {
				continue
			}
		case !known:
			continue
		case d.until.IsZero() && (d.cut || s.failedInFault(d)):
			d.cut = true
			if over.IsZero() {
				over = s.now.Add(s.detection())
			}
			d.until = over
			continue
		case d.cut && s.now.Before(d.until):
			continue
		}
		s.endDoubt(at.server)
		s.touch(at.service)
	}
}

// failedInFault reports whether checks may have failed because an interface did not work, although it works now.
func (s *State) failedInFault(d *doubt) bool {
	whole := s.silence.whole
	return !whole.IsZero() && d.since.Before(whole.Add(s.longestCheck(func(c healthcheck.Config) int { return c.Fall })))
}

// givesUp returns when a director that is cut off from a server ends the doubt, because it serves clients with others. The zero
// time means never.
func (s *State) givesUp(at serverPlace) time.Time {
	if s.silence.on || !s.silence.answer || !s.serves(at.service) {
		return time.Time{}
	}
	return at.server.doubt.since.Add(s.longestCheck(func(c healthcheck.Config) int { return c.Fall }))
}

// serves reports whether the clients of a service come to this director.
func (s *State) serves(svc *service) bool {
	return len(s.cfg.Routers) == 0 || slices.ContainsFunc(holders(svc.Service, s.cfg.Routers), func(name string) bool {
		return s.roles[name] == vrrp.Master
	})
}

// doubtsEnd returns the time at which the first doubt ends without an event. The zero time means never.
func (s *State) doubtsEnd() (next time.Time) {
	for _, at := range s.silence.doubts {
		ends := at.server.doubt.until
		if at.server.doubt.cut && ends.IsZero() {
			ends = s.givesUp(at)
		}
		if !ends.IsZero() && (next.IsZero() || ends.Before(next)) {
			next = ends
		}
	}
	return next
}
