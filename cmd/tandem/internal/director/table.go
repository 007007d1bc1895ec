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

// keepTable keeps the kernel's table as planned until ctx ends. It alone reads and writes it.
func (d *Director) keepTable(ctx context.Context) error {
	tick := time.NewTicker(lookInterval)
	defer tick.Stop()
	full := time.NewTicker(fullInterval)
	defer full.Stop()
	d.inherit(ctx)
	failed := !d.reconcile(ctx)
	close(d.filled)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-d.wake:
			failed = !d.reconcile(ctx)
		case <-full.C:
			failed = !d.reconcile(ctx)
		case <-tick.C:
			if failed || d.drifted(ctx) {
				failed = !d.reconcile(ctx)
			}
		}
	}
}

// reconcile plans the table and makes the kernel's equal to it; false when that has to be tried again.
func (d *Director) reconcile(ctx context.Context) bool {
	d.mu.Lock()
	services := d.config.Services
	d.mu.Unlock()
	want := d.plan(services)
	if !d.tableInUse(want) {
		return true
	}
	_, err := d.table.Reconcile(ctx, want)
	if err != nil && !errors.Is(err, context.Canceled) {
		d.log.Error("bring the IPVS table in line", "error", err)
	}
	return err == nil
}

// tableInUse is false for a director that neither has services nor left any in the kernel: that one must run on a
// kernel without IPVS.
func (d *Director) tableInUse(want []lvs.Entry) bool {
	return len(want) > 0 || len(d.ownership.Set()) > 0
}

// drifted takes the cheap look.
func (d *Director) drifted(ctx context.Context) bool {
	d.mu.Lock()
	want := d.want
	d.mu.Unlock()
	if !d.tableInUse(want) {
		return false
	}
	drifted, err := d.table.Drifted(ctx, want)
	return drifted || err != nil // a reconciliation meets the same error, and logs it
}

// plan computes and remembers the table that is wanted now.
func (d *Director) plan(services []configs.Service) []lvs.Entry {
	d.mu.Lock()
	defer d.mu.Unlock()
	v := d.view()
	d.inherited = inherit(services, v, nil)
	v.inherited = d.inherited
	d.want = plan(services, v)
	return d.want
}

// view is what is known now. The caller holds d.mu.
func (d *Director) view() view {
	return view{health: d.checks.Status(), inherited: d.inherited, idle: d.idle}
}

// inherit takes over the weights that the kernel has at the start.
func (d *Director) inherit(ctx context.Context) {
	if len(d.config.Services) == 0 {
		return
	}
	table, err := d.kernel.Read(ctx)
	if err != nil {
		d.log.Error("read the IPVS table", "error", err)
		return
	}
	d.mu.Lock()
	d.inherited = inherit(d.config.Services, d.view(), table)
	d.mu.Unlock()
}

// leaveTable does with the table what the configuration wants done at a clean stop.
func (d *Director) leaveTable() error {
	d.mu.Lock()
	onStop := d.config.LVS.OnStop
	d.mu.Unlock()
	if onStop != configs.OnStopRemove || !d.tableInUse(nil) {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), removeTimeout)
	defer cancel()
	_, err := d.table.Remove(ctx)
	return err
}
