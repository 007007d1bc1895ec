// SPDX-License-Identifier: Apache-2.0

package director

import (
	"net/netip"

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
	// health is what the checks say, by target.
	health map[string]healthcheck.TargetStatus
	// inherited are the weights that members had before anything was known of their health.
	inherited map[member]int
	// idle are the services that are not checked now, by name.
	idle map[string]bool
	// cutOff says that the checks speak of the director and not of the servers. See isolated.
	cutOff bool
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

// plan is the IPVS table as it should be. It is pure.
func plan(services []configs.Service, v view) []lvs.Entry {
	v.cutOff = v.isolated(services)
	table := make([]lvs.Entry, 0, len(services))
	for _, svc := range services {
		entry := lvs.Entry{Service: svc.LVS, Servers: make([]lvs.Server, 0, len(svc.Servers))}
		for _, srv := range svc.Servers {
			weight, present := lvs.Weight(v.input(svc, srv))
			if !present {
				continue
			}
			server := srv.Server
			server.Weight = weight
			entry.Servers = append(entry.Servers, server)
		}
		table = append(table, entry)
	}
	return table
}

func (v view) input(svc configs.Service, srv configs.Server) lvs.WeightInput {
	in := lvs.WeightInput{Configured: srv.Weight, OnFailure: svc.OnFailure, Health: v.healthOf(svc, srv)}
	if v.checked(svc, srv) {
		in.Configured = advised(srv.Weight, v.verdict(svc, srv).Advice)
	}
	if v.cutOff {
		in.Health = lvs.HealthUp
	}
	in.KernelWeight, in.InKernel = v.inherited[member{svc.LVS.ServiceID, srv.ServerID}]
	return in
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
			m := member{svc.LVS.ServiceID, srv.ServerID}
			if weight, ok := v.inherited[m]; ok {
				kept[m] = weight
			} else if weight, ok := present[m]; ok {
				kept[m] = weight
			}
		}
	}
	return kept
}
