// SPDX-License-Identifier: Apache-2.0

package core

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/history"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/hooks"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/lvs"
	"github.com/tandem-lvs/tandem/vrrp"
)

const (
	// contestTime is how long after the last advertisement of another master a contest is over.
	contestTime = 5 * time.Second
	// recordPause is the shortest time between two writes of what hooks of services and servers were told.
	recordPause = time.Second
	// leaveHooksTime is how long a director that leaves waits for its hooks.
	leaveHooksTime = 30 * time.Second
)

// A HookEnded is the end of a run of a hook.
type HookEnded struct {
	ID     uint64
	Result hooks.Result
}

// A Leave says that the election has left, because the director is stopped. It is answered when the hooks have been told, or
// have had their time.
type Leave struct{ Request Request }

// A hookState is what hooks and the history are told about.
type hookState struct {
	queue   *hooks.Queue
	routers map[string]seenRouter
	groups  map[string]bool // sync groups that have had a state
	follow  bool            // the report or the configuration has changed
	stored  time.Time       // when the records were stored
	leaving *leavingHooks
}

// A seenRouter is what hooks and the history were told about a virtual router.
type seenRouter struct {
	state     configs.HookEvent
	became    uint64
	again     bool // it was in another state between the last two reports
	contested time.Time
	over      bool        // that contest is over
	moment    vrrp.Moment // the latest with two masters that the history has
}

// A leavingHooks is a Leave that waits for its answer.
type leavingHooks struct {
	request  Request
	deadline time.Time
}

func newHookState(records hooks.Records) hookState {
	return hookState{queue: hooks.New(records), routers: make(map[string]seenRouter), groups: make(map[string]bool)}
}

// adoptHooks takes the hooks of a new configuration.
func (s *State) adoptHooks() {
	exists := make(map[hooks.Subject]bool)
	for _, r := range s.cfg.Routers {
		exists[hooks.Subject{Kind: hooks.Router, Name: r.Name}] = true
		exists[hooks.Subject{Kind: hooks.SyncGroup, Name: r.SyncGroup}] = true
	}
	if len(s.cfg.Hooks) > 0 {
		for _, svc := range s.services {
			exists[hooks.Subject{Kind: hooks.Service, Name: svc.Name}] = true
			for _, srv := range svc.servers {
				exists[hooks.Subject{Kind: hooks.Server, Name: srv.id}] = true
			}
		}
	}
	exists[hooks.Subject{Kind: hooks.Director, Name: s.cfg.Name}] = true
	s.hooks.queue.Configure(s.now, s.cfg.Hooks, func(is hooks.Subject) bool { return exists[is] })
	s.hooks.follow = true
}

func (ev HookEnded) on(s *State) {
	ev.Result.At = s.now
	if ev.ID&fenceRun != 0 {
		s.fenced(ev.ID, ev.Result)
		return
	}
	s.hooks.queue.Ended(s.now, ev.ID, ev.Result)
}

func (ev Leave) on(s *State) {
	const why = "the director was stopped"
	for _, r := range s.cfg.Routers {
		if seen := s.hooks.routers[r.Name]; seen.state != 0 {
			is := s.stateOf(r.Name)
			s.tellRouter(r, is, configs.HookStop, why, false)
			s.recordStop(r.Name, seen.state, why)
		}
	}
	for name := range s.hooks.groups {
		s.tellGroup(name, configs.HookStop, why, false)
	}
	s.tellDirector(configs.HookDirectorStop, why)
	s.recordDirector(api.EventDirector, history.Stopped, why)
	s.hooks.leaving = &leavingHooks{ev.Request, s.now.Add(leaveHooksTime)}
}

func (s *State) tellDirector(what configs.HookEvent, why string) {
	s.hooks.queue.Happen(s.now, hooks.Event{
		Subject: hooks.Subject{Kind: hooks.Director, Name: s.cfg.Name}, What: what, At: s.now, Reason: why, Director: s.cfg.Name,
	})
}

// followHooks tells the hooks what has changed, and starts those whose time has come.
func (s *State) followHooks() {
	h := &s.hooks
	if h.follow && h.leaving == nil {
		s.seeRouters()
		s.seeGroups()
	}
	h.follow = false
	s.endContests()
	s.out.Hooks = append(s.fenceRuns, h.queue.Start(s.now)...)
	s.fenceRuns = nil
	for _, n := range h.queue.Notices() {
		level := Info
		if n.Failed {
			level = Warn
		}
		s.log(level, n.Message, n.Pairs...)
		s.recordNotice(n)
	}
	routers, services := h.queue.Changed()
	if routers || services && (h.leaving != nil || !s.now.Before(h.stored.Add(recordPause))) {
		h.stored = s.now
		s.store(HooksFile, h.queue.Records())
	}
	if l := h.leaving; l != nil && l.request != 0 && (h.queue.Idle() || !s.now.Before(l.deadline)) {
		s.out.Replies = append(s.out.Replies, Reply{Request: l.request})
		l.request = 0
	}
}

// hooksNext returns when followHooks has something to do without an event.
func (s *State) hooksNext(sooner func(time.Time)) {
	h := &s.hooks
	sooner(h.queue.Next())
	if _, services := h.queue.Changed(); services {
		sooner(h.stored.Add(recordPause))
	}
	if h.leaving != nil && h.leaving.request != 0 {
		sooner(h.leaving.deadline)
	}
	for _, is := range s.report.Routers {
		if seen, ok := h.routers[is.Name]; ok && !seen.over {
			sooner(is.RivalHeard.Add(contestTime))
		}
	}
}

// hookStates are the events of the states. A router that has not started, or leaves, has none.
var hookStates = map[vrrp.State]configs.HookEvent{
	vrrp.Master: configs.HookMaster, vrrp.Backup: configs.HookBackup, vrrp.Fault: configs.HookFault,
}

// seeRouters tells the states of the virtual routers to hooks and to the history.
func (s *State) seeRouters() {
	h := &s.hooks
	present := make(map[string]int, len(s.report.Routers)) // indexes
	for i, is := range s.report.Routers {
		present[is.Name] = i
		if is.State == vrrp.Initialize {
			s.noteLeft(is)
		}
	}
	for _, r := range s.cfg.Routers {
		is := s.statusAt(present, r)
		what := hookStates[is.State]
		if what == 0 {
			continue
		}
		seen, known := h.routers[r.Name]
		now := seenRouter{state: what, became: is.Counters.BecameMaster, contested: is.Contested, over: true, moment: is.TwoMasters.Last}
		now.again = seen.state == what && now.became > seen.became
		s.tellRouter(r, is, what, is.Reason, now.again)
		s.recordRouter(r, is, seen.state, now.again)
		if known && now.moment != seen.moment {
			s.recordMoment(r.Name, now.moment)
		}
		if what == configs.HookMaster && known {
			now.over = seen.over
			if is.Contested.After(seen.contested) {
				now.over = false
				s.contest(r, is, configs.HookContested)
			}
		}
		h.routers[r.Name] = now
	}
	for name := range h.routers {
		if _, still := present[name]; still || slices.ContainsFunc(s.cfg.Routers, func(r configs.Router) bool { return r.Name == name }) {
			continue // it is in the configuration, or still hands over
		}
		const why = "it was removed from the configuration"
		s.recordStop(name, h.routers[name].state, why)
		delete(s.history.routers, name)
		subject := hooks.Subject{Kind: hooks.Router, Name: name}
		s.hooks.queue.Become(s.now, hooks.Event{
			Subject: subject, What: configs.HookStop, At: s.now, Reason: why, Director: s.cfg.Name,
		}, false)
		s.hooks.queue.Forget(subject)
		delete(h.routers, name)
	}
}

// statusAt is statusOf for the report with these indexes.
func (s *State) statusAt(indexes map[string]int, r configs.Router) vrrp.Status {
	if i, ok := indexes[r.Name]; ok && s.report.Routers[i].Interface == r.Interface {
		return s.report.Routers[i]
	}
	return s.statusOf(r)
}

// statusOf returns the latest status of a router on its present interface.
func (s *State) statusOf(r configs.Router) vrrp.Status {
	for _, is := range s.report.Routers {
		if is.Name == r.Name && (is.Interface == r.Interface || is.Interface == "") {
			return is
		}
	}
	return vrrp.Status{State: vrrp.Initialize}
}

// endContests tells the end of contests.
func (s *State) endContests() {
	for _, r := range s.cfg.Routers {
		seen, ok := s.hooks.routers[r.Name]
		if !ok || seen.over || s.hooks.leaving != nil {
			continue
		}
		is := s.statusOf(r)
		if is.State == vrrp.Master && s.now.Before(is.RivalHeard.Add(contestTime)) {
			continue
		}
		seen.over = true
		s.hooks.routers[r.Name] = seen
		if is.State == vrrp.Master {
			s.contest(r, is, configs.HookContestOver)
		}
	}
}

func (s *State) routerEvent(r configs.Router, is vrrp.Status, what configs.HookEvent, why string) hooks.Event {
	return hooks.Event{
		Subject: hooks.Subject{Kind: hooks.Router, Name: r.Name}, What: what, At: s.now, Reason: why, Director: s.cfg.Name,
		State: is.State.String(), Priority: is.EffectivePriority, Weighted: weighted(r, is.Tracking.Delta),
		Interface: r.Interface, VRID: r.VRID, VIPs: r.VIPs,
	}
}

// weighted is the priority that keepalived tells its scripts: a fault or the end of the daemon does not change it.
func weighted(r configs.Router, delta int) uint8 {
	if r.Priority == vrrp.PriorityOwner {
		return r.Priority
	}
	return uint8(min(max(int(r.Priority)+delta, 1), vrrp.PriorityOwner-1))
}

func (s *State) tellRouter(r configs.Router, is vrrp.Status, what configs.HookEvent, why string, again bool) {
	s.hooks.queue.Become(s.now, s.routerEvent(r, is, what, why), again)
}

func (s *State) contest(r configs.Router, is vrrp.Status, what configs.HookEvent) {
	why := "another master was heard, and this one stays"
	if what == configs.HookContestOver {
		why = "no other master is heard any more"
	}
	s.hooks.queue.Happen(s.now, s.routerEvent(r, is, what, why))
	s.record(api.Event{Kind: api.EventWarning, On: api.OnRouter, Name: r.Name, What: contests[what], Cause: why})
}

// seeGroups tells the states of the sync groups: master if all members are, fault if any is, and backup otherwise.
func (s *State) seeGroups() {
	members := make(map[string][]configs.Router)
	if s.hooks.queue.Wants(hooks.SyncGroup) {
		for _, r := range s.cfg.Routers {
			if r.SyncGroup != "" {
				members[r.SyncGroup] = append(members[r.SyncGroup], r)
			}
		}
	}
	for name, routers := range members {
		what, why, again := s.groupState(routers)
		if what != 0 {
			s.hooks.groups[name] = true
			s.tellGroup(name, what, why, again)
		}
	}
	for name := range s.hooks.groups {
		if members[name] == nil {
			s.tellGroup(name, configs.HookStop, "it was removed from the configuration", false)
			s.hooks.queue.Forget(hooks.Subject{Kind: hooks.SyncGroup, Name: name})
			delete(s.hooks.groups, name)
		}
	}
}

// groupState returns the state of a sync group, and why. 0: a member has not started.
func (s *State) groupState(members []configs.Router) (what configs.HookEvent, why string, again bool) {
	what, again = configs.HookMaster, true
	for _, r := range members {
		is := s.statusOf(r)
		seen := s.hooks.routers[r.Name]
		again = again && seen.again
		state := hookStates[is.State]
		if state == 0 {
			return 0, "", false
		}
		if what == configs.HookMaster || state == configs.HookFault && what != configs.HookFault {
			what, why = state, r.Name+": "+is.Reason
		}
	}
	return what, why, again
}

func (s *State) tellGroup(name string, what configs.HookEvent, why string, again bool) {
	s.hooks.queue.Become(s.now, hooks.Event{
		Subject: hooks.Subject{Kind: hooks.SyncGroup, Name: name}, What: what, At: s.now, Reason: why, Director: s.cfg.Name,
		State: what.String(),
	}, again)
}

// tellService tells the state of a service, and of its servers, to hooks and to the history. A server of unknown health has the
// state that was told last.
func (s *State) tellService(svc *service) {
	if svc.role == resting || s.hooks.leaving != nil {
		return
	}
	tell := func(kind hooks.Kind, name string, what configs.HookEvent, why string, at netip.AddrPort) {
		s.hooks.queue.Become(s.now, hooks.Event{
			Subject: hooks.Subject{Kind: kind, Name: name}, What: what, At: s.now, Reason: why, Director: s.cfg.Name,
			Service: svc.Name, Address: at,
		}, false)
	}
	unknown := false
	servers := s.hooks.queue.Wants(hooks.Server)
	for _, srv := range svc.servers {
		what := configs.HookServerUp
		switch health := s.health(svc, srv); {
		case health == lvs.HealthUnknown:
			unknown = true
			continue
		case health == lvs.HealthDown:
			what = configs.HookServerDown
		}
		// While the director is cut off, no server counts as down, but none has come up either.
		if what != configs.HookServerDown && svc.checks(srv) && srv.verdict.Health != healthcheck.Healthy {
			continue
		}
		s.recordHealth(srv, what)
		if servers {
			tell(hooks.Server, srv.id, what, srv.verdict.Reason, netip.AddrPortFrom(srv.Addr, srv.Port))
		}
	}
	if len(s.cfg.Hooks) == 0 {
		return
	}
	why := fmt.Sprintf("%d of %d servers are up", svc.pool.Up, len(svc.servers))
	switch {
	case svc.pool.State.QuorumLost:
		tell(hooks.Service, svc.Name, configs.HookQuorumLost, why, netip.AddrPort{})
	case !unknown:
		tell(hooks.Service, svc.Name, configs.HookQuorumRegained, why, netip.AddrPort{})
	}
}
