// SPDX-License-Identifier: Apache-2.0

package director

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/lvs"
)

// A marking says by which firewall mark IPVS leads probes through the VIP to a real server. It is not changed once it
// is made.
type marking map[configs.ProbeRoute]uint32

// mark gives each detour a mark of its own, counted from first. One that has had a mark keeps it: probes must not go to
// another server because a third has come or gone. It is pure.
func mark(detours []configs.ProbeRoute, first uint32, before marking) marking {
	now := make(marking, len(detours))
	taken := make(map[uint32]bool, len(detours))
	for _, d := range detours {
		if m, ok := before[d]; ok && m >= first && m-first < configs.ProbeMarks {
			now[d], taken[m] = m, true
		}
	}
	next := first
	for _, d := range detours {
		if _, ok := now[d]; ok {
			continue
		}
		for taken[next] {
			next++
		}
		now[d], taken[next] = next, true
	}
	return now
}

// probeServices are the services of IPVS that lead probes through the VIP: for each mark one, with one real server, to
// which every port leads. Datagrams are scheduled one by one, so that they leave no entries among the connections and
// nothing for the peer; those of TCP probes go within seconds, for such a connection ends in a reset.
func probeServices(marks marking) []lvs.Entry {
	all := make([]lvs.Entry, 0, len(marks))
	for d, m := range marks {
		all = append(all, lvs.Entry{
			Service: lvs.Service{ServiceID: lvs.ServiceID{FWMark: m, Family: d.Family}, Scheduler: "rr", Flags: lvs.OnePacket},
			Servers: []lvs.Server{{ServerID: lvs.ServerID{Addr: d.Addr}, Method: d.Method, Weight: 1, Tunnel: d.Tunnel}},
		})
	}
	slices.SortFunc(all, func(a, b lvs.Entry) int { return cmp.Compare(a.FWMark, b.FWMark) })
	return all
}

// marked puts its mark into a check that needs one. A check whose mark does not lead anywhere yet is not ok: its probe
// would be balanced by the master, and pass for a server that it never saw.
func (led marking) marked(srv configs.Server, check healthcheck.Config) (_ healthcheck.Config, ok bool) {
	if d, needs := srv.ProbeRoute(check); needs {
		check.Mark, ok = led[d]
		return check, ok
	}
	return check, true
}

// A detouring is the director's probes through the VIP.
type detouring struct {
	of       *configs.Config // which marks and services are for
	marks    marking
	services []lvs.Entry
	led      marking // those that the kernel is known to have
}

// follow makes marks and services for a configuration.
func (d *detouring) follow(cfg *configs.Config) {
	if d.of == cfg {
		return
	}
	d.of, d.marks = cfg, mark(configs.ProbeRoutes(cfg.Services), cfg.LVS.ProbeMark, d.marks)
	d.services = probeServices(d.marks)
}

// lead has the checks use the marks that the kernel's table now has services for.
func (d *Director) lead(marks marking) {
	d.mu.Lock()
	news := !maps.Equal(d.detours.led, marks)
	d.detours.led = marks
	d.mu.Unlock()
	if news {
		d.setChecks()
	}
}

// leaveDetours takes the services of probes out of the table at a stop that leaves the others in it.
func (d *Director) leaveDetours(ctx context.Context) error {
	d.mu.Lock()
	want, services := d.want, d.detours.services
	d.mu.Unlock()
	if len(services) == 0 {
		return nil
	}
	// They are the last ones: see plan.
	if _, err := d.table.Reconcile(ctx, want[:len(want)-len(services)]); err != nil {
		return fmt.Errorf("remove the services of checks through the VIP: %w", err)
	}
	return nil
}
