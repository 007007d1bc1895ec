// SPDX-License-Identifier: Apache-2.0

package director

import (
	"context"
	"slices"
	"time"

	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/lvs"
)

// A leaver is a real server that has left the configuration and stays in the kernel's table, at weight 0, for the sake
// of its connections.
type leaver struct {
	service string // its name
	server  lvs.Server
	until   time.Time
}

// leave returns those who may stay of the servers that are in table and not in services: until their service's
// drain_timeout from now on, or as before says of those that are leaving already. It is pure.
func leave(services []configs.Service, table []lvs.Entry, before map[lvs.ServiceID][]leaver, now time.Time) map[lvs.ServiceID][]leaver {
	present := make(map[lvs.ServiceID][]lvs.Server, len(table))
	for _, e := range table {
		present[e.ServiceID] = e.Servers
	}
	leaving := make(map[lvs.ServiceID][]leaver)
	for _, svc := range services {
		if svc.DrainTimeout == 0 {
			continue
		}
		for _, virtual := range svc.Virtuals {
			stays := make(map[lvs.ServerID]bool)
			for _, srv := range svc.Servers {
				stays[srv.In(virtual).ServerID] = true
			}
			if svc.Sorry != nil {
				stays[svc.Sorry.In(virtual).ServerID] = true
			}
			for _, srv := range present[virtual.ServiceID] {
				if stays[srv.ServerID] {
					continue
				}
				l := leaver{svc.Name, srv, now.Add(svc.DrainTimeout)}
				if i := slices.IndexFunc(before[virtual.ServiceID], l.is); i >= 0 {
					l = before[virtual.ServiceID][i]
				}
				leaving[virtual.ServiceID] = append(leaving[virtual.ServiceID], l)
			}
		}
	}
	return leaving
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
