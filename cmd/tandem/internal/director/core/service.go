// SPDX-License-Identifier: Apache-2.0

package core

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"time"

	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/lvs"
	"github.com/tandem-lvs/tandem/lvs/traffic"
)

// A service is a configured service and its state.
type service struct {
	configs.Service
	servers []*server
	sorry   *server // nil: none
	role    checkRole
	routers []string // the routers whose roles decide role; nil: none do
	tracks  []int    // the tracks of this service

	pool    lvs.PoolOutput // of the first virtual; the others may differ in their inherited weights only
	next    time.Time      // when the plan changes without an event; zero: never
	changed bool           // must be planned
	shown   *Service       // its form in snapshots; nil: must be made

	judge   *traffic.Judge   // compares its servers by clients' connections; nil: there were none
	replies *traffic.Replies // the same for UDP, by counters; nil: there were none
}

// A server is a configured real server and its state.
type server struct {
	configs.Server
	id       string                     // the name of the server, and of its first check
	checkIDs []string                   // one for each of Checks
	status   []healthcheck.TargetStatus // one for each of Checks
	verdict  healthcheck.TargetStatus   // the combined status of the checks
	told     healthcheck.Health         // the combined health of several checks, as logged last
	recorded configs.HookEvent          // server_up or server_down, as the history has it; 0: it has none

	// inherited are the kernel's weights at the start, or missing, by virtual. They are kept until the first result. nil:
	// none.
	inherited []int
	// up says that the server serves, and upSince says since when. A server that served before this director started has a
	// zero upSince: it has no slow start.
	up      bool
	upSince time.Time
	// released is when an operator ended a drain or a disable. The slow start begins then.
	released time.Time

	counted, silent, open, down bool // its part of the census

	doubt *doubt // it has stopped answering, and may be well; nil: no

	outlier outlier

	leader    *server       // that it tracks; nil: none
	followers []serverPlace // that track it

	zeroSince time.Time // since when it has weight 0, if the service has a limit for that; zero: it has another weight
	expired   bool      // it has left the table for that
}

// missing stands for the inherited weight of a server that was not in the kernel's table.
const missing = -1

// Unchecked is the status of a check that has not run.
var Unchecked = healthcheck.TargetStatus{Health: healthcheck.Unknown, Reason: "not checked yet"}

// ServerID returns the name of a real server of a service: SERVICE/ADDRESS:PORT. A server without a port of its own has the
// lowest port of the service in its name. So the name does not depend on the order of the service's virtuals.
func ServerID(svc configs.Service, srv configs.Server) string {
	port := srv.Port
	if !srv.Mapped && len(svc.Virtuals) > 0 && port == svc.Virtuals[0].Port {
		for _, virtual := range svc.Virtuals {
			port = min(port, srv.In(virtual).Port)
		}
	}
	return svc.Name + "/" + netip.AddrPortFrom(srv.Addr, port).String()
}

// checkID returns the name of a check of a real server by its index. The first check has the name of the server.
func checkID(id string, check int) string {
	if check == 0 {
		return id
	}
	return id + " #" + strconv.Itoa(check+1)
}

// newServer returns a server without results. was is the same server in the former configuration. nil: there was none.
func newServer(svc configs.Service, srv configs.Server, was *server) *server {
	s := &server{Server: srv, id: ServerID(svc, srv), verdict: Unchecked}
	s.checkIDs = s.nameChecks(was)
	for range srv.Checks {
		s.status = append(s.status, Unchecked)
	}
	return s
}

// nameChecks gives each check its ID. The state of a check belongs to its ID. So a check keeps its ID if it moves in the
// file, or if its settings change but not its type. No check gets the ID of a removed check.
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

// inherit keeps the present weights of a server of unknown health: after a restart or a reload a server stays as it was until
// its checks have results.
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

// inheritSorry keeps a sorry server in the table if it was there before. After a restart or a reload it serves until the
// checks have found enough healthy servers.
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

// setStatus stores the status of a check.
func (s *State) setStatus(at target, is healthcheck.TargetStatus) {
	svc, srv := at.service, at.server
	srv.status[at.check] = is
	was := srv.verdict
	srv.verdict = combine(srv.Checks, srv.Pass, srv.status)
	s.seeDoubt(svc, srv, was.Health)
	if same(was, srv.verdict) {
		return
	}
	if was.Health == healthcheck.Healthy && srv.verdict.Health == healthcheck.Unknown && !srv.verdict.Expired {
		// The director stood still. A server that it counts as healthy may have died meanwhile, and the peer knows this.
		s.readiness = readiness{filled: s.readiness.filled}
		s.retrackAll()
	}
	if known := srv.verdict.Health != healthcheck.Unknown; known || was.Health != healthcheck.Unknown {
		s.inherit(svc, srv)
	}
	s.recount(svc, srv)
	s.touch(svc)
}

// same tells whether two statuses are equal except for their counts.
func same(a, b healthcheck.TargetStatus) bool {
	return a.Health == b.Health && a.Since.Equal(b.Since) && a.Reason == b.Reason && a.Silent == b.Silent &&
		a.Advice == b.Advice && a.Flapping == b.Flapping
}

func (ev Verdict) on(s *State) {
	if _, ok := s.probed[ev.ID]; ok {
		s.setProbed(ev.ID, ev.Status)
	} else if at, ok := s.targets[ev.ID]; ok && at.service.probed() {
		s.setStatus(at, ev.Status)
	}
}

func (ev Statuses) on(s *State) {
	if ev.Sequence != s.checkSeq {
		return // the statuses of the latest targets will come
	}
	for id, at := range s.targets {
		if is, ok := ev.All[id]; ok && at.service.probed() {
			s.setStatus(at, is)
		}
	}
	for id := range s.probed {
		if is, ok := ev.All[id]; ok {
			s.setProbed(id, is)
		}
	}
}

// plan computes a service's part of the table.
func (s *State) plan(svc *service) {
	was := svc.pool
	for _, srv := range svc.servers {
		s.comeUp(svc, srv)
	}
	s.keepLast(svc)
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
	s.followOutliers(svc)
	s.logExpired(svc)
	s.logPool(svc, was)
	s.logServers(svc)
	s.tellService(svc)
}

// comeUp stores when a server came up.
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
	case srv.doubt != nil: // if it answers again, it has no slow start
	case health != lvs.HealthUnknown:
		srv.up = false
	}
	if !srv.up {
		srv.upSince = time.Time{}
	}
}

// health returns the health that counts. If the director is cut off from all its servers, their health is unknown.
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

// poolInput returns the input that decides the weights in one of a service's virtuals.
func (s *State) poolInput(svc *service, i int, state lvs.PoolState) lvs.PoolInput {
	virtual := svc.Virtuals[i]
	in := lvs.PoolInput{
		Members:   make([]lvs.Member, 0, len(svc.servers)),
		Scheduler: virtual.Scheduler, Now: s.now, OnFailure: svc.OnFailure, SlowStart: svc.SlowStart,
		RemoveAfter: svc.RemoveAfter, Quorum: svc.Quorum, Hysteresis: svc.Hysteresis, PanicBelow: svc.PanicBelow, State: state,
	}
	if svc.sorry != nil && (s.health(svc, svc.sorry) != lvs.HealthDown || svc.sorry.doubt != nil) {
		in.Sorry = svc.Sorry.In(virtual)
	}
	for _, srv := range svc.servers {
		m := lvs.Member{Server: srv.In(virtual), Input: s.weightInput(svc, srv, i)}
		if n := srv.outlier.named; n != nil && n.Out {
			m.Input.Draining = true
		}
		m.Input.ZeroSince = s.atZero(svc, srv, m.Input)
		in.Members = append(in.Members, m)
	}
	for _, d := range s.draining[virtual.ServiceID] {
		in.Members = append(in.Members, lvs.Member{Server: d.server, Input: lvs.WeightInput{Draining: true}})
	}
	return in
}

// weightInput returns what decides the weight of a server in one of a service's virtuals, except for what its clients'
// connections say about it, and for the limit of its time at weight 0.
func (s *State) weightInput(svc *service, srv *server, i int) lvs.WeightInput {
	in := lvs.WeightInput{
		Configured: srv.Weight, Health: s.health(svc, srv), Kept: srv.doubt != nil, UpSince: later(srv.upSince, srv.released),
	}
	if srv.inherited != nil && srv.inherited[i] != missing {
		in.KernelWeight, in.InKernel = srv.inherited[i], true
	}
	if svc.checks(srv) {
		advise(&in, srv.verdict.Advice)
	}
	s.overrides[srv.id].apply(&in)
	drained, disabled := s.keptAway(srv)
	in.Draining, in.Disabled = in.Draining || drained, in.Disabled || disabled
	return in
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// logPool logs the changes of a service as a whole.
func (s *State) logPool(svc *service, was lvs.PoolOutput) {
	is := svc.pool
	switch {
	case is.State.QuorumLost && !was.State.QuorumLost:
		s.log(Warn, "quorum lost", "service", svc.Name, "servers-up", is.Up, "quorum", svc.Quorum, "sorry-server", is.Sorry)
		what := "lost its quorum"
		if is.Sorry {
			what += ", the sorry server serves"
		}
		s.recordService(svc, what, fmt.Sprintf("%d of %d servers are up, %d needed", is.Up, len(svc.servers), svc.Quorum))
	case was.State.QuorumLost && !is.State.QuorumLost:
		s.log(Info, "quorum regained", "service", svc.Name, "servers-up", is.Up)
		s.recordService(svc, "regained its quorum", fmt.Sprintf("%d of %d servers are up", is.Up, len(svc.servers)))
	}
	switch {
	case is.Panic && !was.Panic:
		s.log(Warn, "too few servers are healthy: treating all as healthy", "service", svc.Name, "servers-up", is.Up)
		s.recordService(svc, "treats all servers as healthy", fmt.Sprintf("only %d of %d servers are up", is.Up, len(svc.servers)))
	case was.Panic && !is.Panic:
		s.log(Info, "enough servers are healthy again", "service", svc.Name, "servers-up", is.Up)
		s.recordService(svc, "no longer treats all servers as healthy", fmt.Sprintf("%d of %d servers are up", is.Up, len(svc.servers)))
	}
}

// logServers logs the combined result of a server's checks, if there are several and the result has changed. The runner logs
// the verdicts of a single check.
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
