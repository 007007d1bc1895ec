// SPDX-License-Identifier: Apache-2.0

package director

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/lvs"
)

// A leaver is a real server that has left the configuration and stays in the kernel's table, at weight 0, for the sake
// of its connections.
type leaver struct {
	service string // its name
	virtual lvs.Service
	server  lvs.Server
	until   time.Time
}

// A grace is the time that servers have to leave a service.
type grace struct {
	service string // its name
	timeout time.Duration
}

// graces are those that services give, of those that give any. It is pure.
func graces(services []configs.Service) map[lvs.ServiceID]grace {
	all := make(map[lvs.ServiceID]grace)
	for _, svc := range services {
		if svc.DrainTimeout == 0 {
			continue
		}
		for _, virtual := range svc.Virtuals {
			all[virtual.ServiceID] = grace{svc.Name, svc.DrainTimeout}
		}
	}
	return all
}

// leave returns those who may stay of the servers that are in table and not in services: until the drain_timeout of
// their service from now on, or as before says of those that are leaving already. A service that has left as a whole
// stays for its servers; what it gave them is among former. It is pure.
func leave(services []configs.Service, table []lvs.Entry, before map[lvs.ServiceID][]leaver, former map[lvs.ServiceID]grace, now time.Time) map[lvs.ServiceID][]leaver {
	here := make(map[lvs.ServiceID]configs.Service)
	for _, svc := range services {
		for _, virtual := range svc.Virtuals {
			here[virtual.ServiceID] = svc
		}
	}
	given := graces(services)
	leaving := make(map[lvs.ServiceID][]leaver)
	for _, e := range table {
		svc, stays := here[e.ServiceID]
		g, gives := given[e.ServiceID]
		if !stays {
			g, gives = former[e.ServiceID]
		}
		configured := make(map[lvs.ServerID]bool)
		if stays {
			configured = serversIn(svc, e.Service)
		}
		for _, srv := range e.Servers {
			if configured[srv.ServerID] {
				continue
			}
			l := leaver{g.service, e.Service, srv, now.Add(g.timeout)}
			i := slices.IndexFunc(before[e.ServiceID], l.is)
			if i >= 0 {
				l.service, l.until = before[e.ServiceID][i].service, before[e.ServiceID][i].until
			}
			if gives || !stays && i >= 0 {
				leaving[e.ServiceID] = append(leaving[e.ServiceID], l)
			}
		}
	}
	return leaving
}

// serversIn are the servers that the configuration has in a service's virtual.
func serversIn(svc configs.Service, virtual lvs.Service) map[lvs.ServerID]bool {
	all := make(map[lvs.ServerID]bool, len(svc.Servers)+1)
	for _, srv := range svc.Servers {
		all[srv.In(virtual).ServerID] = true
	}
	if svc.Sorry != nil {
		all[svc.Sorry.In(virtual).ServerID] = true
	}
	return all
}

// departed are the services that have left the configuration and stay in the kernel's table for the sake of their
// servers' connections. They accept no new ones. It is pure.
func departed(services []configs.Service, leaving map[lvs.ServiceID][]leaver) []lvs.Entry {
	if len(leaving) == 0 {
		return nil
	}
	here := make(map[lvs.ServiceID]bool)
	for _, svc := range services {
		for _, virtual := range svc.Virtuals {
			here[virtual.ServiceID] = true
		}
	}
	var gone []lvs.Entry
	for _, id := range slices.SortedFunc(maps.Keys(leaving), lvs.ServiceID.Compare) {
		if here[id] || len(leaving[id]) == 0 {
			continue
		}
		e := lvs.Entry{Service: leaving[id][0].virtual}
		for _, l := range leaving[id] {
			l.server.Weight = 0
			e.Servers = append(e.Servers, l.server)
		}
		gone = append(gone, e)
	}
	return gone
}

// departedWarnings are sentences about the services that have left.
func departedWarnings(services []configs.Service, leaving map[lvs.ServiceID][]leaver) (all []string) {
	for _, e := range departed(services, leaving) {
		last := slices.MaxFunc(leaving[e.ServiceID], func(a, b leaver) int { return a.until.Compare(b.until) })
		all = append(all, fmt.Sprintf("%s (%s) is not in the configuration and stays for the connections that it has, until %s at most",
			last.service, e.ServiceID, last.until.UTC().Format(time.RFC3339)))
	}
	return all
}

// is compares the servers of two leavers of one service.
func (l leaver) is(other leaver) bool { return l.server.ServerID == other.server.ServerID }

// part returns those of the leavers that may stay still, and those whose time is over or whose last connection has
// ended. A row that the look does not show says nothing, and nor does one that has a weight still. It is pure.
func part(leaving map[lvs.ServiceID][]leaver, rows []lvs.Row, now time.Time) (stay map[lvs.ServiceID][]leaver, gone []leaver) {
	idle := make(map[member]bool)
	for _, row := range rows {
		for _, srv := range row.Servers {
			if srv.Weight == 0 && srv.Active+srv.Inactive == 0 {
				idle[member{row.ServiceID, srv.ServerID}] = true
			}
		}
	}
	stay = make(map[lvs.ServiceID][]leaver)
	for id, all := range leaving {
		for _, l := range all {
			if idle[member{id, l.server.ServerID}] || !now.Before(l.until) {
				gone = append(gone, l)
				continue
			}
			stay[id] = append(stay[id], l)
		}
	}
	return stay, gone
}

// partLeavers lets go of the leavers that are done; true if there were any.
func (d *Director) partLeavers(ctx context.Context) bool {
	d.mu.Lock()
	leaving := d.leavers
	d.mu.Unlock()
	if len(leaving) == 0 {
		return false
	}
	rows, err := d.kernel.Look(ctx)
	if err != nil {
		d.log.Debug("look for the connections of servers that are leaving", "error", err)
	}
	stay, gone := part(leaving, rows, time.Now())
	if len(gone) == 0 {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, l := range gone {
		d.log.Info("a removed server has been drained", "service", l.service, "server", l.server.ServerID.String(),
			"in-time", time.Now().Before(l.until))
	}
	// A reload meanwhile has made its own list, and the next look will find the same again.
	if sameLeavers(d.leavers, leaving) {
		d.leavers = stay
		d.rememberLeavers()
	}
	return true
}

func sameLeavers(a, b map[lvs.ServiceID][]leaver) bool {
	if len(a) != len(b) {
		return false
	}
	for id, all := range a {
		if !slices.Equal(all, b[id]) {
			return false
		}
	}
	return true
}
