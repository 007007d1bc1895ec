// SPDX-License-Identifier: Apache-2.0

package core

import (
	"maps"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/lvs"
	"github.com/tandem-lvs/tandem/vrrp"
)

// A director that cannot serve must not be master while its peer can. It steps back: its virtual routers run at priority 1,
// so that a peer of any higher priority takes over. If the peer steps back too, the present master stays master. The causes
// are:
//
//   - The checks have not given their first results yet, after a start or after a time in which the director stood still. A
//     master does not step back for this cause.
//   - No real server answers this director: see silence.go.
//   - No real server is healthy, but at least one answers. For this cause a master waits until its peer has had time to check
//     the servers too. If the peer finds a healthy server, it takes over. In most cases the peer finds them unhealthy too: then
//     the clients stay where they are.
//   - The kernel's IPVS table is not as it should be.
//   - No other machine answers on one interface of a sync group that has several interfaces: see isolation.go.

const (
	// stepBackDelta lowers any priority to 1. Only the owner of the addresses keeps its priority, 255.
	stepBackDelta = -254
	// troubleGrace is how long the kernel's table may be wrong before a master steps back. A fault that the second attempt
	// repairs must not move all clients.
	troubleGrace = 2 * time.Second
	// firstProbeWithin is the maximum time until the first probe of a check begins.
	firstProbeWithin = time.Second
	// verdictSlack is added to the time in which the first results must come.
	verdictSlack = time.Second
)

// A Refusal says why the kernel refuses a service.
type Refusal struct {
	Why string
	Has []lvs.Server // the real servers that the kernel has in it
}

// A readiness records whether a director that starts, or continues after it stood still, has enough results to be master.
type readiness struct {
	begun  bool
	ready  bool // stays true
	filled bool // the kernel's table has been written, or this has failed
	until  time.Time
}

// seeReady finds out whether all checked servers have had their first result. Checks that take too long do not count.
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

// firstVerdicts returns the time in which each check has run once.
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

// on records which services the kernel has. The kernel has all wanted services except the refused ones.
func (ev TableDone) on(s *State) {
	s.readiness.filled = true
	s.unowned = ev.NotRemembered
	if (ev.Problem != "") != (s.trouble != "") {
		s.troubleSince = s.now
		s.retrackAll()
	}
	s.trouble = ev.Problem
	if len(ev.Replaced) > 0 || ev.Problem == "" || len(ev.Refused) > 0 { // the table was read
		s.tellReplaced(ev.Replaced)
		if ev.Generation >= s.replacedUntil {
			s.replaced = nil
		}
	}
	s.recordTableRepairs(ev)
	if ev.Problem != "" && len(ev.Refused) == 0 {
		return // the state of the kernel's table is not known
	}
	s.showRefused(ev.Refused)
	s.confirmed = max(s.confirmed, ev.Generation)
	if s.confirmed >= s.marked {
		if led := s.marks.without(s.refused); !maps.Equal(s.led, led) {
			s.led, s.recheck = led, true
		}
	}
}

// tellReplaced tells what of another program is replaced, and returns the services. The table that replaces it repeats what was
// told when the director started, or at the reload, so this leaves it out.
func (s *State) tellReplaced(all []lvs.Change) map[lvs.ServiceID]bool {
	told := make(map[lvs.ServiceID]bool)
	for _, c := range all {
		id := c.Service.ServiceID.Canonical()
		if s.replaced[id] {
			continue
		}
		told[id] = true
		s.log(Warn, "replacing what another program has set up in the IPVS table", "change", c.String())
		s.recordDirector(api.EventRepair, "replaces what another program has set up in the IPVS table", c.String())
	}
	return told
}

// showRefused stores the refused services. A service whose refusal has begun or ended is shown anew.
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

// refuses reports whether the kernel refuses a service in any of its virtuals.
func (s *State) refuses(svc *service) bool {
	for _, virtual := range svc.Virtuals {
		if _, refused := s.refused[virtual.ServiceID]; refused {
			return true
		}
	}
	return false
}

// stepBack adds the step-back of this director to the tracking of a virtual router.
func (s *State) stepBack(t vrrp.Tracking) vrrp.Tracking {
	if !s.readiness.ready || s.trouble != "" || s.allDown && !s.silence.on {
		t.Unclear = true
	}
	if s.silence.on || s.troubled() || s.stepsBackForServers {
		t.Delta += stepBackDelta
	}
	return t
}

// troubled reports whether the kernel's table has been wrong for so long that even a master steps back.
func (s *State) troubled() bool {
	return s.trouble != "" && !s.now.Before(s.troubleSince.Add(troubleGrace))
}

// seeTrouble makes a master step back when the trouble has lasted long enough.
func (s *State) seeTrouble() {
	if is := s.troubled(); is != s.stepsBackForTable {
		s.stepsBackForTable = is
		s.retrackAll()
	}
}

// seeAllDown finds out whether all checked servers are unhealthy, and since when.
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

// downEnds returns when a master steps back if all its servers stay unhealthy.
func (s *State) downEnds() time.Time {
	fails := s.longestCheck(func(c healthcheck.Config) int { return c.Fall })
	return s.allDownSince.Add(fails + verdictSlack)
}

// retrackAll marks all virtual routers: their tracking must be computed again.
func (s *State) retrackAll() {
	for _, r := range s.cfg.Routers {
		s.retrack[r.Name] = true
	}
}
