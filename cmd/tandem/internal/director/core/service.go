// SPDX-License-Identifier: Apache-2.0

package core

import (
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"time"

	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/lvs"
)

// A service is a configured service and what is known of it.
type service struct {
	configs.Service
	servers []*server
	role    checkRole
	routers []string // whose roles decide about role; nil: none do
	tracks  []int    // those that look at the service

	pool    lvs.PoolOutput // of the first virtual; the others differ in what they inherited at most
	next    time.Time      // when the plan changes by itself; zero: never
	changed bool           // has to be planned
	shown   *Service       // the same for snapshots; nil: has to be made
}

// A server is a configured real server and what is known of it.
type server struct {
	configs.Server
	id       string                     // names the server, and its first check
	checkIDs []string                   // one for each of Checks
	status   []healthcheck.TargetStatus // likewise
	verdict  healthcheck.TargetStatus   // what they say together
	told     healthcheck.Health         // of several checks, as last logged

	// inherited are the weights that the kernel had, by virtual, or missing, as long as nothing is known of the server's
	// health. nil: none.
	inherited []int
	// up tells that the server serves, since upSince. A zero upSince is that of a server that served before this director
	// knew of it, and so does not start slowly.
	up      bool
	upSince time.Time
	// released is when an operator's order that kept clients away was taken back. The server starts slowly from then on.
	released time.Time

	counted, silent, open, down bool // in the census
}

// missing is the inherited weight of a server that the kernel does not have.
const missing = -1

// Unchecked is the status of a check that has not run.
var Unchecked = healthcheck.TargetStatus{Health: healthcheck.Unknown, Reason: "not checked yet"}

// ServerID names a real server of a service: SERVICE/ADDRESS:PORT. A server that has the ports of the service is named by
// the lowest of them: what is known and ordered of it must not depend on the order of the service's virtuals.
func ServerID(svc configs.Service, srv configs.Server) string {
	port := srv.Port
	if !srv.Mapped && len(svc.Virtuals) > 0 && port == svc.Virtuals[0].Port {
		for _, virtual := range svc.Virtuals {
			port = min(port, srv.In(virtual).Port)
		}
	}
	return svc.Name + "/" + netip.AddrPortFrom(srv.Addr, port).String()
}

// checkID names the check with that index of a real server. The first check has the name of the server.
func checkID(id string, check int) string {
	if check == 0 {
		return id
	}
	return id + " #" + strconv.Itoa(check+1)
}

// newServer knows nothing yet. was is the same server before; nil: there was none.
func newServer(svc configs.Service, srv configs.Server, was *server) *server {
	s := &server{Server: srv, id: ServerID(svc, srv), verdict: Unchecked}
	s.checkIDs = s.nameChecks(was)
	for range srv.Checks {
		s.status = append(s.status, Unchecked)
	}
	return s
}

// nameChecks gives each check its ID. What is known of a check goes by that. So one that was there before keeps its ID, also
// at another place in the file, as does one of the same type that has only changed. No other check gets the ID of one that
// has gone.
func (srv *server) nameChecks(was *server) []string {
	ids := make([]string, len(srv.Checks))
	taken := make(map[string]bool)
	if was != nil {
		keep := func(same func(i, j int) bool) {
			for i := range ids {
				for j, id := range was.checkIDs {
					if ids[i] == "" && !taken[id] && same(i, j) {
						ids[i], taken[id] = id, true
					}
				}
			}
		}
		keep(func(i, j int) bool { return i == j && reflect.DeepEqual(srv.Checks[i], was.Checks[j]) })
		keep(func(i, j int) bool { return reflect.DeepEqual(srv.Checks[i], was.Checks[j]) })
		keep(func(i, j int) bool { return i == j && srv.Checks[i].Type == was.Checks[j].Type })
		for _, id := range was.checkIDs {
			taken[id] = true
		}
	}
	next := 0
	for i := range ids {
		for ; ids[i] == ""; next++ {
			if id := checkID(srv.id, next); !taken[id] {
				ids[i], taken[id] = id, true
			}
		}
	}
	return ids
}

// checks tells whether the director checks a real server now.
func (svc *service) checks(srv *server) bool { return len(srv.Checks) > 0 && svc.role != resting }

// inherit keeps the weights of a server of unknown health as they are in the table that was wanted last: after a restart
// or a reload a server stays as it was until its checks have spoken.
func (s *State) inherit(svc *service, srv *server) {
	if !svc.checks(srv) || srv.verdict.Health != healthcheck.Unknown {
		srv.inherited = nil
		return
	}
	if srv.inherited == nil {
		srv.inherited = slices.Repeat([]int{missing}, len(svc.Virtuals))
	}
	for i, virtual := range svc.Virtuals {
		if srv.inherited[i] != missing {
			continue
		}
		id := srv.In(virtual).ServerID
		servers := s.wanted[virtual.ServiceID].Servers
		if j := slices.IndexFunc(servers, func(is lvs.Server) bool { return is.ServerID == id }); j >= 0 {
			srv.inherited[i] = servers[j].Weight
		}
	}
}

// inheritSorry keeps a sorry server that serves in the table that was wanted last: after a restart or a reload it serves until
// the checks have found enough servers healthy.
func (s *State) inheritSorry(svc *service) {
	if svc.Sorry == nil {
		return
	}
	for _, virtual := range svc.Virtuals {
		id := svc.Sorry.In(virtual).ServerID
		if slices.ContainsFunc(s.wanted[virtual.ServiceID].Servers, func(is lvs.Server) bool { return is.ServerID == id && is.Weight > 0 }) {
			svc.pool.State.QuorumLost, svc.pool.Sorry = true, true
			return
		}
	}
}

// setStatus takes in the status of a check.
func (s *State) setStatus(at target, is healthcheck.TargetStatus) {
	svc, srv := at.service, at.server
	srv.status[at.check] = is
	was := srv.verdict
	srv.verdict = combine(srv.Checks, srv.Pass, srv.status)
	if same(was, srv.verdict) {
		return
	}
	if was.Health == healthcheck.Healthy && srv.verdict.Health == healthcheck.Unknown && !srv.verdict.Expired {
		// The director stood still. A server that it calls healthy may have died meanwhile, and the peer knows.
		s.readiness = readiness{filled: s.readiness.filled}
		s.retrackAll()
	}
	if known := srv.verdict.Health != healthcheck.Unknown; known || was.Health != healthcheck.Unknown {
		s.inherit(svc, srv)
	}
	s.recount(svc, srv)
	s.touch(svc)
}

// same tells whether two statuses say the same, whatever was counted meanwhile.
func same(a, b healthcheck.TargetStatus) bool {
	return a.Health == b.Health && a.Since.Equal(b.Since) && a.Reason == b.Reason && a.Silent == b.Silent &&
		a.Advice == b.Advice && a.Flapping == b.Flapping
}

func (ev Verdict) on(s *State) {
	if _, ok := s.scripts[ev.ID]; ok {
		s.setScript(ev.ID, ev.Status)
	} else if at, ok := s.targets[ev.ID]; ok && at.service.probed() {
		s.setStatus(at, ev.Status)
	}
}

func (ev Statuses) on(s *State) {
	if ev.Sequence != s.checkSeq {
		return // those of the latest targets will come
	}
	for id, at := range s.targets {
		if is, ok := ev.All[id]; ok && at.service.probed() {
			s.setStatus(at, is)
		}
	}
	for id := range s.scripts {
		if is, ok := ev.All[id]; ok {
			s.setScript(id, is)
		}
	}
}

// plan works out a service's part of the table.
func (s *State) plan(svc *service) {
	was := svc.pool
	for _, srv := range svc.servers {
		s.comeUp(svc, srv)
	}
	svc.next, svc.shown = time.Time{}, nil
	for i, virtual := range svc.Virtuals {
		pool := lvs.Pool(s.poolInput(svc, i, was.State))
		s.want(lvs.Entry{Service: virtual, Servers: pool.Servers})
		if !pool.Next.IsZero() && (svc.next.IsZero() || pool.Next.Before(svc.next)) {
			svc.next = pool.Next
		}
		if i == 0 {
			svc.pool = pool
		}
	}
	if svc.next.IsZero() {
		delete(s.ramping, svc)
	} else {
		s.ramping[svc] = true
	}
	s.logPool(svc, was)
	s.logServers(svc)
}

// comeUp notes since when a server is up.
func (s *State) comeUp(svc *service, srv *server) {
	health := s.health(svc, srv)
	switch {
	case health == lvs.HealthUp:
		if !srv.up && !s.silence.cutOff {
			srv.upSince = srv.verdict.Since
		}
		srv.up = true
	case health == lvs.HealthUnknown && srv.inherited != nil && srv.inherited[0] > 0:
		srv.up = true
	case health != lvs.HealthUnknown:
		srv.up = false
	}
	if !srv.up {
		srv.upSince = time.Time{}
	}
}

// health is the health that counts: that of a director that is cut off from all its servers says nothing.
func (s *State) health(svc *service, srv *server) lvs.Health {
	switch {
	case !svc.checks(srv):
		return lvs.HealthUnchecked
	case s.silence.cutOff && (s.silence.on || srv.silent) || srv.verdict.Health == healthcheck.Healthy:
		return lvs.HealthUp
	case srv.verdict.Health == healthcheck.Unhealthy:
		return lvs.HealthDown
	}
	return lvs.HealthUnknown
}

// poolInput is what decides the weights in one of a service's virtuals.
func (s *State) poolInput(svc *service, i int, state lvs.PoolState) lvs.PoolInput {
	virtual := svc.Virtuals[i]
	in := lvs.PoolInput{
		Members:   make([]lvs.Member, 0, len(svc.servers)),
		Scheduler: virtual.Scheduler, Now: s.now, OnFailure: svc.OnFailure, SlowStart: svc.SlowStart,
		Quorum: svc.Quorum, Hysteresis: svc.Hysteresis, PanicBelow: svc.PanicBelow, State: state,
	}
	if svc.Sorry != nil {
		in.Sorry = svc.Sorry.In(virtual)
	}
	for _, srv := range svc.servers {
		m := lvs.Member{Server: srv.In(virtual), Input: lvs.WeightInput{
			Configured: srv.Weight, Health: s.health(svc, srv), UpSince: later(srv.upSince, srv.released),
		}}
		if srv.inherited != nil && srv.inherited[i] != missing {
			m.Input.KernelWeight, m.Input.InKernel = srv.inherited[i], true
		}
		if svc.checks(srv) {
			advise(&m.Input, srv.verdict.Advice)
		}
		s.orders[srv.id].apply(&m.Input)
		in.Members = append(in.Members, m)
	}
	for _, d := range s.draining[virtual.ServiceID] {
		in.Members = append(in.Members, lvs.Member{Server: d.server, Input: lvs.WeightInput{Draining: true}})
	}
	return in
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// logPool logs what has changed for a service as a whole.
func (s *State) logPool(svc *service, was lvs.PoolOutput) {
	is := svc.pool
	switch {
	case is.State.QuorumLost && !was.State.QuorumLost:
		s.log(Warn, "quorum lost", "service", svc.Name, "servers-up", is.Up, "quorum", svc.Quorum, "sorry-server", is.Sorry)
	case was.State.QuorumLost && !is.State.QuorumLost:
		s.log(Info, "quorum regained", "service", svc.Name, "servers-up", is.Up)
	}
	switch {
	case is.Panic && !was.Panic:
		s.log(Warn, "too few servers are healthy: treating all as healthy", "service", svc.Name, "servers-up", is.Up)
	case was.Panic && !is.Panic:
		s.log(Info, "enough servers are healthy again", "service", svc.Name, "servers-up", is.Up)
	}
}

// logServers logs what the checks of a server that has several say together, where that has changed. The runner of the
// checks logs the verdict of a check that is alone.
func (s *State) logServers(svc *service) {
	for _, srv := range svc.servers {
		if len(srv.Checks) < 2 {
			continue
		}
		was, is := srv.told, srv.verdict
		if srv.told = is.Health; !svc.checks(srv) {
			srv.told = healthcheck.Unknown
			continue
		}
		if was == 0 {
			was = healthcheck.Unknown
		}
		if is.Health != was && !is.Flapping {
			s.log(Info, "server is "+is.Health.String(), "target", srv.id, "was", was, "reason", is.Reason)
		}
	}
}
