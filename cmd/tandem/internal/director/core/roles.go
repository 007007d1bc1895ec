// SPDX-License-Identifier: Apache-2.0

package core

import (
	"maps"
	"net/netip"
	"slices"

	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/lvs"
	"github.com/tandem-lvs/tandem/vrrp"
)

// A checkRole says whether this director checks a service.
type checkRole uint8

const (
	unclear  checkRole = iota + 1 // only the master checks it, and the master is not known yet
	checking                      // this director checks it
	resting                       // only the master checks it, and this director is backup
)

// probed tells whether the runner has the service's targets.
func (svc *service) probed() bool { return svc.role == checking }

// deciding returns the names of the routers whose roles decide whether a service is checked. These are the routers that hold
// its address. If there are none, all routers decide.
func deciding(svc configs.Service, routers []configs.Router) []string {
	if svc.CheckWhen != configs.CheckMaster {
		return nil
	}
	return holders(svc, routers)
}

// holders returns the names of the routers that hold the address of a service; if there are none, of all.
func holders(svc configs.Service, routers []configs.Router) []string {
	of := slices.DeleteFunc(slices.Clone(routers), func(r configs.Router) bool { return !holds(r, svc) })
	if len(of) == 0 {
		of = routers
	}
	names := make([]string, 0, len(of))
	for _, r := range of {
		names = append(names, r.Name)
	}
	return names
}

// holds tells whether a virtual router has an address of a service.
func holds(r configs.Router, svc configs.Service) bool {
	return slices.ContainsFunc(slices.Concat(r.VIPs, r.ExcludedVIPs), func(vip netip.Prefix) bool {
		return slices.ContainsFunc(svc.Virtuals, func(v lvs.Service) bool { return v.Addr == vip.Addr() })
	})
}

// roleOf returns the role of a service. While the election starts, the roles of its routers are not known. Then the role does
// not change.
func (s *State) roleOf(svc *service) checkRole {
	starting := false
	for _, name := range svc.routers {
		switch s.roles[name] {
		case vrrp.Master:
			return checking
		case vrrp.Initialize, 0:
			starting = true
		}
	}
	switch {
	case len(svc.routers) == 0:
		return checking
	case !starting && (s.silence.on || s.stepsBackForServers) && svc.role == checking:
		// The director stepped back because no server serves it. Only the checks can see the end of that. Without them it
		// would become master again at once, find the servers down and step back, again and again.
		return checking
	case !starting:
		return resting
	case svc.role == 0:
		return unclear
	}
	return svc.role
}

// followRoles starts and stops checks when the roles have changed.
func (s *State) followRoles() {
	for _, svc := range s.services {
		is := s.roleOf(svc)
		if is == svc.role {
			continue
		}
		probed := svc.probed()
		svc.role, s.recheck = is, true
		for _, srv := range svc.servers {
			if probed { // the runner of the checks forgets them
				s.forgetStatus(srv)
			}
			s.inherit(svc, srv)
			s.recount(svc, srv)
		}
		s.touch(svc)
	}
}

func (s *State) forgetStatus(srv *server) {
	s.endDoubt(srv)
	for i := range srv.status {
		srv.status[i] = Unchecked
	}
	srv.verdict, srv.inherited = combine(srv.Checks, srv.Pass, srv.status), nil
}

func (ev Report) on(s *State) {
	s.report, s.hooks.follow = ev.Report, true
	s.recordRepairs()
	s.seeReportedWarnings()
	s.recordAnswers()
	roles := make(map[string]vrrp.State, len(ev.Routers))
	for _, r := range ev.Routers {
		roles[r.Name] = r.State
	}
	if !maps.Equal(roles, s.roles) {
		s.roles = roles
		s.followRoles()
	}
}

// emitChecks puts the targets into the effects, if they have changed.
func (s *State) emitChecks() {
	if !s.recheck {
		return
	}
	s.recheck = false
	s.checkSeq++
	s.out.Checks = &Checks{Sequence: s.checkSeq, Targets: append(s.serverTargets(), s.probes...)}
}

// serverTargets returns the targets of all services that are checked here. A target whose mark has no service yet is left
// out.
func (s *State) serverTargets() []healthcheck.Target {
	var all []healthcheck.Target
	for _, svc := range s.services {
		if !svc.probed() {
			continue
		}
		for _, srv := range svc.all() {
			for i, check := range srv.Checks {
				check, ok := s.led.marked(srv.Server, check)
				if !ok {
					continue
				}
				all = append(all, healthcheck.Target{
					ID:     srv.checkIDs[i],
					Addr:   netip.AddrPortFrom(srv.Addr, srv.Port),
					Config: check,
					Part:   len(srv.Checks) > 1,
				})
			}
		}
	}
	return all
}
