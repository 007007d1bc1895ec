// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/core"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/lvs"
)

// serversOf returns the real servers of a configuration's services, by ServerID.
func serversOf(cfg *configs.Config) map[string]configs.Server {
	all := make(map[string]configs.Server)
	for _, svc := range cfg.Services {
		for _, srv := range svc.Servers {
			all[core.ServerID(svc, srv)] = srv
		}
	}
	return all
}

// waiting adds the servers that are added, removed or changed in the configuration without a change of the kernel's table: a
// server that is not healthy may not be in the table, and another program may have put a server into it.
func (p *planner) waiting(told map[toldServer]bool) {
	had, has := serversOf(p.Before.Config), serversOf(p.After.Config)
	named := func(cfg *configs.Config, name string) bool {
		return slices.ContainsFunc(cfg.Services, func(s configs.Service) bool { return s.Name == name })
	}
	for _, svc := range p.Before.Config.Services {
		for _, srv := range svc.Servers {
			id := core.ServerID(svc, srv)
			if _, stays := has[id]; stays || told[toldServer{svc.Name, srv.Addr}] || !named(p.After.Config, svc.Name) || p.leavesWith(svc) {
				continue
			}
			l := api.PlanLine{
				Area: areaServer, Op: opRemove, Object: serverOf(id), Change: "from the configuration",
				Cost: "the kernel's table does not have it",
			}
			first := svc.Virtuals[0]
			if until, drains := p.After.Draining[first.ServiceID][srv.In(first).ServerID]; drains {
				l.Later, l.Rows = true, rowsOf(svc, srv)
				l.Cost = "it has weight 0 already, and leaves with its last connection, or after " + short(until.Sub(p.Now).Round(time.Second))
			}
			p.add(l)
		}
	}
	weights := make(map[member]int)
	for _, e := range p.After.Table {
		for _, srv := range e.Servers {
			weights[member{e.ServiceID, srv.ServerID}] = srv.Weight
		}
	}
	for _, svc := range p.After.Config.Services {
		for _, srv := range svc.Servers {
			id := core.ServerID(svc, srv)
			was, stays := had[id]
			switch {
			case told[toldServer{svc.Name, srv.Addr}]:
			case !stays:
				p.add(p.arrives(svc, srv, weights[member{svc.Virtuals[0].ServiceID, srv.In(svc.Virtuals[0]).ServerID}]))
			case was.Weight != srv.Weight || was.Server.Canonical() != srv.Server.Canonical():
				fields := differing(was.Canonical(), srv.Canonical())
				p.add(api.PlanLine{
					Area: areaServer, Op: opChange, Object: serverOf(id), Change: written(fields), Later: true, Rows: rowsOf(svc, srv),
					Cost: "when it serves again",
				})
			}
		}
	}
	for _, id := range sortedKeys(p.Before.Overrides) {
		if _, stays := p.After.Overrides[id]; !stays {
			p.add(api.PlanLine{
				Area: areaServer, Op: opRemove, Object: "order about " + serverOf(id), Change: p.Before.Overrides[id].Note(had[id].Weight),
				Cost: "the order is forgotten, because the server is no longer configured",
			})
		}
	}
}

// leavesWith tells whether all virtuals of a service leave the kernel's table: its servers leave with them.
func (p *planner) leavesWith(svc configs.Service) bool {
	return !slices.ContainsFunc(svc.Virtuals, func(v lvs.Service) bool { return p.is[v.ServiceID] != nil })
}

// serverOf writes the name SERVICE/ADDRESS of a server as in the other lines.
func serverOf(id string) string {
	service, addr, _ := strings.Cut(id, "/")
	return "server " + addr + " of " + service
}

func rowsOf(svc configs.Service, srv configs.Server) []api.PlanRow {
	var rows []api.PlanRow
	for _, v := range svc.Virtuals {
		rows = append(rows, api.PlanRow{Service: v.ServiceID.String(), Server: srv.In(v).ServerID.String()})
	}
	return rows
}

// arrives returns the line of a server that is added. weight is what it has in the kernel's table, and keeps; 0: it waits for its
// check.
func (p *planner) arrives(svc configs.Service, srv configs.Server, weight int) api.PlanLine {
	l := api.PlanLine{Area: areaServer, Op: opAdd, Object: serverOf(core.ServerID(svc, srv)), Later: weight == 0, Rows: rowsOf(svc, srv)}
	switch weight {
	case 0:
		l.Change = fmt.Sprintf("%s, weight %d when its check passes", srv.Method, srv.Weight)
	case srv.Weight:
		l.Change = fmt.Sprintf("%s, weight %d, as it is in the kernel's table", srv.Method, weight)
	default:
		l.Change = fmt.Sprintf("%s, weight %d as in the kernel's table, and %d when its check passes", srv.Method, weight, srv.Weight)
	}
	p.probed(svc, srv, &l)
	return l
}

// services adds the lines about settings of services and checks.
func (p *planner) services() {
	had := make(map[string]configs.Service)
	for _, svc := range p.Before.Config.Services {
		had[svc.Name] = svc
	}
	for _, svc := range p.After.Config.Services {
		was, stays := had[svc.Name]
		if !stays {
			continue
		}
		fields := differing(was, svc, "Name", "Virtuals", "Servers", "Sorry", "Method")
		if !reflect.DeepEqual(was.Sorry, svc.Sorry) {
			fields = append(fields, sorryFields(was.Sorry, svc.Sorry)...)
		}
		if len(fields) > 0 {
			p.add(api.PlanLine{Area: areaService, Op: opChange, Object: "service " + svc.Name, Change: written(fields)})
		}
		p.checks(was, svc)
		p.serverSettings(was, svc)
	}
}

// serverFields returns the settings of a server that differ, beside its checks and what the kernel's table has.
func serverFields(was, is configs.Server) (all []field) {
	if was.MaintenanceFile != is.MaintenanceFile {
		all = append(all, field{"maintenance_file", text(was.MaintenanceFile), text(is.MaintenanceFile)})
	}
	if was.Track != is.Track {
		all = append(all, field{"track", text(was.Track), text(is.Track)})
	}
	return all
}

// serverSettings adds a line for each change of serverFields of servers that stay.
func (p *planner) serverSettings(was, is configs.Service) {
	before := make(map[string]configs.Server)
	for _, srv := range was.Servers {
		before[core.ServerID(was, srv)] = srv
	}
	var order []string
	servers := make(map[string][]string)
	for _, srv := range is.Servers {
		old, stays := before[core.ServerID(is, srv)]
		change := written(serverFields(old, srv))
		if !stays || change == "" {
			continue
		}
		if servers[change] == nil {
			order = append(order, change)
		}
		servers[change] = append(servers[change], srv.Addr.String())
	}
	for _, change := range order {
		object := fmt.Sprintf("servers of %s (%s)", is.Name, few(servers[change]))
		p.add(api.PlanLine{Area: areaService, Op: opChange, Object: object, Change: change})
	}
}

// sorryFields returns what differs about a sorry server.
func sorryFields(was, is *configs.Server) []field {
	if was == nil || is == nil || was.ServerID != is.ServerID {
		return []field{{"sorry_server", sorryText(was), sorryText(is)}}
	}
	all := differing(was.Server, is.Server)
	for i := range all {
		all[i].key = "sorry_server." + all[i].key
	}
	if !reflect.DeepEqual(was.Checks, is.Checks) || was.Pass != is.Pass {
		_, change, _ := compareChecks(*was, *is)
		all = append(all, field{key: "sorry_server.check", is: change})
	}
	if len(all) == 0 {
		return []field{{"sorry_server", sorryText(was), sorryText(is)}}
	}
	return all
}

func sorryText(s *configs.Server) string {
	if s == nil {
		return "none"
	}
	return s.ServerID.String()
}

// checks adds the lines about the checks of servers that stay: one for all servers with the same change.
func (p *planner) checks(was, is configs.Service) {
	before := make(map[string]configs.Server)
	for _, srv := range was.Servers {
		before[core.ServerID(was, srv)] = srv
	}
	type tellable struct {
		line    api.PlanLine
		servers []configs.Server
	}
	var order []string
	lines := make(map[string]*tellable)
	for _, srv := range is.Servers {
		old, stays := before[core.ServerID(is, srv)]
		if !stays || reflect.DeepEqual(old.Checks, srv.Checks) && old.Pass == srv.Pass {
			continue
		}
		op, change, cost := compareChecks(old, srv)
		key := op + change
		if lines[key] == nil {
			lines[key] = &tellable{line: api.PlanLine{Area: areaCheck, Op: op, Change: change, Cost: cost}}
			order = append(order, key)
		}
		lines[key].servers = append(lines[key].servers, srv)
	}
	for _, key := range order {
		t := lines[key]
		var names []string
		for _, srv := range t.servers {
			names = append(names, srv.Addr.String())
		}
		t.line.Object = fmt.Sprintf("check of %s (%s)", is.Name, few(names))
		if len(t.servers) == len(is.Servers) {
			t.line.Object = "check of " + is.Name
		}
		p.judge(is, t.servers, &t.line)
		p.add(t.line)
	}
}

// compareChecks says what changes about the checks of one server.
func compareChecks(was, is configs.Server) (op, change, cost string) {
	switch {
	case len(is.Checks) == 0:
		return opRemove, checkNames(was.Checks), "the servers count as healthy without a check"
	case len(was.Checks) == 0:
		return opAdd, checkNames(is.Checks), "the servers keep their weights until the first results"
	}
	var parts []string
	if was.Pass != is.Pass {
		parts = append(parts, fmt.Sprintf("check_pass %s → %s", was.Pass, is.Pass))
	}
	if len(was.Checks) != len(is.Checks) {
		parts = append(parts, checkNames(was.Checks)+" → "+checkNames(is.Checks))
		return opChange, strings.Join(parts, ", "), ""
	}
	for i := range is.Checks {
		parts = append(parts, written(differing(was.Checks[i], is.Checks[i])))
	}
	return opChange, strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), ", "), ""
}

func checkNames(checks []healthcheck.Config) string {
	var names []string
	for _, c := range checks {
		name := c.Type.String()
		if c.Via.IsValid() {
			name += " through " + c.Via.String()
		}
		names = append(names, name)
	}
	return strings.Join(names, ", ")
}
