// SPDX-License-Identifier: Apache-2.0

package director

import (
	"maps"
	"os"
	"slices"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/election"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/lvs"
	"github.com/tandem-lvs/tandem/vrrp"
)

// A scripted plays a director by its pure functions, in the order in which its methods call them.
type scripted struct {
	d      *Director
	log    hclog.Logger
	dir    string
	v      view
	checks []healthcheck.Target
	table  []lvs.Entry
	sent   map[string]vrrp.Tracking
}

func newPlayer(log hclog.Logger) player {
	return &scripted{log: log}
}

func (s *scripted) begin(now time.Time, cfg *configs.Config, table []lvs.Entry, dir string) {
	s.d = New(Options{Config: cfg, Log: s.log})
	if err := s.d.openState(dir); err != nil {
		panic(err)
	}
	s.v, s.checks, s.table, s.sent = view{health: make(map[string]healthcheck.TargetStatus)}, nil, nil, nil
	s.setChecks(now)
	s.sent = s.tracking(now)
	s.v.inherited = inherit(cfg.Services, s.view(now), table)
	former, before, _ := s.d.farewells.Value.read()
	s.v.leavers = leave(cfg.Services, table, before, former, now)
	s.remember()
	s.v.memory.up = serving(cfg.Services, table)
	s.settle(now)
}

func (s *scripted) start(now time.Time, cfg *configs.Config, table []lvs.Entry) {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		panic(err)
	}
	s.dir = dir
	s.begin(now, cfg, table, dir)
}

func (s *scripted) restart(now time.Time, cfg *configs.Config, table []lvs.Entry) {
	s.begin(now, cfg, table, s.dir)
}

func (s *scripted) view(now time.Time) view {
	v := s.v
	v.now, v.orders, v.idle = now, s.d.orders.Value, s.d.idle
	return v
}

func (s *scripted) remember() {
	s.d.leavers = s.v.leavers
	s.d.rememberLeavers()
}

// setChecks is Director.setChecks beside a runner that keeps what it knows of a target that stays.
func (s *scripted) setChecks(now time.Time) {
	cfg := s.d.config
	probes, _ := scripts(cfg.Tracks)
	s.d.idle = idleServices(cfg.Services, cfg.Routers, s.d.report, s.d.idle)
	s.checks = append(targets(cfg.Services, s.d.idle, s.d.detours.led), probes...)
	kept := make(map[string]healthcheck.TargetStatus)
	for _, t := range s.checks {
		kept[t.ID] = healthcheck.TargetStatus{Health: healthcheck.Unknown, Reason: "not checked yet", Since: now}
		if is, ok := s.v.health[t.ID]; ok {
			kept[t.ID] = is
		}
	}
	s.v.health = kept
	s.v.inherited = inherit(cfg.Services, s.view(now), s.d.want)
}

// settle is what nudge leads to.
func (s *scripted) settle(now time.Time) {
	for range 2 { // marks are led once the table has their services
		v := s.view(now)
		services := s.d.config.Services
		s.v.inherited = inherit(services, v, nil)
		v.inherited = s.v.inherited
		p := plan(services, v)
		for _, svc := range services {
			s.d.tellPool(svc, s.d.pools[svc.Name], p.pools[svc.Name])
		}
		s.d.told = v.tellServers(s.log, services, s.d.told)
		s.d.detours.follow(s.d.config)
		s.d.want, s.d.pools, s.v.memory = append(p.entries, s.d.detours.services...), p.pools, p.memory
		s.table = s.d.want
		if maps.Equal(s.d.detours.led, s.d.detours.marks) {
			break
		}
		s.d.detours.led = s.d.detours.marks
		s.setChecks(now)
	}
	now2 := s.tracking(now)
	for _, name := range slices.Sorted(maps.Keys(now2)) {
		if is, was := now2[name], s.sent[name]; was != is && s.sent != nil {
			s.log.Info("tracking changed", "router", name, "priority-delta", is.Delta, "unclear", is.Unclear, "fault", is.Fault)
		}
	}
	s.sent = now2
}

func (s *scripted) tracking(now time.Time) map[string]vrrp.Tracking {
	cfg, v := s.d.config, s.view(now)
	all := combine(cfg.Tracks, assess(cfg.Tracks, world{view: v, services: cfg.Services, files: s.d.files}))
	if v.isolated(cfg.Services) {
		for _, r := range cfg.Routers {
			t := all[r.Name]
			t.Delta += cutOffDelta
			all[r.Name] = t
		}
	}
	return all
}

func (s *scripted) reload(now time.Time, cfg *configs.Config) {
	old := s.d.config
	s.d.config = cfg
	s.v.inherited = inherit(cfg.Services, s.view(now), s.d.want)
	s.v.leavers = leave(cfg.Services, s.d.want, s.v.leavers, graces(old.Services), now)
	s.remember()
	s.d.forgetOrders(cfg.Services)
	s.setChecks(now)
	s.settle(now)
}

func (s *scripted) verdict(now time.Time, id string, status healthcheck.TargetStatus) {
	if _, ok := s.v.health[id]; !ok {
		panic("no such check: " + id)
	}
	s.v.health[id] = status
	s.settle(now)
}

func (s *scripted) role(now time.Time, router string, state vrrp.State) {
	report := election.Report{Routers: slices.DeleteFunc(slices.Clone(s.d.report.Routers), func(r vrrp.Status) bool { return r.Name == router })}
	report.Routers = append(report.Routers, vrrp.Status{Name: router, State: state})
	s.d.report = report
	if is := idleServices(s.d.config.Services, s.d.config.Routers, report, s.d.idle); !maps.Equal(is, s.d.idle) {
		s.setChecks(now)
		s.settle(now)
	}
}

func (s *scripted) order(now time.Time, c control.ServerCommand) error {
	svc, srv, err := findServer(s.d.config.Services, c.Server)
	if err != nil {
		return err
	}
	if err := s.d.remember(targetID(svc, srv), c); err != nil {
		return err
	}
	s.log.Info("ordered by command", "server", targetID(svc, srv), "action", c.Action)
	s.settle(now)
	return nil
}

func (s *scripted) trackFile(now time.Time, path string, value int) {
	files := maps.Clone(s.d.files)
	if files == nil {
		files = make(map[string]fileNumber)
	}
	files[path] = fileNumber{value: value}
	s.d.files = files
	s.settle(now)
}

func (s *scripted) connections(now time.Time, rows []lvs.Row) {
	stay, gone := part(s.v.leavers, rows, now)
	for _, l := range gone {
		s.log.Info("a removed server has been drained", "service", l.service, "server", l.server.ServerID.String(), "in-time", now.Before(l.until))
	}
	if len(gone) > 0 {
		s.v.leavers = stay
		s.remember()
		s.settle(now)
	}
}

func (s *scripted) tick(now time.Time) {
	s.connections(now, nil)
	s.settle(now)
}

func (s *scripted) outcome() outcome {
	orders := s.d.orders.Value
	if orders == nil {
		orders = map[string]order{}
	}
	return outcome{
		Table: slices.Clone(s.table), Checks: s.checks, Tracking: s.sent,
		Files: map[string]any{"leaving.json": s.d.farewells.Value, "orders.json": orders},
	}
}
