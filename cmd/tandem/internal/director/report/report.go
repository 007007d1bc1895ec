// SPDX-License-Identifier: Apache-2.0

// Package report makes the status, the warnings and the metrics out of a director's state. It does no input or output.
package report

import (
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/core"
	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/lvs"
)

// An Input has everything from which a status is made.
type Input struct {
	Version string
	State   *core.Snapshot
	Checks  map[string]healthcheck.TargetStatus // by ID
	Metrics string                              // why no metrics are served; empty: they are, or are not configured
	Web     string                              // why the web page is not served; empty: it is, or is not configured
	Control string                              // why the permissions of the control socket are not in force; empty: they are
	Kernel  []lvs.ServiceStatus                 // the kernel's counters
	Problem string                              // why Kernel is missing
}

// Status returns the status of a director.
func Status(in Input) api.Status {
	shot := in.State
	cfg := shot.Config
	s := api.Status{
		Name:     cfg.Name,
		Version:  in.Version,
		Config:   Config(shot),
		VRRP:     routerStatus(cfg.Routers, shot.Report),
		Sync:     syncs(shot.Sync.Running),
		Hooks:    hookStatus(shot.Hooks),
		Services: make([]api.Service, 0, len(cfg.Services)),
		Warnings: []string{},
	}
	showSyncWaits(s.VRRP, shot)
	rows := make(map[string][]api.Track)
	for _, t := range shot.Tracks {
		rows[t.Router] = append(rows[t.Router], api.Track{Name: t.Name, OK: t.OK, Reason: t.Reason})
	}
	for i, r := range s.VRRP {
		s.VRRP[i].Track = append(s.VRRP[i].Track, rows[r.Name]...)
	}
	counts := countsOf(in.Kernel)
	for i, svc := range cfg.Services {
		s.Services = append(s.Services, serviceStatus(svc, shot.Services[i], in, counts))
	}
	s.Warnings = append(s.Warnings, warnings(in)...)
	s.WireWarnings = append(wireWarnings(shot.Report), rivalWarnings(shot.Report, cfg.Services)...)
	s.GuardWarnings = guardWarnings(shot.Report)
	s.ServerWarnings = serverWarnings(shot)
	s.Isolated = shot.Isolated
	s.Table = tableFault(shot)
	s.Drill, s.Drills = shot.Drills.UnderWay, shot.Drills.Last
	s.Peer = peerStatus(shot)
	return s
}

func syncs(running []lvs.SyncDaemon) []api.Sync {
	all := make([]api.Sync, 0, len(running))
	for _, s := range running {
		all = append(all, api.Sync{
			Role: s.Roles.String(), Interface: s.Interface, ID: s.ID, Group: s.Group, Port: s.Port, TTL: s.TTL, MaxLen: s.MaxLen,
		})
	}
	return all
}
