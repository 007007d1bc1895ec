// SPDX-License-Identifier: Apache-2.0

package director

import (
	"net/netip"
	"time"

	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/lvs"
)

// A member is one real server in one service.
type member struct {
	service lvs.ServiceID
	server  lvs.ServerID
}

// A view is what the plan depends on beside the configuration. It is a value.
type view struct {
	now time.Time
	// health is what the checks say, by target.
	health map[string]healthcheck.TargetStatus
	// inherited are the weights that members had before anything was known of their health.
	inherited map[member]int
	// idle has the services that only a master checks, by name: true for one that is not checked now. See idleServices.
	idle map[string]bool
	// orders are the operators', by target.
	orders map[string]order
	// leavers are servers that left the configuration, by themselves or with their service, and may stay for a while, by
	// service.
	leavers map[lvs.ServiceID][]leaver
	// memory is that of the plan before.
	memory memory
	// cutOff says that the checks speak of the director and not of the servers. See isolated.
	cutOff bool
}

// A memory is what a plan must know of the one before. It is not changed once it is made.
type memory struct {
	quorum map[string]lvs.PoolState // by service
	// up tells since when servers are up, by target. The zero time is for those that served before this director knew
	// of them, and so do not start slowly.
	up map[string]time.Time
}

// A planned is the IPVS table as it should be, and what was thought on the way.
type planned struct {
	entries []lvs.Entry
	pools   map[string]lvs.PoolOutput // by service
	next    time.Time                 // when the plan changes by itself; zero: never
	memory  memory
}

// isolated reports whether this director seems to be cut off from all its real servers: each of them, on two machines
// or more, has gone silent. A refusal would be an answer, and so would be a wrong status. A director in that state
// serves nobody, whatever its weights; but when its cable is plugged in again and it is master, it must not refuse its
// clients until it has checked everybody anew. In the election it stands back meanwhile (tracking).
func (v view) isolated(services []configs.Service) bool {
	machines := make(map[netip.Addr]bool)
	for _, svc := range services {
		for _, srv := range svc.Servers {
			if !v.checked(svc, srv) {
				continue
			}
			if s := v.verdict(svc, srv); s.Health != healthcheck.Unhealthy || !s.Silent {
				return false
			}
			machines[srv.Addr] = true
		}
	}
	return len(machines) > 1
}

// plan works out the IPVS table as it should be. It is pure.
func plan(services []configs.Service, v view) planned {
	v.cutOff = v.isolated(services)
	p := planned{
		entries: make([]lvs.Entry, 0, len(services)),
		pools:   make(map[string]lvs.PoolOutput, len(services)),
		memory:  memory{quorum: make(map[string]lvs.PoolState), up: v.comeUp(services)},
	}
	for _, svc := range services {
		for i, virtual := range svc.Virtuals {
			pool := lvs.Pool(v.pool(svc, virtual, p.memory.up))
			p.entries = append(p.entries, lvs.Entry{Service: virtual, Servers: pool.Servers})
			if !pool.Next.IsZero() && (p.next.IsZero() || pool.Next.Before(p.next)) {
				p.next = pool.Next
			}
			if i == 0 { // they differ in what they inherited at most
				p.pools[svc.Name], p.memory.quorum[svc.Name] = pool, pool.State
			}
		}
	}
	p.entries = append(p.entries, departed(services, v.leavers)...)
	return p
}

// comeUp continues memory.up.
func (v view) comeUp(services []configs.Service) map[string]time.Time {
	up := make(map[string]time.Time)
	for _, svc := range services {
		for _, srv := range svc.Servers {
			id := targetID(svc, srv)
			since, was := v.memory.up[id]
			switch v.assumed(svc, srv) {
			case lvs.HealthUp:
				if !was && !v.cutOff {
					since = v.verdict(svc, srv).Since
				}
				up[id] = since
			case lvs.HealthUnknown:
				if v.inherited[member{svc.Virtuals[0].ServiceID, srv.ServerID}] > 0 || was {
					up[id] = since
				}
			}
		}
	}
	return up
}

// pool is what decides the weights in one of a service's virtuals.
func (v view) pool(svc configs.Service, virtual lvs.Service, up map[string]time.Time) lvs.PoolInput {
	in := lvs.PoolInput{
		Members: make([]lvs.Member, 0, len(svc.Servers)),
		Now:     v.now, OnFailure: svc.OnFailure, SlowStart: svc.SlowStart,
		Quorum: svc.Quorum, Hysteresis: svc.Hysteresis, PanicBelow: svc.PanicBelow,
		State: v.memory.quorum[svc.Name],
	}
	if svc.Sorry != nil {
		in.Sorry = svc.Sorry.In(virtual)
	}
	for _, srv := range svc.Servers {
		id := targetID(svc, srv)
		here := lvs.Member{Server: srv.In(virtual), Input: lvs.WeightInput{
			Configured: srv.Weight, Health: v.assumed(svc, srv), UpSince: up[id],
		}}
		here.Input.KernelWeight, here.Input.InKernel = v.inherited[member{virtual.ServiceID, here.Server.ServerID}]
		if v.checked(svc, srv) {
			advise(&here.Input, v.verdict(svc, srv).Advice)
		}
		v.orders[id].apply(&here.Input)
		in.Members = append(in.Members, here)
	}
	for _, l := range v.leavers[virtual.ServiceID] {
		in.Members = append(in.Members, lvs.Member{Server: l.server, Input: lvs.WeightInput{Draining: true}})
	}
	return in
}

// assumed is the health that counts: that of a director that is cut off from all its servers says nothing.
func (v view) assumed(svc configs.Service, srv configs.Server) lvs.Health {
	if h := v.healthOf(svc, srv); !v.cutOff || h == lvs.HealthUnchecked {
		return h
	}
	return lvs.HealthUp
}

// inherit returns the weights in table of those members of services of which v knows no health, so that a restart or
// a reload leaves a server as it was until the checks have spoken. What v inherited before stands where it still counts.
func inherit(services []configs.Service, v view, table []lvs.Entry) map[member]int {
	present := make(map[member]int)
	for _, entry := range table {
		for _, srv := range entry.Servers {
			present[member{entry.ServiceID, srv.ServerID}] = srv.Weight
		}
	}
	kept := make(map[member]int)
	for _, svc := range services {
		for _, srv := range svc.Servers {
			if v.healthOf(svc, srv) != lvs.HealthUnknown {
				continue
			}
			for _, virtual := range svc.Virtuals {
				m := member{virtual.ServiceID, srv.In(virtual).ServerID}
				if weight, ok := v.inherited[m]; ok {
					kept[m] = weight
				} else if weight, ok := present[m]; ok {
					kept[m] = weight
				}
			}
		}
	}
	return kept
}

// serving are the real servers that have a weight in table: they do not start slowly when their checks first pass.
func serving(services []configs.Service, table []lvs.Entry) map[string]time.Time {
	weights := make(map[member]int)
	for _, entry := range table {
		for _, srv := range entry.Servers {
			weights[member{entry.ServiceID, srv.ServerID}] = srv.Weight
		}
	}
	up := make(map[string]time.Time)
	for _, svc := range services {
		for _, srv := range svc.Servers {
			if weights[member{svc.Virtuals[0].ServiceID, srv.ServerID}] > 0 {
				up[targetID(svc, srv)] = time.Time{}
			}
		}
	}
	return up
}
