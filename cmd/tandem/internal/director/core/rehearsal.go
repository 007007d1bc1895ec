// SPDX-License-Identifier: Apache-2.0

package core

import (
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/lvs"
	"github.com/tandem-lvs/tandem/vrrp"
)

// ErrStarting is the error of a director that has not read the kernel's table yet.
var ErrStarting = errors.New("this director is starting and has not read the kernel's table yet: ask again in a few seconds")

// A Rehearsal is a copy of a State. It shows what a reload of that State would change, because the reload is done on the
// copy.
type Rehearsal struct {
	now    time.Time
	copied *State
	before Prospect
}

// A Prospect is what a director wants of the kernel and of the election.
type Prospect struct {
	Config *configs.Config
	Table  []lvs.Entry // see State.Wanted
	// Draining has the servers that were removed from the configuration, and when they leave at the latest.
	Draining map[lvs.ServiceID]map[lvs.ServerID]time.Time
	// Marks are the services of the probes' marks. Each has one real server.
	Marks     map[lvs.ServiceID]bool
	Tracking  map[string]vrrp.Tracking // by virtual router
	Standby   []string                 // names of virtual routers
	Overrides map[string]Override      // by ServerID
}

// Rehearse copies the state. This costs a copy of each server. Afterwards the copy and the state share nothing that changes,
// so they can be used by different goroutines.
func (s *State) Rehearse(now time.Time) (*Rehearsal, error) {
	if !s.filled {
		return nil, ErrStarting
	}
	c := *s
	c.out, c.waiting, c.queued, c.handOver = Effects{}, nil, nil, nil
	c.wanted, c.led, c.probed, c.retrack = maps.Clone(s.wanted), maps.Clone(s.led), maps.Clone(s.probed), maps.Clone(s.retrack)
	c.hooks, c.history = newHookState(nil), newHistoryState() // a rehearsal tells nobody
	c.revisions, c.peer = revisionState{}, peerState{}
	// A reload makes these anew.
	c.changed, c.ramping, c.targets, c.clients, c.markClients, c.outliers, c.census = nil, nil, nil, nil, nil, nil, census{}
	c.services = make([]*service, 0, len(s.services))
	for _, svc := range s.services {
		c.services = append(c.services, svc.clone())
	}
	c.segments = make(map[string]*segment, len(s.segments))
	for name, seg := range s.segments {
		copied := *seg
		c.segments[name] = &copied
	}
	relink(s.services, c.services)
	c.tracks, c.witnesses = slices.Clone(s.tracks), maps.Clone(s.witnesses)
	c.fencings, c.fenceRuns = make(map[string]*fencing, len(s.fencings)), nil
	for name, f := range s.fencings {
		copied := *f
		copied.running = maps.Clone(f.running)
		c.fencings[name] = &copied
	}
	c.syncs.waits = make(map[witnessOwner]*syncWait, len(s.syncs.waits))
	for owner, w := range s.syncs.waits {
		copied := *w
		c.syncs.waits[owner] = &copied
	}
	return &Rehearsal{now: now, copied: &c, before: s.prospect()}, nil
}

// relink makes the copies of servers follow copies, where the servers follow others.
func relink(services, copies []*service) {
	is := make(map[*server]*server)
	for i, svc := range services {
		for k, srv := range svc.servers {
			is[srv] = copies[i].servers[k]
		}
	}
	for _, svc := range copies {
		for _, srv := range svc.servers {
			srv.leader = is[srv.leader]
		}
		if svc.sorry != nil {
			svc.sorry.leader = is[svc.sorry.leader]
		}
	}
}

// clone returns a copy without the results of clients' connections.
func (svc *service) clone() *service {
	c := *svc
	c.judge, c.shown, c.servers = nil, nil, make([]*server, 0, len(svc.servers))
	for _, srv := range svc.servers {
		copied := *srv
		copied.status, copied.inherited, copied.followers = slices.Clone(srv.status), slices.Clone(srv.inherited), nil
		c.servers = append(c.servers, &copied)
	}
	if svc.sorry != nil {
		copied := *svc.sorry
		copied.status, copied.inherited = slices.Clone(copied.status), slices.Clone(copied.inherited)
		c.sorry = &copied
	}
	return &c
}

// prospect returns what the state wants now. What it returns does not change with the state.
func (s *State) prospect() Prospect {
	p := Prospect{
		Config: s.cfg, Table: s.Wanted(), Draining: make(map[lvs.ServiceID]map[lvs.ServerID]time.Time),
		Marks: make(map[lvs.ServiceID]bool), Tracking: s.tracking, Standby: s.standby, Overrides: s.overrides,
	}
	for id, all := range s.draining {
		p.Draining[id] = make(map[lvs.ServerID]time.Time, len(all))
		for _, d := range all {
			p.Draining[id][d.server.ServerID] = d.until
		}
	}
	for _, id := range s.marks.services() {
		p.Marks[id] = true
	}
	return p
}

// Before returns what the director wants now.
func (r *Rehearsal) Before() Prospect { return r.before }

// Reload returns what the director would want after a reload, if the kernel's table is as found. It may be called once. Settings that cannot change while the
// director runs are returned in fixed, and taken as they are now: a real reload would refuse the configuration.
func (r *Rehearsal) Reload(
	cfg *configs.Config, numbers map[string]Number, present Maintenance, found TableRead,
) (after Prospect, fixed []FixedSetting) {
	fixed = fixedSettings(r.before.Config, cfg)
	if len(fixed) > 0 {
		cfg = keepFixed(r.before.Config, cfg)
	}
	r.copied.Step(r.now, Reload{Config: cfg, Numbers: numbers, Maintenance: present, Found: found})
	return r.copied.prospect(), fixed
}
