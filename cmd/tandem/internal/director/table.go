// SPDX-License-Identifier: Apache-2.0

package director

import (
	"context"
	"errors"
	"time"

	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/lvs"
)

const (
	// lookInterval is the pause between two cheap looks at the table: the kernel tells nobody when it changes.
	lookInterval = time.Second
	// fullInterval is the pause between two complete reads, which see what the cheap look does not.
	fullInterval = 30 * time.Second
	// removeTimeout bounds the removal of the table at a stop.
	removeTimeout = 30 * time.Second
)

// keepTable keeps the kernel's table, its settings and its connection sync as planned until ctx ends. It alone reads
// and writes them.
func (d *Director) keepTable(ctx context.Context) error {
	tick := time.NewTicker(lookInterval)
	defer tick.Stop()
	full := time.NewTicker(fullInterval)
	defer full.Stop()
	due := time.NewTimer(fullInterval) // a change of the plan by itself
	defer due.Stop()
	d.inherit(ctx)
	d.setSysctls(false)
	prepared := d.keepIngress() // before the first probe
	failed := !d.reconcile(ctx)
	close(d.filled)
	d.keepSync(ctx) // after the services: the kernel takes up no connection without its service
	for {
		d.mu.Lock()
		next := d.next
		d.mu.Unlock()
		if due.Stop(); !next.IsZero() {
			due.Reset(time.Until(next))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-d.wake:
			if d.setSysctls(false) {
				prepared = d.keepIngress()
			}
			failed = !d.reconcile(ctx)
		case <-due.C:
			failed = !d.reconcile(ctx)
		case <-full.C:
			d.setSysctls(true)
			prepared = d.keepIngress()
			failed = !d.reconcile(ctx)
		case <-tick.C:
			prepared = prepared || d.keepIngress()
			if d.partLeavers(ctx) || failed || d.drifted(ctx) {
				failed = !d.reconcile(ctx)
			}
			d.keepSync(ctx)
		}
	}
}

// reconcile plans the table and makes the kernel's equal to it; false when that has to be tried again.
func (d *Director) reconcile(ctx context.Context) bool {
	d.mu.Lock()
	cfg, asked := d.config, d.asked
	d.mu.Unlock()
	d.table.ManageAll(cfg.LVS.Manage == configs.ManageAll)
	want, marks := d.plan()
	if d.tableInUse(want) {
		_, err := d.table.Reconcile(ctx, want)
		if err != nil && !errors.Is(err, context.Canceled) {
			d.log.Error("bring the IPVS table in line", "error", err)
		}
		if err != nil {
			return false
		}
	}
	d.lead(marks)
	d.mu.Lock()
	d.answered = asked
	close(d.passed)
	d.passed = make(chan struct{})
	d.mu.Unlock()
	return true
}

// tableInUse is false for a director that neither has services nor left any in the kernel: that one must run on a
// kernel without IPVS.
func (d *Director) tableInUse(want []lvs.Entry) bool {
	d.mu.Lock()
	all := d.config.LVS.Manage == configs.ManageAll
	d.mu.Unlock()
	return len(want) > 0 || len(d.ownership.Set()) > 0 || all
}

// drifted takes the cheap look.
func (d *Director) drifted(ctx context.Context) bool {
	d.mu.Lock()
	want := d.want
	d.mu.Unlock()
	if !d.tableInUse(want) {
		return false
	}
	drifted, err := d.table.Look(ctx)
	return drifted || err != nil // a reconciliation meets the same error, and logs it
}

// plan computes and remembers the table that is wanted now, with the marks that it leads probes by.
func (d *Director) plan() ([]lvs.Entry, marking) {
	d.mu.Lock()
	defer d.mu.Unlock()
	services := d.config.Services
	v := d.view()
	d.inherited = inherit(services, v, nil)
	v.inherited = d.inherited
	p := plan(services, v)
	for _, svc := range services {
		d.tellPool(svc, d.pools[svc.Name], p.pools[svc.Name])
	}
	d.told = v.tellServers(d.log, services, d.told)
	d.detours.follow(d.config)
	d.want, d.pools, d.next, d.memory = append(p.entries, d.detours.services...), p.pools, p.next, p.memory
	return d.want, d.detours.marks
}

// tellPool logs what has changed for a service as a whole.
func (d *Director) tellPool(svc configs.Service, was, is lvs.PoolOutput) {
	switch {
	case is.State.QuorumLost && !was.State.QuorumLost:
		d.log.Warn("quorum lost", "service", svc.Name, "servers-up", is.Up, "quorum", svc.Quorum, "sorry-server", is.Sorry)
	case was.State.QuorumLost && !is.State.QuorumLost:
		d.log.Info("quorum regained", "service", svc.Name, "servers-up", is.Up)
	}
	switch {
	case is.Panic && !was.Panic:
		d.log.Warn("too few servers are healthy: treating all as healthy", "service", svc.Name, "servers-up", is.Up)
	case was.Panic && !is.Panic:
		d.log.Info("enough servers are healthy again", "service", svc.Name, "servers-up", is.Up)
	}
}

// view is what is known now. The caller holds d.mu.
func (d *Director) view() view {
	v := view{now: time.Now(), health: d.checks.Status(), inherited: d.inherited, leavers: d.leavers, memory: d.memory, idle: d.idle}
	if d.orders != nil {
		v.orders = d.orders.Value
	}
	return v
}

// inherit takes over what the kernel has at the start: weights, and servers that have left the configuration meanwhile.
func (d *Director) inherit(ctx context.Context) {
	services := d.config.Services
	if len(services)+len(d.farewells.Value.Graces)+len(d.farewells.Value.Leaving) == 0 {
		return
	}
	table, err := d.kernel.Read(ctx)
	if err != nil {
		d.log.Error("read the IPVS table", "error", err)
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.inherited = inherit(services, d.view(), table)
	d.inheritLeavers(services, table)
	d.memory.up = serving(services, table)
}

// setSysctls makes the kernel's settings of IPVS what the configuration says, if it is another than the last time or
// anyway. It tells whether the configuration is another one.
func (d *Director) setSysctls(anyway bool) (news bool) {
	d.mu.Lock()
	cfg := d.config
	d.mu.Unlock()
	news = cfg != d.set
	if !news && !anyway {
		return false
	}
	d.set = cfg
	if _, err := d.sysctls.Apply(cfg.LVS.Sysctl); err != nil {
		d.log.Error("set the kernel's IPVS settings", "error", err)
	}
	return news
}

// keepSync makes the kernel's connection sync what the configuration says. What fails is logged once.
func (d *Director) keepSync(ctx context.Context) {
	d.mu.Lock()
	want := d.config.LVS.Sync
	d.mu.Unlock()
	problem := ""
	report, err := d.syncs.Reconcile(ctx, want)
	if err != nil && ctx.Err() == nil {
		problem = err.Error()
	}
	if report.Started|report.Stopped != 0 { // what runs is what was found before
		report, err = d.syncs.Reconcile(ctx, want)
		if err != nil && ctx.Err() == nil {
			problem = err.Error()
		}
	}
	d.mu.Lock()
	news := problem != d.syncProblem
	d.syncProblem, d.syncing = problem, report.Running
	d.mu.Unlock()
	if news && problem != "" {
		d.log.Error("keep connection sync", "error", problem)
	}
}

// leaveTable does with the table what the configuration wants done at a clean stop.
func (d *Director) leaveTable() error {
	d.mu.Lock()
	cfg := d.config.LVS
	d.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), removeTimeout)
	defer cancel()
	var errs []error
	if cfg.OnStop == configs.OnStopRemove {
		if d.tableInUse(nil) {
			_, err := d.table.Remove(ctx)
			errs = append(errs, err)
		}
		errs = append(errs, d.syncs.Stop(ctx))
	} else {
		errs = append(errs, d.leaveDetours(ctx))
	}
	errs = append(errs, d.ingress.keep(nil))
	if cfg.SysctlRestore {
		errs = append(errs, d.sysctls.Restore())
	}
	return errors.Join(errs...)
}
