// SPDX-License-Identifier: Apache-2.0

package lvs

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// An Op is the operation of a change.
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

// A Change is one step from the present table to the wanted one. It is comparable.
type Change struct {
	Op         Op
	Service    Service // the new service; for a server's change, the service it belongs to
	OldService Service // the service before, in SetService
	Server     Server  // the new server, or the server to delete
	OldServer  Server  // the server before, in SetServer
}

// String describes the change for the log:
// "set weight of 192.0.2.11:80 in tcp 192.0.2.100:80: 0 → 1".
func (c Change) String() string {
	switch c.Op {
	case AddService:
		return fmt.Sprintf("add %s", c.Service)
	case SetService:
		return c.OldService.compare(c.Service).of(c.Service.ServiceID.String())
	case AddServer:
		return fmt.Sprintf("add %s to %s (%s)", c.Server.ServerID, c.Service.ServiceID, c.Server.attributes())
	case SetServer:
		return c.OldServer.compare(c.Server).of(fmt.Sprintf("%s in %s", c.Server.ServerID, c.Service.ServiceID))
	case DeleteServer:
		return fmt.Sprintf("delete %s from %s", c.Server.ServerID, c.Service.ServiceID)
	case DeleteService:
		return fmt.Sprintf("delete %s", c.Service.ServiceID)
	}
	return c.Op.String()
}

// Detail returns the part of String that says what a set changes: "weight 0 → 1, method dr → nat". It is empty for the other
// operations.
func (c Change) Detail() string {
	var d differences
	switch c.Op {
	case SetService:
		d = c.OldService.compare(c.Service)
	case SetServer:
		d = c.OldServer.compare(c.Server)
	}
	parts := make([]string, len(d.names))
	for i, name := range d.names {
		parts[i] = name + " " + d.steps[i]
	}
	return strings.Join(parts, ", ")
}

// differences are the attributes that a set changes.
type differences struct{ names, steps []string }

func (d *differences) add(name string, old, now any) {
	if old != now {
		d.names = append(d.names, name)
		d.steps = append(d.steps, fmt.Sprintf("%v → %v", old, now))
	}
}

func (d differences) of(object string) string {
	return fmt.Sprintf("set %s of %s: %s", strings.Join(d.names, ", "), object, strings.Join(d.steps, ", "))
}

func (s Service) compare(now Service) (d differences) {
	d.add("scheduler", s.Scheduler, now.Scheduler)
	d.add("flags", s.Flags, now.Flags)
	d.add("timeout", s.Timeout, now.Timeout)
	d.add("prefix", s.prefixName(), now.prefixName())
	d.add("engine", cmp.Or(s.Engine, "none"), cmp.Or(now.Engine, "none"))
	return d
}

func (s Server) compare(now Server) (d differences) {
	d.add("weight", s.Weight, now.Weight)
	d.add("method", s.Method, now.Method)
	d.add("tunnel", s.Tunnel, now.Tunnel)
	d.add("upper threshold", s.UpperThreshold, now.UpperThreshold)
	d.add("lower threshold", s.LowerThreshold, now.LowerThreshold)
	return d
}

// rank returns the place of a change in the order in which changes are made. Capacity is added before it is taken away:
// services, then servers that are added and weights that are raised, then weights that are lowered, then deletions.
func (c *Change) rank() int {
	r := 2 * int(c.Op)
	if c.Op == SetServer && c.Server.Weight <= c.OldServer.Weight {
		r++
	}
	return r
}

// Diff returns the changes that lead from have to want, in the order in which to make them.
//
// Everything except the identity of a service or server is changed in place: nothing is deleted and added again. A service
// that is owned but not wanted is deleted. A service that is neither owned nor wanted belongs to another program, and stays.
// Servers that a wanted service should not have are deleted. The ids in want are unique, and so are the servers of a service.
// The order of have and want, and of the servers in them, does not matter.
func Diff(have, want []Entry, owned map[ServiceID]bool) []Change {
	have, want = sorted(have), sorted(want)
	// There are few ranks and there can be many changes. The changes of each rank are counted first. Then each change is put
	// in its place.
	var next [2*int(DeleteService) + 2]int
	eachChange(have, want, owned, func(c *Change) { next[c.rank()]++ })
	total := 0
	for r, n := range next {
		next[r], total = total, total+n
	}
	if total == 0 {
		return nil
	}
	changes := make([]Change, total)
	eachChange(have, want, owned, func(c *Change) {
		r := c.rank()
		changes[next[r]] = *c
		next[r]++
	})
	return changes
}

// eachChange calls emit for each change between two sorted lists. The change is valid until emit returns.
func eachChange(have, want []Entry, owned map[ServiceID]bool, emit func(*Change)) {
	h := 0
	skip := func(until int) {
		for ; h < until; h++ {
			if owned[have[h].ServiceID] {
				emit(&Change{Op: DeleteService, Service: have[h].Service})
			}
		}
	}
	for i := range want {
		w := &want[i]
		at := h
		for at < len(have) && have[at].Compare(w.ServiceID) < 0 {
			at++
		}
		skip(at)
		if h == len(have) || have[h].ServiceID != w.ServiceID {
			emit(&Change{Op: AddService, Service: w.Service})
			eachServerChange(w.Service, nil, w.Servers, emit)
			continue
		}
		if have[h].Service != w.Service {
			emit(&Change{Op: SetService, Service: w.Service, OldService: have[h].Service})
		}
		eachServerChange(w.Service, have[h].Servers, w.Servers, emit)
		h++
	}
	skip(len(have))
}

// eachServerChange does for the real servers of one service what eachChange does for services.
func eachServerChange(in Service, have, want []Server, emit func(*Change)) {
	have, want = distinct(SortServers(have)), SortServers(want)
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
			emit(&Change{Op: DeleteServer, Service: in, Server: have[0]})
			have = have[1:]
		case order > 0:
			emit(&Change{Op: AddServer, Service: in, Server: want[0]})
			want = want[1:]
		default:
			if h, w := have[0].Canonical(), want[0].Canonical(); h != w {
				emit(&Change{Op: SetServer, Service: in, Server: w, OldServer: h})
			}
			have, want = have[1:], want[1:]
		}
	}
}

// sorted returns a sorted copy in canonical form. It shares the servers with its argument.
func sorted(entries []Entry) []Entry {
	entries = slices.Clone(entries)
	for i := range entries {
		entries[i].Service = entries[i].Service.Canonical()
	}
	slices.SortFunc(entries, func(a, b Entry) int { return a.ServiceID.Compare(b.ServiceID) })
	// If the kernel's list was interrupted, it repeats rows.
	return slices.CompactFunc(entries, func(a, b Entry) bool { return a.ServiceID == b.ServiceID })
}

// distinct returns its argument, which is sorted, if no server is in it twice. Otherwise it returns a copy without
// repetitions.
func distinct(servers []Server) []Server {
	for i := 1; i < len(servers); i++ {
		if servers[i].ServerID == servers[i-1].ServerID {
			return slices.CompactFunc(slices.Clone(servers), func(a, b Server) bool { return a.ServerID == b.ServerID })
		}
	}
	return servers
}

// SortServers returns its argument if it is in order, as it nearly always is, and a sorted copy otherwise.
func SortServers(servers []Server) []Server {
	order := func(a, b Server) int { return a.ServerID.Compare(b.ServerID) }
	if slices.IsSortedFunc(servers, order) {
		return servers
	}
	return slices.SortedFunc(slices.Values(servers), order)
}

// A Delta is a change of the wanted table.
type Delta struct {
	Set    []Entry     // new or changed services, each with all of its real servers
	Remove []ServiceID // services that are no longer wanted
}
