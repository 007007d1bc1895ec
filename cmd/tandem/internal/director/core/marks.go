// SPDX-License-Identifier: Apache-2.0

package core

import (
	"cmp"
	"maps"
	"slices"

	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/lvs"
)

// A probeRoute is the way of a probe through the VIP to one real server.
type probeRoute = configs.ProbeRoute

// A probeMarks has the firewall mark with which IPVS sends probes through the VIP to each real server. It does not change once
// it is made.
type probeMarks map[probeRoute]uint32

// follow gives each route a mark of its own, counted from first. A route that has a mark keeps it. Otherwise probes would go
// to another server when a third one is added or removed.
func (before probeMarks) follow(routes []probeRoute, first uint32) probeMarks {
	now := make(probeMarks, len(routes))
	taken := make(map[uint32]bool, len(routes))
	for _, r := range routes {
		if m, ok := before[r]; ok && m >= first && m-first < configs.ProbeMarks {
			now[r], taken[m] = m, true
		}
	}
	next := first
	for _, r := range routes {
		if _, ok := now[r]; ok {
			continue
		}
		for taken[next] {
			next++
		}
		now[r], taken[next] = next, true
	}
	return now
}

// entries returns the IPVS services of the marks. Each has one real server and all ports. Datagrams are scheduled one by one,
// so that they leave no connection entries and nothing for sync. The entries of TCP probes end within seconds, because these
// connections end with a reset.
func (marks probeMarks) entries() []lvs.Entry {
	all := make([]lvs.Entry, 0, len(marks))
	for r, m := range marks {
		all = append(all, lvs.Entry{
			Service: lvs.Service{ServiceID: lvs.ServiceID{FWMark: m, Family: r.Family}, Scheduler: "rr", Flags: lvs.OnePacket},
			Servers: []lvs.Server{{ServerID: lvs.ServerID{Addr: r.Addr}, Method: r.Method, Weight: 1, Tunnel: r.Tunnel}},
		})
	}
	slices.SortFunc(all, func(a, b lvs.Entry) int { return cmp.Compare(a.FWMark, b.FWMark) })
	return all
}

// services returns the ids of entries.
func (marks probeMarks) services() []lvs.ServiceID {
	all := make([]lvs.ServiceID, 0, len(marks))
	for r, m := range marks {
		all = append(all, lvs.ServiceID{FWMark: m, Family: r.Family})
	}
	slices.SortFunc(all, lvs.ServiceID.Compare)
	return all
}

// without returns the marks whose services the kernel has not refused.
func (marks probeMarks) without(refused map[lvs.ServiceID]Refusal) probeMarks {
	if len(refused) == 0 {
		return marks
	}
	led := maps.Clone(marks)
	maps.DeleteFunc(led, func(r probeRoute, m uint32) bool {
		_, is := refused[lvs.ServiceID{FWMark: m, Family: r.Family}]
		return is
	})
	return led
}

// marked puts the mark of a check into it, if it needs one. It is not ok while the mark has no service in the kernel: a
// master would then balance the probe to any server, and the result would count for the wrong server.
func (marks probeMarks) marked(srv configs.Server, check healthcheck.Config) (_ healthcheck.Config, ok bool) {
	if r, needs := srv.ProbeRoute(check); needs {
		check.Mark, ok = marks[r]
		return check, ok
	}
	return check, true
}

// ProbeServices returns the services of the probes' marks. When the director stops they are always removed, even if the other
// services stay.
func (s *State) ProbeServices() []lvs.ServiceID { return s.marks.services() }
