// SPDX-License-Identifier: Apache-2.0

// Package report makes the status, the warnings and the metrics out of a director's state. It does no input or output.
package report

import (
	"fmt"
	"maps"
	"slices"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/core"
	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/lvs"
)

// An Input is everything that a status needs.
type Input struct {
	Version string
	State   *core.Snapshot
	Checks  map[string]healthcheck.TargetStatus // by ID
	Metrics string                              // why no metrics are served; empty: they are, or are not configured
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
		Config:   api.Config{File: cfg.File, SHA256: cfg.SHA256, LoadedAt: shot.LoadedAt},
		VRRP:     routerStatus(cfg.Routers, shot.Report),
		Sync:     syncs(shot.Sync.Running),
		Services: make([]api.Service, 0, len(cfg.Services)),
		Warnings: []string{},
	}
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
	return s
}

// warnings returns sentences about everything that is not as it should be.
func warnings(in Input) (all []string) {
	shot := in.State
	for _, w := range shot.Config.Warnings {
		all = append(all, w.Error())
	}
	all = append(all, stepBackWarnings(shot)...)
	if in.Metrics != "" {
		all = append(all, in.Metrics)
	}
	all = append(all, electionWarnings(shot.Report)...)
	all = append(all, rivalWarnings(shot.Report, shot.Config.Services)...)
	if shot.Sync.Problem != "" {
		all = append(all, shot.Sync.Problem)
	}
	if shot.Settings.Problem != "" {
		all = append(all, "failed to set the kernel's IPVS settings, without which clients of a lost server may get silence: "+shot.Settings.Problem)
	}
	if in.Problem != "" {
		all = append(all, "the kernel's IPVS table cannot be read: "+in.Problem)
	}
	all = append(all, checkWarnings(in.Checks)...)
	pools := make([]lvs.PoolOutput, 0, len(shot.Services))
	for _, is := range shot.Services {
		pools = append(pools, is.Pool)
	}
	all = append(all, allPoolWarnings(shot.Config.Services, pools)...)
	all = append(all, shot.Departed...)
	return append(all, shot.Forgotten...)
}

// checkWarnings returns sentences about checks that the director cannot run: one for each reason.
func checkWarnings(checks map[string]healthcheck.TargetStatus) (all []string) {
	ids := make(map[string][]string) // by reason
	for id, is := range checks {
		if is.Trouble != "" {
			ids[is.Trouble] = append(ids[is.Trouble], id)
		}
	}
	for _, why := range slices.Sorted(maps.Keys(ids)) {
		these := ids[why]
		slices.Sort(these)
		name := "the check of " + these[0]
		if n := len(these); n > 1 {
			name = fmt.Sprintf("%d checks, the first of them of %s,", n, these[0])
		}
		all = append(all, name+" cannot be run: "+why+": this is the director's trouble, so it does not count against the servers; "+
			"they keep their weights, and their health is unknown after 3 × fall × interval without a result; tandem check looks for the cause")
	}
	return all
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
