// SPDX-License-Identifier: Apache-2.0

package core

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/revision"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/lvs"
)

func (ev Start) on(s *State) {
	s.overrides, s.standby, s.drains = ev.Overrides, ev.Standby, ev.Drains
	s.numbers, s.unread, s.unusable = ev.Numbers, ev.Unread, ev.Unusable
	s.maintenance = ev.Maintenance
	s.hooks = newHookState(ev.Hooks)
	s.drills.last = ev.LastDrills
	s.adopt(ev.Config)
	s.adoptSchedule(true)
	s.tellDirector(configs.HookDirectorStart, "the director has started")
	s.recordDirector(api.EventDirector, "started", "")
	s.forgetOverrides()
	s.endDrills()
	s.logNumbers(nil)
	s.logMaintenance(nil)
	if ev.Origin != nil {
		s.begin(ev.Origin)
	}
}

func (ev Reload) on(s *State) {
	if err := s.refusesReload(ev); err != nil {
		s.refuse(ev, err)
		return
	}
	c := ev.Change
	if c != nil && c.Confirm > 0 && ev.Config.SHA256 != s.cfg.SHA256 {
		s.propose(ev)
		return
	}
	r := &s.revisions
	was, next := r.is, r.after(s.now, ev)
	fresh := next.Current().Number != was.Current().Number
	r.is = next
	s.load(ev, next, fresh)
	if fresh || next.Own != was.Own {
		s.storeRevisions(next)
	}
	reply := Reply{Request: ev.Request}
	if c != nil && c.How != revision.Reloaded {
		s.answerLater(reply, RevisionsFile, true)
		return
	}
	s.out.Replies = append(s.out.Replies, reply)
}

// refuse answers a reload that changes nothing.
func (s *State) refuse(ev Reload, err error) {
	s.reloads.Refused++
	s.record(api.Event{
		Kind: api.EventReload, On: api.OnDirector, Name: s.cfg.Name, What: "refused the configuration of " + ev.Config.File,
		Cause: err.Error(), By: ev.By,
	})
	s.out.Replies = append(s.out.Replies, Reply{Request: ev.Request, Err: err})
}

// enact makes a configuration that of the director, and does what follows.
func (s *State) enact(l Loaded) {
	former := graces(s.cfg.Services)
	before, present := s.numbers, s.maintenance
	s.numbers, s.maintenance = l.Numbers, l.Maintenance
	s.adopt(l.Config)
	s.adoptSchedule(false)
	if s.filled {
		s.drain(former, s.draining)
		s.pruneTable()
		s.refill = true
	}
	s.forgetOverrides()
	s.logNumbers(before)
	s.logMaintenance(present)
}

func (ev ReloadRefused) on(s *State) {
	s.reloads.Refused++
	if s.cfg != nil {
		s.record(api.Event{
			Kind: api.EventReload, On: api.OnDirector, Name: s.cfg.Name, What: "refused the configuration of " + s.cfg.File,
			Cause: ev.Problem, By: ev.By,
		})
	}
}

// A FixedSetting is a setting that cannot change while the director runs.
type FixedSetting struct{ Key, Was, Is string }

// fixedKeys are the settings that cannot change while the director runs: how each is written, and how it is kept.
var fixedKeys = []struct {
	key   string
	value func(*configs.Config) string
	keep  func(in, of *configs.Config)
}{
	{"control.socket", func(c *configs.Config) string { return c.Control.Socket }, func(in, of *configs.Config) { in.Control.Socket = of.Control.Socket }},
	{"state.dir", func(c *configs.Config) string { return c.State.Dir }, func(in, of *configs.Config) { in.State = of.State }},
	{"log.format", func(c *configs.Config) string { return c.Log.Format }, func(in, of *configs.Config) { in.Log.Format = of.Log.Format }},
	{
		"election.realtime", func(c *configs.Config) string { return fmt.Sprint(c.Election.Realtime) },
		func(in, of *configs.Config) { in.Election.Realtime = of.Election.Realtime },
	},
}

// fixedSettings returns the settings that differ and cannot change while the director runs.
func fixedSettings(old, cfg *configs.Config) (all []FixedSetting) {
	for _, f := range fixedKeys {
		if was, is := f.value(old), f.value(cfg); was != is {
			all = append(all, FixedSetting{f.key, was, is})
		}
	}
	return all
}

// keepFixed returns the configuration with the settings of old that cannot change while the director runs.
func keepFixed(old, cfg *configs.Config) *configs.Config {
	kept := *cfg
	for _, f := range fixedKeys {
		f.keep(&kept, old)
	}
	return &kept
}

// fixed returns an error if the new configuration changes something that a running director cannot change.
func fixed(old, cfg *configs.Config) error {
	var errs []error
	for _, f := range fixedSettings(old, cfg) {
		errs = append(errs, f.In(cfg.File))
	}
	return errors.Join(errs...)
}

// In returns the setting as a mistake of a file.
func (f FixedSetting) In(file string) error {
	return fmt.Errorf("%s: %s cannot change from %q to %q while running: restart tandem for that", file, f.Key, f.Was, f.Is)
}

// adopt makes cfg the configuration. Services and servers that stay keep their state.
func (s *State) adopt(cfg *configs.Config) {
	former := s.formerServers()
	pools := make(map[string]*service, len(s.services))
	for _, svc := range s.services {
		pools[svc.Name] = svc
	}
	s.cfg, s.loadedAt, s.out.Config = cfg, s.now, cfg
	s.services = make([]*service, 0, len(cfg.Services))
	s.targets = make(map[string]target)
	s.changed, s.ramping, s.outliers = nil, make(map[*service]bool), make(map[*server]*service)
	s.silence.doubts = nil
	s.census = census{machines: make(map[netip.Addr]int)}
	for _, c := range cfg.Services {
		svc := &service{Service: c, routers: deciding(c, cfg.Routers)}
		if was := pools[c.Name]; was != nil {
			svc.pool, svc.judge, svc.replies = was.pool, was.judge, was.replies
			if was.CheckWhen == c.CheckWhen {
				svc.role = was.role
			}
		} else {
			s.inheritSorry(svc)
		}
		svc.role = s.roleOf(svc)
		for _, cs := range c.Servers {
			srv := newServer(c, cs, former.servers[ServerID(c, cs)])
			s.succeed(svc, srv, former)
			for i, id := range srv.checkIDs {
				s.targets[id] = target{svc, srv, i}
			}
			s.recount(svc, srv)
			svc.servers = append(svc.servers, srv)
		}
		s.adoptSorry(svc, former)
		s.services = append(s.services, svc)
	}
	s.adoptLeaders()
	s.watchable()
	s.adoptHooks()
	s.adoptTracks()
	s.adoptSegments()
	s.adoptSyncWaits()
	s.marks = s.marks.follow(configs.ProbeRoutes(cfg.Services), cfg.LVS.ProbeMark)
	s.led = maps.Clone(s.led) // a service that leaves the table now leads nowhere, even if it returns
	maps.DeleteFunc(s.led, func(r probeRoute, m uint32) bool { return s.marks[r] != m })
	s.marked = s.generation + 1
	for _, e := range s.marks.entries() {
		s.want(e)
	}
	s.recheck, s.reorder, s.ask = true, true, true
	s.touchAll()
	s.adoptPeer()
}

// A formerServers is the state of the servers in the former configuration.
type formerServers struct {
	status    map[string]healthcheck.TargetStatus // by ID of the check; of the checks that are probed
	servers   map[string]*server                  // by ID
	inherited map[member]int
}

// A member is one real server in one service.
type member struct {
	service lvs.ServiceID
	server  lvs.ServerID
}

func (s *State) formerServers() formerServers {
	f := formerServers{make(map[string]healthcheck.TargetStatus), make(map[string]*server), make(map[member]int)}
	for _, svc := range s.services {
		for _, srv := range svc.all() {
			f.servers[srv.id] = srv
			for i, id := range srv.checkIDs {
				if svc.probed() {
					f.status[id] = srv.status[i]
				}
			}
			for i, weight := range srv.inherited {
				f.inherited[member{svc.Virtuals[i].ServiceID, srv.In(svc.Virtuals[i]).ServerID}] = weight
			}
		}
	}
	return f
}

// succeed gives a server the state that it had in the former configuration.
func (s *State) succeed(svc *service, srv *server, former formerServers) {
	if svc.probed() {
		for i, id := range srv.checkIDs {
			if is, ok := former.status[id]; ok {
				srv.status[i] = is
			}
		}
	}
	srv.verdict = combine(srv.Checks, srv.Pass, srv.status)
	if was := former.servers[srv.id]; was != nil {
		srv.up, srv.upSince, srv.released, srv.told, srv.outlier = was.up, was.upSince, was.released, was.told, was.outlier
		srv.recorded, srv.zeroSince, srv.expired = was.recorded, was.zeroSince, was.expired
		s.keepDoubt(svc, srv, was)
		if n := srv.outlier.named; n != nil && n.Out {
			s.outliers[srv] = svc
		}
	}
	if svc.checks(srv) && srv.verdict.Health == healthcheck.Unknown {
		for _, virtual := range svc.Virtuals {
			weight, ok := former.inherited[member{virtual.ServiceID, srv.In(virtual).ServerID}]
			if !ok {
				weight = missing
			}
			srv.inherited = append(srv.inherited, weight)
		}
	}
	s.inherit(svc, srv)
}

// configured are the services of the configuration, by their virtuals.
func (s *State) configured() map[lvs.ServiceID]*service {
	here := make(map[lvs.ServiceID]*service)
	for _, svc := range s.services {
		for _, virtual := range svc.Virtuals {
			here[virtual.ServiceID] = svc
		}
	}
	return here
}

// pruneTable removes the services from the wanted table that are no longer wanted.
func (s *State) pruneTable() {
	here := s.configured()
	keep := make(map[lvs.ServiceID]bool)
	for _, id := range s.marks.services() {
		keep[id] = true
	}
	for _, id := range s.departed {
		keep[id] = true
	}
	for id := range maps.Clone(s.wanted) {
		if _, ok := here[id]; !ok && !keep[id] {
			s.unwant(id)
		}
	}
}
