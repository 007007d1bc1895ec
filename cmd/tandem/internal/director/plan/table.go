// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/summary"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/lvs"
)

// A member is one real server in one service of the kernel.
type member struct {
	service lvs.ServiceID
	server  lvs.ServerID
}

// A groupKey is what the changes of one line have in common. A service with many ports has the same change once for each.
type groupKey struct {
	op      lvs.Op
	service string // name of the configured service; empty: none
	id      lvs.ServiceID
	addr    netip.Addr // of the real server
	detail  string
}

// A group is the changes of the kernel's table that are told in one line.
type group struct {
	groupKey
	changes []lvs.Change
}

// A kernelTable is the kernel's table, for looking up.
type kernelTable struct {
	services map[lvs.ServiceID]lvs.ServiceStatus
	servers  map[member]lvs.ServerStatus
	entries  []lvs.Entry
}

func tableOf(rows []lvs.ServiceStatus) kernelTable {
	t := kernelTable{services: make(map[lvs.ServiceID]lvs.ServiceStatus), servers: make(map[member]lvs.ServerStatus)}
	for _, row := range rows {
		t.services[row.ServiceID] = row
		e := lvs.Entry{Service: row.Service}
		for _, srv := range row.Servers {
			t.servers[member{row.ServiceID, srv.ServerID}] = srv
			e.Servers = append(e.Servers, srv.Server)
		}
		t.entries = append(t.entries, e)
	}
	return t
}

// connections counts the connections of a real server that a drain would wait for: with TCP and SCTP those that are
// established, otherwise all.
func (t kernelTable) connections(m member) int {
	srv := t.servers[m]
	if m.service.Protocol == lvs.TCP || m.service.Protocol == lvs.SCTP {
		return srv.Active
	}
	return srv.Active + srv.Inactive
}

// changes returns the changes of the kernel's table that the reload causes. What the director would change anyway, because the
// kernel's table is not as it should be, is left out.
func (p *planner) changes(have kernelTable) []lvs.Change {
	anyway := make(map[lvs.Change]bool)
	for _, c := range lvs.Diff(have.entries, p.Before.Table, p.owned(p.Before.Config, have)) {
		anyway[c] = true
	}
	all := lvs.Diff(have.entries, p.After.Table, p.owned(p.After.Config, have))
	return slices.DeleteFunc(all, func(c lvs.Change) bool { return anyway[c] })
}

// owned returns the services that are ours under a configuration.
func (p *planner) owned(cfg *configs.Config, have kernelTable) map[lvs.ServiceID]bool {
	if cfg.LVS.Manage != configs.ManageAll {
		return p.Owned
	}
	all := make(map[lvs.ServiceID]bool, len(have.services))
	for id := range have.services {
		all[id] = true
	}
	return all
}

// table adds the lines about the kernel's table, and about the configured servers that are not in it.
func (p *planner) table() {
	have := tableOf(p.Kernel)
	var order []groupKey
	groups := make(map[groupKey]*group)
	for _, c := range p.changes(have) {
		id := c.Service.ServiceID
		if p.Before.Marks[id] || p.After.Marks[id] {
			p.mark(c)
			continue
		}
		key := groupKey{op: c.Op, service: p.names[id], addr: c.Server.Addr, detail: c.Detail()}
		if key.service == "" {
			key.id = id
		}
		if groups[key] == nil {
			groups[key] = &group{groupKey: key}
			order = append(order, key)
		}
		groups[key].changes = append(groups[key].changes, c)
	}
	told := make(map[toldServer]bool)
	for _, key := range order {
		g := groups[key]
		told[toldServer{g.service, g.addr}] = true
		p.tell(g, have)
	}
	p.waiting(told)
	p.empty()
}

// A toldServer is a real server of a configured service.
type toldServer struct {
	service string
	addr    netip.Addr
}

// mark adds the line of a service for probes through the VIP. No client uses it.
func (p *planner) mark(c lvs.Change) {
	id := c.Service.ServiceID
	l := api.PlanLine{Area: areaCheck, Op: opChange, Change: c.Detail(), Object: fmt.Sprintf("service %s of the checks through the VIP", id)}
	switch c.Op {
	case lvs.AddService, lvs.AddServer:
		l.Op = opAdd
	case lvs.DeleteService, lvs.DeleteServer:
		l.Op = opRemove
	}
	l.Rows = []api.PlanRow{rowOf(c)}
	if c.Op == lvs.AddServer || c.Op == lvs.SetServer || c.Op == lvs.DeleteServer {
		l.Object = fmt.Sprintf("server %s in service %s of the checks through the VIP", c.Server.Addr, id)
	}
	p.add(l)
}

func rowOf(c lvs.Change) api.PlanRow {
	row := api.PlanRow{Service: c.Service.ServiceID.String()}
	if c.Server.Addr.IsValid() {
		row.Server = c.Server.ServerID.String()
	}
	return row
}

// tell adds the line of a group.
func (p *planner) tell(g *group, have kernelTable) {
	l := api.PlanLine{Area: areaServer, Op: opChange, Change: g.detail}
	for _, c := range g.changes {
		l.Rows = append(l.Rows, rowOf(c))
		switch c.Op {
		case lvs.SetService, lvs.DeleteService:
			for _, srv := range have.services[c.Service.ServiceID].Servers {
				l.Connections += have.connections(member{c.Service.ServiceID, srv.ServerID})
			}
		case lvs.SetServer, lvs.DeleteServer:
			l.Connections += have.connections(member{c.Service.ServiceID, c.Server.ServerID})
		}
	}
	if g.op == lvs.AddService || g.op == lvs.SetService || g.op == lvs.DeleteService {
		l.Area = areaService
		l.Object = "service " + g.places(l.Rows)
	} else {
		l.Object = g.server() + " of " + cmp.Or(g.service, g.id.String())
	}
	switch g.op {
	case lvs.AddService:
		l.Op = opAdd
		p.addsService(g, &l)
	case lvs.SetService:
		p.setsService(g, &l)
	case lvs.DeleteService:
		l.Op = opRemove
		p.deletesService(g, &l)
	case lvs.AddServer:
		l.Op = opAdd
		p.addsServer(g, &l)
	case lvs.SetServer:
		p.setsServer(g, &l, have)
	case lvs.DeleteServer:
		l.Op = opRemove
		l.Harm, l.Cost = p.ends(g.changes[0].Service.ServiceID, l.Connections, g.addr.String())
	}
	p.add(l)
}

// places writes the name of the service and its virtuals.
func (g *group) places(rows []api.PlanRow) string {
	var ids []string
	for _, r := range rows {
		ids = append(ids, r.Service)
	}
	if g.service == "" {
		return few(ids)
	}
	return fmt.Sprintf("%s (%s)", g.service, few(ids))
}

// server writes the real server, with its port if it is the same in all virtuals.
func (g *group) server() string {
	first := g.changes[0].Server.ServerID
	if slices.ContainsFunc(g.changes, func(c lvs.Change) bool { return c.Server.ServerID != first }) {
		return "server " + g.addr.String()
	}
	return "server " + first.String()
}

// ends returns what happens to the connections of a server or service that leaves the kernel's table.
func (p *planner) ends(id lvs.ServiceID, connections int, of string) (api.Harm, string) {
	n := summary.Counted(connections, "connection")
	switch {
	case connections == 0:
		return api.Harmless, "no connection ends"
	case !p.serves(id):
		return api.Harmless, fmt.Sprintf("the copies of %s of %s end: clients lose these only at a failover", n, of)
	case p.After.Config.Sysctls()["expire_nodest_conn"] == "0":
		return api.Interrupts, fmt.Sprintf("%s of %s get no answer until they time out (expire_nodest_conn is 0)", n, of)
	case connections == 1:
		return api.Interrupts, fmt.Sprintf("%s of %s ends", n, of)
	}
	return api.Interrupts, fmt.Sprintf("%s of %s end", n, of)
}

func (p *planner) addsService(g *group, l *api.PlanLine) {
	s := g.changes[0].Service
	l.Change = "scheduler " + s.Scheduler
	if p.lacks(s.Scheduler) {
		l.Harm = api.Interrupts
		l.Cost = fmt.Sprintf("this kernel has no scheduler %s: it refuses the service", s.Scheduler)
	}
}

// lacks reports whether the kernel is known to lack a scheduler.
func (p *planner) lacks(scheduler string) bool {
	return p.Schedulers != nil && !slices.Contains(p.Schedulers, scheduler)
}

func (p *planner) setsService(g *group, l *api.PlanLine) {
	old, now := g.changes[0].OldService, g.changes[0].Service
	switch {
	case old.Scheduler != now.Scheduler && p.lacks(now.Scheduler):
		l.Harm = api.Interrupts
		l.Cost = fmt.Sprintf("this kernel has no scheduler %s: the service stays as it is, and the director steps back", now.Scheduler)
	case old.Timeout != 0 && now.Timeout == 0:
		l.Cost = "connections stay; a client's next connection may reach another server"
	case old.Scheduler != now.Scheduler || old.Flags != now.Flags:
		l.Cost = "connections stay; new ones are scheduled in the new way"
	}
	if !p.Owned[now.ServiceID] && p.After.Config.LVS.Manage != configs.ManageAll {
		l.Cost = sentence("replaces what another program has set up", l.Cost)
	}
}

func (p *planner) deletesService(g *group, l *api.PlanLine) {
	id := g.changes[0].Service.ServiceID
	l.Harm, l.Cost = p.ends(id, l.Connections, cmp.Or(g.service, id.String()))
	if p.serves(id) {
		l.Harm, l.Cost = api.Interrupts, sentence("clients of it get no service", l.Cost)
	}
}

// addsServer says when a new server gets clients.
func (p *planner) addsServer(g *group, l *api.PlanLine) {
	c := g.changes[0]
	svc, srv := p.configured(c.Service, c.Server.ServerID)
	switch {
	case srv == nil && svc != nil && svc.Sorry != nil && svc.Sorry.In(c.Service).ServerID == c.Server.ServerID:
		l.Object, l.Change = "sorry "+l.Object, fmt.Sprintf("weight %d", c.Server.Weight)
	case srv == nil || c.Server.Weight > 0 || srv.Weight == 0:
		l.Change = fmt.Sprintf("%s, weight %d", c.Server.Method, c.Server.Weight)
	default:
		l.Change = fmt.Sprintf("%s, weight 0, and %d when its check passes", c.Server.Method, srv.Weight)
	}
	if svc != nil && srv != nil {
		p.probed(*svc, *srv, l)
	}
}

func (p *planner) setsServer(g *group, l *api.PlanLine, have kernelTable) {
	old, now := g.changes[0].OldServer, g.changes[0].Server
	id := g.changes[0].Service.ServiceID
	n := summary.Counted(l.Connections, "connection")
	switch until, drains := p.After.Draining[id][now.ServerID]; {
	case old.Weight > 0 && now.Weight == 0 && drains:
		l.Harm = api.Drains
		l.Op, l.Change = opRemove, l.Change+": it drains"
		l.Cost = fmt.Sprintf("no new clients; its %s may last %s, then the rest ends", n, short(until.Sub(p.Now).Round(time.Second)))
		if l.Connections == 0 {
			l.Cost = "no new clients; it leaves at once, because it has no connection"
		}
	case old.Weight > 0 && now.Weight == 0:
		l.Harm = api.Drains
		l.Cost = fmt.Sprintf("no new clients; its %s stay", n)
	case old.Method != now.Method || old.Tunnel != now.Tunnel:
		l.Cost = fmt.Sprintf("its %s keep the former method; the server must be prepared for the new one", n)
	case old.Weight == 0 && now.Weight > 0:
		l.Cost = "gets new clients"
	}
	if l.Harm == api.Drains && !p.serves(id) {
		l.Harm = api.Harmless
	}
}

// configured returns the service and the real server of a row of the kernel's table in the new configuration; nil: none.
func (p *planner) configured(virtual lvs.Service, id lvs.ServerID) (*configs.Service, *configs.Server) {
	svc := p.is[virtual.ServiceID]
	if svc == nil {
		return nil, nil
	}
	for i, srv := range svc.Servers {
		if srv.In(virtual).ServerID == id {
			return svc, &svc.Servers[i]
		}
	}
	return svc, nil
}

// empty adds a line for each service that loses all servers for new clients.
func (p *planner) empty() {
	weigh := func(table []lvs.Entry) map[lvs.ServiceID]int {
		sums := make(map[lvs.ServiceID]int, len(table))
		for _, e := range table {
			for _, srv := range e.Servers {
				sums[e.ServiceID] += srv.Weight
			}
		}
		return sums
	}
	was, is := weigh(p.Before.Table), weigh(p.After.Table)
	for _, svc := range p.After.Config.Services {
		id := svc.Virtuals[0].ServiceID
		if was[id] == 0 || is[id] > 0 {
			continue
		}
		l := api.PlanLine{
			Harm: api.Interrupts, Area: areaService, Op: opChange, Object: "service " + svc.Name, Change: "no server takes new clients",
			Cost: "until a check passes, new clients get no answer",
		}
		if !slices.ContainsFunc(svc.Servers, func(srv configs.Server) bool { return len(srv.Checks) > 0 && srv.Weight > 0 }) {
			l.Cost = "new clients get no answer"
		}
		if !p.serves(id) {
			l.Harm, l.Cost = api.Harmless, "clients come here only after a failover: "+l.Cost
		}
		p.add(l)
	}
}

func sortedKeys[T any](m map[string]T) []string { return slices.Sorted(maps.Keys(m)) }
