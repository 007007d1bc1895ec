// SPDX-License-Identifier: Apache-2.0

package director

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/lvs"
)

// statusTimeout bounds the reading of the kernel's table that a status includes.
const statusTimeout = 10 * time.Second

// A finding is what a status says of the table beside configuration and health.
type finding struct {
	pools    map[string]lvs.PoolOutput
	weights  map[member]int // that are wanted
	services map[lvs.ServiceID]lvs.Stats
	servers  map[member]lvs.ServerStatus
	syncs    []control.Sync
	warnings []string
}

// find puts together what was planned and what the kernel has counted, which is read in one pass.
func (d *Director) find(cfg *configs.Config) finding {
	d.mu.Lock()
	want, running, problem := d.want, d.syncing, d.syncProblem
	f := finding{pools: d.pools, weights: make(map[member]int), syncs: []control.Sync{}}
	d.mu.Unlock()
	for _, entry := range want {
		for _, srv := range entry.Servers {
			f.weights[member{entry.ServiceID, srv.ServerID}] = srv.Weight
		}
	}
	for _, s := range running {
		f.syncs = append(f.syncs, control.Sync{
			Role: s.Roles.String(), Interface: s.Interface, ID: s.ID, Group: s.Group, Port: s.Port, TTL: s.TTL, MaxLen: s.MaxLen,
		})
	}
	if problem != "" {
		f.warnings = append(f.warnings, problem)
	}
	if len(cfg.Services) == 0 {
		return f
	}
	ctx, cancel := context.WithTimeout(context.Background(), statusTimeout)
	defer cancel()
	rows, err := d.kernel.Status(ctx)
	if err != nil {
		f.warnings = append(f.warnings, fmt.Sprintf("the kernel's IPVS table cannot be read: %v", err))
		return f
	}
	f.services, f.servers = make(map[lvs.ServiceID]lvs.Stats), make(map[member]lvs.ServerStatus)
	for _, row := range rows {
		f.services[row.ServiceID] = row.Stats
		for _, srv := range row.Servers {
			f.servers[member{row.ServiceID, srv.ServerID}] = srv
		}
	}
	return f
}

// poolWarnings are sentences about a service as a whole.
func poolWarnings(svc configs.Service, pool lvs.PoolOutput) (all []string) {
	if pool.State.QuorumLost {
		what := "it has no sorry server"
		if pool.Sorry {
			what = fmt.Sprintf("the sorry server, %s, serves its clients", svc.Sorry.Addr)
		}
		all = append(all, fmt.Sprintf("%s has lost its quorum, with %d of %d servers up: %s", svc.Name, pool.Up, len(svc.Servers), what))
	}
	if pool.Panic {
		all = append(all, fmt.Sprintf("%s has only %d of %d servers up: all are treated as healthy", svc.Name, pool.Up, len(svc.Servers)))
	}
	return all
}

func serviceStatus(svc configs.Service, v view, f finding) control.Service {
	first, pool := svc.Virtuals[0], f.pools[svc.Name]
	row := control.Service{
		Name: svc.Name, Virtual: virtuals(svc.Virtuals), Protocol: first.Protocol.String(),
		Scheduler: first.Scheduler, Method: svc.Method.String(), Servers: make([]control.Server, 0, len(svc.Servers)),
		Up: pool.Up, QuorumLost: pool.State.QuorumLost, Panic: pool.Panic,
	}
	for _, virtual := range svc.Virtuals {
		row.Stats = add(row.Stats, f.services[virtual.ServiceID])
	}
	for _, srv := range svc.Servers {
		o := v.orders[targetID(svc, srv)]
		s := f.server(svc, srv)
		s.Drained, s.Disabled, s.Override, s.Note = o.Drained, o.Disabled, o.Weight, o.note(srv.Weight)
		s.Health, s.Reason = "unchecked", "no check is configured"
		s.Checks = v.checkRows(svc, srv)
		if v.checked(svc, srv) {
			health := v.verdict(svc, srv)
			s.Health, s.Reason, s.Since = health.Health.String(), health.Reason, health.Since
		} else if len(srv.Checks) > 0 {
			s.Reason = "checked by the master only"
		}
		row.Servers = append(row.Servers, s)
	}
	if svc.Sorry != nil {
		s := f.server(svc, *svc.Sorry)
		s.Sorry, s.Health, s.Reason, s.Note = true, "unchecked", "no check is configured", "sorry server"
		row.Servers = append(row.Servers, s)
	}
	for _, l := range v.leavers[first.ServiceID] {
		s := f.server(svc, configs.Server{Server: l.server, Mapped: true})
		s.Leaving, s.Health, s.Reason = true, "unchecked", "not in the configuration"
		s.Note = "leaves with its last connection, or in " + max(0, l.until.Sub(v.now)).Round(time.Second).String()
		s.Weight = 0
		row.Servers = append(row.Servers, s)
	}
	return row
}

// server is what the kernel says of a real server.
func (f finding) server(svc configs.Service, srv configs.Server) control.Server {
	s := control.Server{Checks: []control.Check{}, Address: srv.Addr, Port: srv.Port, Weight: srv.Weight, Method: srv.Method.String(),
		EffectiveWeight: f.weights[member{svc.Virtuals[0].ServiceID, srv.ServerID}]}
	for _, virtual := range svc.Virtuals {
		is := f.servers[member{virtual.ServiceID, srv.In(virtual).ServerID}]
		s.Active += is.Active
		s.Inactive += is.Inactive
		s.Stats = add(s.Stats, is.Stats)
	}
	return s
}

func add(a control.Stats, b lvs.Stats) control.Stats {
	return control.Stats{
		Connections: a.Connections + b.Connections,
		InPackets:   a.InPackets + b.InPackets, OutPackets: a.OutPackets + b.OutPackets,
		InBytes: a.InBytes + b.InBytes, OutBytes: a.OutBytes + b.OutBytes,
		ConnectionRate: a.ConnectionRate + b.ConnectionRate,
		InPacketRate:   a.InPacketRate + b.InPacketRate, OutPacketRate: a.OutPacketRate + b.OutPacketRate,
		InByteRate: a.InByteRate + b.InByteRate, OutByteRate: a.OutByteRate + b.OutByteRate,
	}
}

// virtuals writes a service's addresses as in the configuration, ports in a row as a range.
func virtuals(all []lvs.Service) string {
	if all[0].FWMark != 0 {
		return fmt.Sprintf("fwmark %d", all[0].FWMark)
	}
	var words []string
	for i := 0; i < len(all); {
		last := i
		for last+1 < len(all) && all[last+1].Addr == all[i].Addr && int(all[last+1].Port) == int(all[last].Port)+1 {
			last++
		}
		word := netip.AddrPortFrom(all[i].Addr, all[i].Port).String()
		if last > i {
			word += fmt.Sprintf("-%d", all[last].Port)
		}
		words = append(words, word)
		i = last + 1
	}
	return strings.Join(words, ", ")
}

// Server tells how a real server stands, by the cheap look at the kernel's table.
func (d *Director) Server(name string) (control.ServerState, error) {
	d.mu.Lock()
	svc, srv, err := findServer(d.config.Services, name)
	want, v := d.want, d.view()
	d.mu.Unlock()
	if err != nil {
		return control.ServerState{}, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), statusTimeout)
	defer cancel()
	rows, err := d.kernel.Look(ctx)
	if err != nil {
		return control.ServerState{}, err
	}
	members := make(map[member]bool)
	for _, virtual := range svc.Virtuals {
		members[member{virtual.ServiceID, srv.In(virtual).ServerID}] = true
	}
	id := targetID(svc, srv)
	s := control.ServerState{Name: id, Note: v.orders[id].note(srv.Weight)}
	for _, row := range rows {
		for _, is := range row.Servers {
			if members[member{row.ServiceID, is.ServerID}] {
				s.Connections += is.Active
				if row.Protocol != lvs.TCP && row.Protocol != lvs.SCTP {
					s.Connections += is.Inactive
				}
			}
		}
	}
	for _, entry := range want {
		for _, is := range entry.Servers {
			if (member{entry.ServiceID, is.ServerID}) == (member{svc.Virtuals[0].ServiceID, srv.ServerID}) {
				s.EffectiveWeight = is.Weight
			}
		}
	}
	return s, nil
}
