// SPDX-License-Identifier: Apache-2.0

package core

import (
	"maps"
	"time"

	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/lvs"
	"github.com/tandem-lvs/tandem/vrrp"
)

// A director that cannot serve must not be master while another can. It steps back: its virtual routers run at priority 1,
// so that a peer of any higher priority takes over, and where the peer steps back too, whoever is master stays it. The
// causes are these:
//
//   - the checks have not given their first verdicts yet, after a start or after a time in which the director stood still (only
//     a director that is not master steps back for that)
//   - no real server answers: see silence
//   - no real server is healthy, though some answer. A master's peer finds the same servers down in most cases. So a master
//     steps back for that only when the peer has had the time to find them down: then the clients go to a peer that has found
//     one healthy, and stay where they are if it has found none.
//   - the kernel's IPVS table is not as it should be

const (
	// stepBackDelta brings any priority down to 1, except that of an owner of the addresses.
	stepBackDelta = -254
	// troubleGrace is how long the kernel's table may be out of line before a master steps back: what a second attempt
	// mends is no reason to move all clients.
	troubleGrace = 2 * time.Second
	// firstProbeWithin bounds the time until the first probe of a check begins.
	firstProbeWithin = time.Second
	// verdictSlack is added to the time in which the first verdicts must come.
	verdictSlack = time.Second
)

// A Refusal says that the kernel does not take a service as it should be.
type Refusal struct {
	Why string
	Has []lvs.Server // the real servers that the kernel has in it
}

// A readiness tells whether a director that starts, or goes on after it stood still, knows enough to be master.
type readiness struct {
	begun  bool
	ready  bool // from now on
	filled bool // the kernel's table has been written, or that has failed
	until  time.Time
}

// seeReady finds out whether all servers that are checked have had their first verdict. Checks that say nothing in time
// are not waited for.
func (s *State) seeReady() {
	r := &s.readiness
	if r.ready {
		return
	}
	if !r.begun {
		r.begun, r.until = true, s.now.Add(firstVerdicts(s.cfg.Services))
	}
	switch {
	case len(s.services) == 0:
	case !r.filled, s.census.open > 0 && s.now.Before(r.until):
		return
	}
	r.ready = true
	s.retrackAll()
}

// firstVerdicts is the time in which each check has been run once.
func firstVerdicts(services []configs.Service) time.Duration {
	longest := time.Duration(0)
	for _, svc := range services {
		for _, srv := range svc.Servers {
			for _, check := range srv.Checks {
				longest = max(longest, min(check.Interval, firstProbeWithin)+check.Timeout+verdictSlack)
			}
		}
	}
	return longest
}

// on takes the kernel's table for what was wanted, but for the services that the kernel refuses.
func (ev TableDone) on(s *State) {
	s.readiness.filled = true
	s.unowned = ev.NotRemembered
	if (ev.Problem != "") != (s.trouble != "") {
		s.troubleSince = s.now
		s.retrackAll()
	}
	s.trouble = ev.Problem
	if ev.Problem != "" && len(ev.Refused) == 0 {
		return // it is not known what the kernel has
	}
	s.showRefused(ev.Refused)
	s.confirmed = max(s.confirmed, ev.Generation)
	if s.confirmed >= s.marked {
		if led := s.marks.without(s.refused); !maps.Equal(s.led, led) {
			s.led, s.recheck = led, true
		}
	}
}

// showRefused takes in what the kernel refuses, and has the services shown anew for which that is news.
func (s *State) showRefused(refused map[lvs.ServiceID]Refusal) {
	before := s.refused
	s.refused = refused
	if len(before)+len(refused) == 0 {
		return
	}
	for _, svc := range s.services {
		id := svc.Virtuals[0].ServiceID
		_, was := before[id]
		if _, is := refused[id]; is || was {
			svc.shown = nil
		}
	}
}

// refuses tells whether the kernel refuses a service in any of its virtuals.
func (s *State) refuses(svc *service) bool {
	for _, virtual := range svc.Virtuals {
		if _, refused := s.refused[virtual.ServiceID]; refused {
			return true
		}
	}
	return false
}

// stepBack adds to what a virtual router tracks what keeps this director from serving.
func (s *State) stepBack(t vrrp.Tracking) vrrp.Tracking {
	if !s.readiness.ready || s.trouble != "" || s.allDown && !s.silence.on {
		t.Unclear = true
	}
	if s.silence.on || s.troubled() || s.stepsBackForServers {
		t.Delta += stepBackDelta
	}
	return t
}

// troubled tells that the kernel's table has been out of line for so long that even a master steps back.
func (s *State) troubled() bool {
	return s.trouble != "" && !s.now.Before(s.troubleSince.Add(troubleGrace))
}

// seeTrouble has a master step back when the trouble has lasted.
func (s *State) seeTrouble() {
	if is := s.troubled(); is != s.stepsBackForTable {
		s.stepsBackForTable = is
		s.retrackAll()
	}
}

// seeAllDown finds out whether each server that is checked is unhealthy, and since when.
func (s *State) seeAllDown() {
	if is := s.census.checked > 0 && s.census.down == s.census.checked; is != s.allDown {
		s.allDown, s.allDownSince = is, s.now
		s.retrackAll()
	}
	if is := s.allDown && !s.now.Before(s.downEnds()); is != s.stepsBackForServers {
		s.stepsBackForServers = is
		s.retrackAll()
		if !is {
			s.followRoles()
		}
	}
}

// downEnds is when a master whose servers are all unhealthy steps back.
func (s *State) downEnds() time.Time {
	longest := time.Duration(0)
	for _, svc := range s.services {
		for _, srv := range svc.servers {
			for _, check := range srv.Checks {
				longest = max(longest, time.Duration(check.Fall+1)*check.Interval+check.Timeout)
			}
		}
	}
	return s.allDownSince.Add(longest + verdictSlack)
}

// retrackAll has all virtual routers' tracking worked out again.
func (s *State) retrackAll() {
	for _, r := range s.cfg.Routers {
		s.retrack[r.Name] = true
	}
}
