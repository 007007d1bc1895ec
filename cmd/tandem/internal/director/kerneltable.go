// SPDX-License-Identifier: Apache-2.0

package director

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/workers"
	"github.com/tandem-lvs/tandem/lvs"
	"github.com/tandem-lvs/tandem/lvs/kernel"
)

// A kernelTable is the kernel's IPVS table as its worker sees it.
type kernelTable struct {
	*kernel.Table
	kernel *kernel.IPVS
	own    *kernel.Ownership
	want   map[lvs.ServiceID]lvs.Entry
}

var _ workers.KernelTable = kernelTable{}

func (t kernelTable) Read(ctx context.Context) ([]lvs.Entry, error) { return t.kernel.Read(ctx) }

func (t kernelTable) Owned() map[lvs.ServiceID]bool { return t.own.Set() }

func (t kernelTable) Reconcile(ctx context.Context, want []lvs.Entry, all bool) error {
	t.ManageAll(all)
	clear(t.want)
	for _, e := range want {
		t.want[e.ServiceID] = e
	}
	_, err := t.Table.Reconcile(ctx, want)
	return err
}

func (t kernelTable) Apply(ctx context.Context, set []lvs.Entry, remove []lvs.ServiceID) error {
	for _, id := range remove {
		delete(t.want, id)
	}
	for _, e := range set {
		t.want[e.ServiceID] = e
	}
	_, err := t.Table.Reconcile(ctx, slices.Collect(maps.Values(t.want)))
	return err
}

func (t kernelTable) Look(ctx context.Context) (bool, error) {
	if len(t.want) == 0 {
		return false, nil
	}
	return t.Drifted(ctx, slices.Collect(maps.Values(t.want)))
}

func (t kernelTable) NextLook() time.Duration { return time.Second }

func (t kernelTable) remove(ctx context.Context) error {
	_, err := t.Remove(ctx)
	return err
}

func (t kernelTable) counters() (writes, passes, repairs, failures uint64) {
	c := t.Counters()
	return t.kernel.Writes(), c.Reconciles, c.Repairs, c.Errors
}

func (t kernelTable) close() { t.kernel.Close() }
