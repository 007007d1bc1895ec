// SPDX-License-Identifier: Apache-2.0

package core

import (
	"slices"

	"github.com/tandem-lvs/tandem/lvs"
	"github.com/tandem-lvs/tandem/lvs/traffic"
)

// Counters are the kernel's counters of real servers. The services are those that were asked for, as far as the kernel has them.
type Counters struct{ Services []lvs.ServiceStatus }

// maxCounted is the maximum number of services whose counters are read.
const maxCounted = 256

// askCounters asks for the counters of a service, if they can show whether its servers answer.
func (s *State) askCounters(svc *service) {
	if !svc.CountsReplies() || len(s.counted)+len(svc.Virtuals) > maxCounted {
		return
	}
	for _, v := range svc.Virtuals {
		s.counted = append(s.counted, v.ServiceID.Canonical())
	}
}

func (ev Counters) on(s *State) {
	if !s.watched {
		return
	}
	known := make(map[lvs.ServiceID]map[lvs.ServerID]lvs.Stats, len(ev.Services))
	for _, is := range ev.Services {
		servers := make(map[lvs.ServerID]lvs.Stats, len(is.Servers))
		for _, srv := range is.Servers {
			servers[srv.ServerID] = srv.Stats
		}
		known[is.ServiceID.Canonical()] = servers
	}
	for _, svc := range s.services {
		if len(svc.Virtuals) == 0 || !slices.Contains(s.counted, svc.Virtuals[0].ServiceID.Canonical()) {
			continue
		}
		if svc.replies == nil {
			svc.replies = new(traffic.Replies)
		}
		svc.replies.Add(s.now, svc.counters(known))
		s.judgeTraffic(svc, svc.replies)
	}
}

// counters adds up the counters of each server in all virtuals of its service.
func (svc *service) counters(known map[lvs.ServiceID]map[lvs.ServerID]lvs.Stats) map[string]traffic.Counters {
	all := make(map[string]traffic.Counters, len(svc.servers))
	for _, v := range svc.Virtuals {
		for _, srv := range svc.servers {
			if is, ok := known[v.ServiceID.Canonical()][srv.In(v).ServerID]; ok {
				sum := all[srv.id]
				sum.Connections, sum.In, sum.Out = sum.Connections+is.Connections, sum.In+is.InPackets, sum.Out+is.OutPackets
				all[srv.id] = sum
			}
		}
	}
	return all
}
