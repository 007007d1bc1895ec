// SPDX-License-Identifier: Apache-2.0

package core

import (
	"slices"
	"time"

	"github.com/tandem-lvs/tandem/healthcheck"
)

// A doubt is about a real server, or a sorry server, that has just stopped answering. The server is dead, or this director does
// not reach it: its cable is cut, it has no route, or a switch drops its packets.
//
// A server that leaves the kernel's table takes its connections with it. The table of a director that is cut off has copies of the
// connections that live at the other director. If its servers leave the table one after another, its copies are gone. When it
// comes back and takes over, every client gets a reset, although all servers are well. So a server in doubt has weight 0, and does
// not leave the table:
//
//   - If a machine answers on the way to the servers, the director is connected, and the server is dead: the doubt ends, and the
//     server leaves the table. This takes some hundred milliseconds.
//   - If no machine answers, the director is cut off. The doubt lasts until one answers again, and the checks had the time to
//     pass. They do not all pass at the same time, and the director may be master as soon as the first one does.
//   - Any answer of the server itself ends the doubt: its health is known.
type doubt struct {
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
		s.doubt(svc, srv, &doubt{})
		s.silence.again = true
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

// judgeDoubts ends the doubts about servers of which it is known now that they are dead.
func (s *State) judgeDoubts() {
	q := &s.silence
	if len(q.doubts) == 0 {
		return
	}
	cut := q.asked && !q.answer || q.on && s.linkFault()
	if !cut && !q.asked {
		return
	}
	over := time.Time{}
	for _, at := range slices.Clone(q.doubts) {
		switch d := at.server.doubt; {
		case cut:
			d.cut, d.until = true, time.Time{}
			continue
		case d.cut && d.until.IsZero():
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

// doubtsEnd returns the time at which the first doubt ends without an event. The zero time means never.
func (s *State) doubtsEnd() (next time.Time) {
	for _, at := range s.silence.doubts {
		if until := at.server.doubt.until; !until.IsZero() && (next.IsZero() || until.Before(next)) {
			next = until
		}
	}
	return next
}
