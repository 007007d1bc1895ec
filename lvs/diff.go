// SPDX-License-Identifier: Apache-2.0

package lvs

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// An Op is what a change does to the table.
type Op uint8

// The operations, in the order in which Diff lists them.
const (
	AddService Op = iota + 1
	SetService
	AddServer
	SetServer
	DeleteServer
	DeleteService
)

var opNames = []string{
	AddService:    "add service",
	SetService:    "set service",
	AddServer:     "add server",
	SetServer:     "set server",
	DeleteServer:  "delete server",
	DeleteService: "delete service",
}

func (o Op) String() string { return enumName("operation", opNames, o) }

// A Change is one step from the table that is to the table that should be. It is comparable.
type Change struct {
	Op         Op
	Service    Service // what it becomes; the service of the real server in a server's change
	OldService Service // what it was, in SetService
	Server     Server  // what it becomes, or the one to delete
	OldServer  Server  // what it was, in SetServer
}

// String says what is done to what, for the log:
// "set weight of 192.0.2.11:80 in tcp 192.0.2.100:80: 0 → 1".
func (c Change) String() string {
	switch c.Op {
	case AddService:
		return fmt.Sprintf("add %s", c.Service)
	case SetService:
		var d differences
		d.note("scheduler", c.OldService.Scheduler, c.Service.Scheduler)
		d.note("flags", c.OldService.Flags.String(), c.Service.Flags.String())
		return d.of(c.Service.ServiceID.String())
	case AddServer:
		return fmt.Sprintf("add %s to %s (%s, weight %d)",
			c.Server.ServerID, c.Service.ServiceID, c.Server.Method, c.Server.Weight)
	case SetServer:
		var d differences
		d.note("weight", fmt.Sprint(c.OldServer.Weight), fmt.Sprint(c.Server.Weight))
		d.note("method", c.OldServer.Method.String(), c.Server.Method.String())
		return d.of(fmt.Sprintf("%s in %s", c.Server.ServerID, c.Service.ServiceID))
	case DeleteServer:
		return fmt.Sprintf("delete %s from %s", c.Server.ServerID, c.Service.ServiceID)
	case DeleteService:
		return fmt.Sprintf("delete %s", c.Service.ServiceID)
	}
	return c.Op.String()
}

// differences are the attributes that a set changes.
type differences struct{ names, steps []string }

func (d *differences) note(name, old, now string) {
	if old != now {
		d.names = append(d.names, name)
		d.steps = append(d.steps, old+" → "+now)
	}
}

func (d *differences) of(object string) string {
	return fmt.Sprintf("set %s of %s: %s", strings.Join(d.names, ", "), object, strings.Join(d.steps, ", "))
}

// rank orders changes so that capacity comes before it goes: services first, then servers and weights that are
// added or raised, then what is lowered, then what is deleted.
func (c Change) rank() int {
	r := 2 * int(c.Op)
	if c.Op == SetServer && c.Server.Weight <= c.OldServer.Weight {
		r++
	}
	return r
}

// Diff returns the changes that lead from have to want, in the order in which to make them.
//
// The kernel can set everything of a service or server but its identity in place, so nothing is deleted to be added
// again. A service that is owned and not wanted is deleted; one that is neither is somebody else's and is not touched.
// A server that a wanted service has and should not have is deleted. The ids in want are unique, and so are the
// servers of a service; the order of have and want, and of the servers in them, does not matter.
func Diff(have, want []Entry, owned map[ServiceID]bool) []Change {
	present := make(map[ServiceID]Entry, len(have))
	for _, e := range have {
		present[e.ServiceID.canonical()] = e
	}
	var changes []Change
	wanted := make(map[ServiceID]bool, len(want))
	for _, w := range sorted(want) {
		wanted[w.ServiceID] = true
		h, ok := present[w.ServiceID]
		switch {
		case !ok:
			changes = append(changes, Change{Op: AddService, Service: w.Service})
		case h.Scheduler != w.Scheduler || h.Flags != w.Flags:
			changes = append(changes, Change{Op: SetService, Service: w.Service, OldService: h.Service})
		}
		changes = diffServers(changes, w.Service, h.Servers, w.Servers)
	}
	for _, h := range sorted(have) {
		if owned[h.ServiceID] && !wanted[h.ServiceID] {
			changes = append(changes, Change{Op: DeleteService, Service: h.Service})
		}
	}
	slices.SortStableFunc(changes, func(a, b Change) int { return cmp.Compare(a.rank(), b.rank()) })
	return changes
}

// diffServers appends the changes of one service's real servers, merging the two sorted lists.
func diffServers(changes []Change, in Service, have, want []Server) []Change {
	have, want = sortedServers(have), sortedServers(want)
	for len(have) > 0 || len(want) > 0 {
		order := 0
		switch {
		case len(have) == 0:
			order = 1
		case len(want) == 0:
			order = -1
		default:
			order = have[0].Compare(want[0].ServerID)
		}
		switch {
		case order < 0:
			changes = append(changes, Change{Op: DeleteServer, Service: in, Server: have[0]})
			have = have[1:]
		case order > 0:
			changes = append(changes, Change{Op: AddServer, Service: in, Server: want[0]})
			want = want[1:]
		default:
			if have[0] != want[0] {
				changes = append(changes, Change{Op: SetServer, Service: in, Server: want[0], OldServer: have[0]})
			}
			have, want = have[1:], want[1:]
		}
	}
	return changes
}

// sorted is a copy in canonical order with canonical ids. It shares the servers with its argument.
func sorted(entries []Entry) []Entry {
	entries = slices.Clone(entries)
	for i := range entries {
		entries[i].ServiceID = entries[i].ServiceID.canonical()
	}
	slices.SortFunc(entries, func(a, b Entry) int { return a.ServiceID.Compare(b.ServiceID) })
	return entries
}

// sortedServers is its argument if that is in order, as it is in nearly every pass, and a sorted copy otherwise.
func sortedServers(servers []Server) []Server {
	order := func(a, b Server) int { return a.ServerID.Compare(b.ServerID) }
	if slices.IsSortedFunc(servers, order) {
		return servers
	}
	return slices.SortedFunc(slices.Values(servers), order)
}
