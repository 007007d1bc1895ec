// SPDX-License-Identifier: Apache-2.0

package director

import (
	"context"
	"errors"
	"maps"
	"net"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/core"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/plan"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/report"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/workers"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/healthcheck/probe"
	"github.com/tandem-lvs/tandem/lvs"
	"github.com/tandem-lvs/tandem/lvs/kernel"
)

const (
	// probesAtOnce is how many checks run at the same time for a plan, and probesTime is the time for all of them.
	probesAtOnce = 64
	probesTime   = 10 * time.Second
	// planPatience is how long a plan waits for an earlier one.
	planPatience = 15 * time.Second
)

// Plan says what a reload would change. It changes nothing, but checks new real servers once. An error has a sentence for each
// mistake in the configuration.
func (d *Director) Plan(r control.PlanRequest) (control.Plan, error) { return d.planFor(r, false) }

// planFor is Plan. shared says that the other director asks, and may apply the plan.
func (d *Director) planFor(r control.PlanRequest, shared bool) (control.Plan, error) {
	select {
	case d.plans <- struct{}{}:
		defer func() { <-d.plans }()
	case <-time.After(planPatience):
		return control.Plan{}, errors.New("another plan is being made: try again in a moment")
	}
	c, err := d.candidate(r)
	if err != nil {
		return control.Plan{}, err
	}
	c.shared = shared
	p, _, err := d.describe(c.config, func(in plan.Input) map[plan.CheckID]plan.Probe {
		targets := plan.Targets(in.Before.Config, in.After.Config, c.isOwn)
		if r.NoProbe {
			return notProbed(targets)
		}
		return probeOnce(targets)
	})
	if err != nil {
		return p, err
	}
	if shot := d.snapshot(); shot != nil {
		p.Warnings = append(p.Warnings, report.RevisionWarnings(shot)...)
	}
	p.ID = d.candidates.add(c, p.InForce)
	return p, nil
}

// notProbed returns the results of checks that are not run.
func notProbed(targets []plan.Target) map[plan.CheckID]plan.Probe {
	results := make(map[plan.CheckID]plan.Probe, len(targets))
	for i := range targets {
		results[targets[i].ID] = plan.Probe{NotRun: "checks were left out"}
	}
	return results
}

// describe says what a configuration would change, and returns the kernel's table for which it says so. probe runs the checks of
// new real servers.
func (d *Director) describe(
	cfg *configs.Config, probe func(plan.Input) map[plan.CheckID]plan.Probe,
) (p control.Plan, found core.TableRead, err error) {
	rehearsal, err := d.rehearse()
	if err != nil {
		return p, found, err
	}
	in := plan.Input{Now: time.Now(), Before: rehearsal.Before(), Owned: d.table.Owned()}
	if needsIPVS(in.Before.Config) || needsIPVS(cfg) || len(in.Owned) > 0 {
		if in.Kernel, err = d.counted(); err != nil {
			return p, found, err
		}
	}
	found = core.TableRead{Entries: entriesOf(in.Kernel), Owned: in.Owned}
	in.After, in.Fixed = rehearsal.Reload(cfg, workers.ReadNumbers(cfg.Tracks), workers.ReadMaintenance(cfg.MaintenanceFiles()), found)
	p = control.Plan{File: cfg.File, SHA256: cfg.SHA256, InForce: in.Before.Config.SHA256, Refused: []string{}, Warnings: []string{}}
	for _, w := range cfg.Warnings {
		p.Warnings = append(p.Warnings, w.Error())
	}
	if err := d.planSettings(&in); err != nil {
		p.Warnings = append(p.Warnings, err.Error())
	}
	d.elections.Refresh()
	if shot := d.snapshot(); shot != nil {
		in.Routers, in.Peer = shot.Report.Routers, shot.Peer
	}
	in.Interfaces = interfaces()
	in.Schedulers, _ = kernel.AvailableSchedulers() // not known if this fails
	in.Probes = probe(in)
	p.Lines, p.Probed = plan.Of(in), plan.Probed(in)
	for _, f := range in.Fixed {
		p.Refused = append(p.Refused, f.In(cfg.File).Error())
	}
	return p, found, nil
}

// entriesOf returns the kernel's table without its counters.
func entriesOf(rows []lvs.ServiceStatus) []lvs.Entry {
	entries := make([]lvs.Entry, 0, len(rows))
	for _, row := range rows {
		e := lvs.Entry{Service: row.Service}
		for _, srv := range row.Servers {
			e.Servers = append(e.Servers, srv.Server)
		}
		entries = append(entries, e)
	}
	return entries
}

// changes says what a configuration changes that comes into force now. What cannot be found out is a warning: it must not keep
// the configuration from coming into force.
func (d *Director) changes(cfg *configs.Config) (lines []control.PlanLine, texts, warnings []string, found core.TableRead) {
	p, found, err := d.describe(cfg, func(in plan.Input) map[plan.CheckID]plan.Probe {
		return notProbed(plan.Targets(in.Before.Config, in.After.Config, true))
	})
	if err != nil {
		return []control.PlanLine{}, nil, []string{"what changes is not known: " + err.Error()}, found
	}
	for _, l := range p.Lines {
		texts = append(texts, l.String())
	}
	return p.Lines, texts, p.Warnings, found
}

// rehearse asks the loop for a rehearsal.
func (d *Director) rehearse() (rehearsed, error) {
	r := make(rehearsing, 1)
	if !d.post(r) {
		return rehearsed{}, errEnded
	}
	select {
	case is := <-r:
		return is, is.err
	case <-d.ended:
		return rehearsed{}, errEnded
	}
}

// planSettings adds the writes of kernel settings, before and after the reload.
func (d *Director) planSettings(in *plan.Input) error {
	var errs []error
	ask := func(cfg *configs.Config) lvs.SettingsPlan {
		ipvs, err := d.saved.sysctls.Plan(d.settings.Want(cfg))
		errs = append(errs, err)
		links, err := d.interfaces.Plan(cfg)
		errs = append(errs, err)
		ctx, cancel := context.WithTimeout(context.Background(), planPatience)
		defer cancel()
		timeouts, err := d.saved.timeouts.Plan(ctx, cfg.LVS.Timeouts)
		errs = append(errs, err)
		return join(join(ipvs, links), timeouts)
	}
	in.SettingsBefore = ask(in.Before.Config)
	errs = nil // those of the configuration in force are in the status
	in.SettingsAfter = ask(in.After.Config)
	return errors.Join(errs...)
}

// join returns the plan of different settings.
func join(a, b lvs.SettingsPlan) lvs.SettingsPlan {
	both := lvs.SettingsPlan{
		Set: slices.Concat(a.Set, b.Set), Restore: slices.Concat(a.Restore, b.Restore),
		Before: make(map[string]lvs.ChangedSetting), After: make(map[string]lvs.ChangedSetting),
	}
	for _, p := range []lvs.SettingsPlan{a, b} {
		maps.Copy(both.Before, p.Before)
		maps.Copy(both.After, p.After)
	}
	return both
}

// interfaces returns the names of this machine's interfaces; nil: they are not known.
func interfaces() map[string]bool {
	all, err := net.Interfaces()
	if err != nil {
		return nil
	}
	names := make(map[string]bool, len(all))
	for _, i := range all {
		names[i.Name] = true
	}
	return names
}

// probeOnce runs each check once, probesAtOnce at the same time.
func probeOnce(targets []plan.Target) map[plan.CheckID]plan.Probe {
	ctx, cancel := context.WithTimeout(context.Background(), probesTime)
	defer cancel()
	prober := probe.New()
	defer prober.Close()
	results := make(map[plan.CheckID]plan.Probe, len(targets))
	var mu sync.Mutex // of results
	var running sync.WaitGroup
	room := make(chan struct{}, probesAtOnce)
	for i := range targets {
		t := &targets[i]
		if t.NotRun != "" {
			mu.Lock()
			results[t.ID] = plan.Probe{NotRun: t.NotRun}
			mu.Unlock()
			continue
		}
		room <- struct{}{}
		running.Go(func() {
			defer func() { <-room }()
			is := probeTarget(ctx, prober, &t.Target)
			mu.Lock()
			results[t.ID] = is
			mu.Unlock()
		})
	}
	running.Wait()
	return results
}

// probeTarget runs one check. A panic is a failure.
func probeTarget(ctx context.Context, prober *probe.Prober, t *healthcheck.Target) (is plan.Probe) {
	defer func() {
		if v := recover(); v != nil {
			is.Result = healthcheck.Panicked(v, debug.Stack())
		}
	}()
	if ctx.Err() != nil {
		return plan.Probe{NotRun: "the time for the checks of a plan is over: " + probesTime.String()}
	}
	probing, cancel := context.WithTimeout(ctx, t.Config.Timeout)
	defer cancel()
	is.Result = prober.Probe(probing, t)
	switch {
	case is.Outcome == healthcheck.Abandoned, is.Outcome == healthcheck.Failed && ctx.Err() != nil:
		is.NotRun = "the time for the checks of a plan is over: " + probesTime.String()
	case is.Outcome == healthcheck.NotRun:
		is.NotRun = is.Reason
	}
	return is
}
