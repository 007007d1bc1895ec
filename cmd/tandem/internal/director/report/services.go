// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/core"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/lvs"
	"github.com/tandem-lvs/tandem/lvs/traffic"
)

// A member is one real server in one service.
type member struct {
	service lvs.ServiceID
	server  lvs.ServerID
}

// A counts is the kernel's counters.
type counts struct {
	services map[lvs.ServiceID]lvs.Stats
	servers  map[member]lvs.ServerStatus
}

func countsOf(rows []lvs.ServiceStatus) counts {
	c := counts{make(map[lvs.ServiceID]lvs.Stats, len(rows)), make(map[member]lvs.ServerStatus)}
	for _, row := range rows {
		c.services[row.ServiceID] = row.Stats
		for _, srv := range row.Servers {
			c.servers[member{row.ServiceID, srv.ServerID}] = srv
		}
	}
	return c
}

func serviceStatus(svc configs.Service, is *core.Service, in Input, c counts) api.Service {
	first, pool := svc.Virtuals[0], is.Pool
	row := api.Service{
		Name: svc.Name, Virtual: virtuals(svc.Virtuals), Protocol: first.Protocol.String(),
		Scheduler: first.Scheduler, Method: svc.Method.String(), Servers: make([]api.Server, 0, len(svc.Servers)),
		Up: pool.Up, QuorumLost: pool.State.QuorumLost, Panic: pool.Panic,
		Quorum: svc.Quorum, PanicBelow: svc.PanicBelow,
	}
	for _, virtual := range svc.Virtuals {
		row.Stats = add(row.Stats, c.services[virtual.ServiceID])
	}
	for i, srv := range svc.Servers {
		known := is.Servers[i]
		o := in.State.Overrides[known.ID]
		s := serverStatus(svc, srv, is, c)
		s.Drained, s.Disabled, s.Override, s.Note = o.Drained, o.Disabled, o.Weight, o.Note(srv.Weight)
		s.Health, s.Reason = "unchecked", "no check is configured"
		switch {
		case known.Checked:
			s.Checks = checkRows(srv, known, in.Checks)
			health := verdict(srv, known, in.Checks)
			s.Health, s.Reason, s.Since = health.Health.String(), health.Reason, health.Since
		case len(srv.Checks) > 0:
			s.Reason = "checked by the master only"
		}
		if n := known.Unanswered; n != nil {
			s.Unanswered = unanswered(in.State.Peer, known.ID, n)
			if n.Out {
				s.Note = joined(s.Note, "no new clients until "+n.Until.Format(time.TimeOnly)+", because it does not answer them")
			}
		}
		if known.Maintenance {
			s.Maintenance = srv.Maintenance()
			s.Note = joined(s.Note, "drained for maintenance, because "+s.Maintenance+" exists")
		}
		if s.Tracks = srv.Track; known.Follows {
			s.Note = joined(s.Note, "gets no new clients, because "+srv.Track+", which it tracks, gets none")
		}
		s.Note = joined(s.Note, expiry(svc, known, in.State.Now))
		row.Servers = append(row.Servers, s)
	}
	if svc.Sorry != nil {
		s := serverStatus(svc, *svc.Sorry, is, c)
		s.Sorry, s.Health, s.Reason, s.Note = true, "unchecked", "no check is configured", "sorry server"
		if known := is.Sorry; known != nil && known.Checked {
			s.Checks = checkRows(*svc.Sorry, *known, in.Checks)
			health := verdict(*svc.Sorry, *known, in.Checks)
			s.Health, s.Reason, s.Since = health.Health.String(), health.Reason, health.Since
		}
		row.Servers = append(row.Servers, s)
	}
	for _, d := range is.Draining {
		s := serverStatus(svc, configs.Server{Server: d.Server, Mapped: true}, is, c)
		s.Leaving, s.Health, s.Reason = true, "unchecked", "not in the configuration"
		s.Note = "leaves with its last connection, or in " + max(0, d.Until.Sub(in.State.Now)).Round(time.Second).String()
		s.Weight = 0
		row.Servers = append(row.Servers, s)
	}
	return row
}

// expiry says when a server of weight 0 leaves the table, or that it has left it; empty: it does not.
func expiry(svc configs.Service, known core.Server, now time.Time) string {
	if svc.RemoveAfter == 0 || known.ZeroSince.IsZero() {
		return ""
	}
	if left := known.ZeroSince.Add(svc.RemoveAfter).Sub(now); left > 0 {
		return "leaves the table in " + left.Round(time.Second).String() + " (remove_after)"
	}
	return "not in the table, because it had weight 0 for " + svc.RemoveAfter.String()
}

func joined(notes ...string) string {
	return strings.Join(slices.DeleteFunc(notes, func(s string) bool { return s == "" }), "; ")
}

// serverStatus returns the row of a real server.
func serverStatus(svc configs.Service, srv configs.Server, known *core.Service, c counts) api.Server {
	s := api.Server{Checks: []api.Check{}, Address: srv.Addr, Port: srv.Port, Weight: srv.Weight, Method: srv.Method.String(),
		EffectiveWeight: known.Weights[srv.ServerID]}
	for _, virtual := range svc.Virtuals {
		is := c.servers[member{virtual.ServiceID, srv.In(virtual).ServerID}]
		s.Active += is.Active
		s.Inactive += is.Inactive
		s.Stats = add(s.Stats, is.Stats)
	}
	return s
}

// verdict returns the combined status of a real server's checks. It is the status that decided about the weight, with the
// latest reason.
func verdict(srv configs.Server, known core.Server, statuses map[string]healthcheck.TargetStatus) healthcheck.TargetStatus {
	latest := make([]healthcheck.TargetStatus, len(known.CheckIDs))
	for i, id := range known.CheckIDs {
		is, ok := statuses[id]
		if !ok {
			return known.Verdict
		}
		latest[i] = is
	}
	if is := core.Combine(srv, latest); is.Health == known.Verdict.Health {
		return is
	}
	return known.Verdict
}

// checkRows returns the rows of a real server's checks.
func checkRows(srv configs.Server, known core.Server, statuses map[string]healthcheck.TargetStatus) []api.Check {
	rows := make([]api.Check, 0, len(srv.Checks))
	for i, check := range srv.Checks {
		s, ok := statuses[known.CheckIDs[i]]
		if !ok {
			s = core.Unchecked
		}
		rows = append(rows, api.Check{
			Type: check.Type.String(), Via: check.Via, Health: s.Health.String(), Reason: s.Reason, Since: s.Since, Flapping: s.Flapping,
			LastAt: s.LastAt, LatencySeconds: s.LastLatency.Seconds(), Successes: s.Successes, Failures: s.Failures,
		})
	}
	return rows
}

func add(a api.Stats, b lvs.Stats) api.Stats {
	return api.Stats{
		Connections: a.Connections + b.Connections,
		InPackets:   a.InPackets + b.InPackets, OutPackets: a.OutPackets + b.OutPackets,
		InBytes: a.InBytes + b.InBytes, OutBytes: a.OutBytes + b.OutBytes,
		ConnectionRate: a.ConnectionRate + b.ConnectionRate,
		InPacketRate:   a.InPacketRate + b.InPacketRate, OutPacketRate: a.OutPacketRate + b.OutPacketRate,
		InByteRate: a.InByteRate + b.InByteRate, OutByteRate: a.OutByteRate + b.OutByteRate,
	}
}

// virtuals writes a service's addresses as in the configuration. Consecutive ports, and consecutive addresses with the same ports,
// are written as a range.
func virtuals(all []lvs.Service) string {
	if all[0].FWMark != 0 {
		return fmt.Sprintf("fwmark %d", all[0].FWMark)
	}
	type block struct {
		first, last netip.Addr
		from, to    uint16
	}
	var blocks []block
	for i := 0; i < len(all); {
		last := i
		for last+1 < len(all) && all[last+1].Addr == all[i].Addr && int(all[last+1].Port) == int(all[last].Port)+1 {
			last++
		}
		b := block{all[i].Addr, all[i].Addr, all[i].Port, all[last].Port}
		if n := len(blocks); n > 0 && blocks[n-1].last.Next() == b.first && blocks[n-1].from == b.from && blocks[n-1].to == b.to {
			blocks[n-1].last = b.last
		} else {
			blocks = append(blocks, b)
		}
		i = last + 1
	}
	var words []string
	for _, b := range blocks {
		addr := b.first.String()
		if b.last != b.first {
			addr += "-" + b.last.String()
		}
		if b.first.Is6() {
			addr = "[" + addr + "]"
		}
		word := fmt.Sprintf("%s:%d", addr, b.from)
		if b.to > b.from {
			word += fmt.Sprintf("-%d", b.to)
		}
		words = append(words, word)
	}
	return strings.Join(words, ", ")
}

// Server returns the state of a real server, with the connections in the kernel's table.
func Server(shot *core.Snapshot, name string, rows []lvs.Row, halfOpen func() []traffic.Connection) (api.ServerState, error) {
	i, j, err := core.FindServer(shot.Config.Services, name)
	if err != nil {
		return api.ServerState{}, err
	}
	svc, is := shot.Config.Services[i], shot.Services[i]
	srv := svc.Servers[j]
	members := membersOf(svc, srv)
	id := is.Servers[j].ID
	s := api.ServerState{Name: id, EffectiveWeight: is.Weights[srv.ServerID], Note: shot.Overrides[id].Note(srv.Weight)}
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
	if s.Connections > 0 {
		s.Connections = max(0, s.Connections-halfOpenOf(shot.Config, svc, srv, halfOpen()))
	}
	return s, nil
}

// halfOpenOf counts those of the connections that are of a real server. It leaves out one that may be of another service too.
func halfOpenOf(cfg *configs.Config, svc configs.Service, srv configs.Server, all []traffic.Connection) (n int) {
	for _, c := range all {
		others := slices.ContainsFunc(cfg.Services, func(other configs.Service) bool {
			return other.Name != svc.Name && slices.ContainsFunc(other.Servers, func(srv configs.Server) bool { return mayHave(other, srv, c) })
		})
		if !others && mayHave(svc, srv, c) {
			n++
		}
	}
	return n
}

// mayHave reports whether a connection may be of a real server of a service. The kernel's table does not show firewall marks.
func mayHave(svc configs.Service, srv configs.Server, c traffic.Connection) bool {
	for _, v := range svc.Virtuals {
		id := srv.In(v).ServerID
		if id.Addr != c.Server.Addr() || id.Port != 0 && id.Port != c.Server.Port() {
			continue
		}
		if v.FWMark != 0 || v.Protocol == lvs.TCP && v.Addr == c.Virtual.Addr() && (v.Port == 0 || v.Port == c.Virtual.Port()) {
			return true
		}
	}
	return false
}

// membersOf returns a server's rows in the kernel's table.
func membersOf(svc configs.Service, srv configs.Server) map[member]bool {
	members := make(map[member]bool)
	for _, virtual := range svc.Virtuals {
		members[member{virtual.ServiceID, srv.In(virtual).ServerID}] = true
	}
	return members
}

// TemplatesBind reports whether the kernel's persistence templates still send new connections to a server of weight 0.
func TemplatesBind(cfg *configs.Config, svc configs.Service) bool {
	return svc.Virtuals[0].Flags&lvs.Persistent != 0 && cfg.Sysctls()["expire_quiescent_template"] != "1"
}

// PersistentClients counts the clients that persistence binds to a real server.
func PersistentClients(shot *core.Snapshot, name string, kernel []lvs.ServiceStatus) (n int) {
	i, j, err := core.FindServer(shot.Config.Services, name)
	if err != nil {
		return 0
	}
	svc := shot.Config.Services[i]
	members := membersOf(svc, svc.Servers[j])
	for _, row := range kernel {
		for _, is := range row.Servers {
			if members[member{row.ServiceID, is.ServerID}] {
				n += is.Persistent
			}
		}
	}
	return n
}
