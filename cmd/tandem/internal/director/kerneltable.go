// SPDX-License-Identifier: Apache-2.0

package director

import (
	"context"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/workers"
	"github.com/tandem-lvs/tandem/lvs"
	"github.com/tandem-lvs/tandem/lvs/kernel"
)

// A kernelTable is the workers.KernelTable of the running kernel.
type kernelTable struct {
	*kernel.Table
	ipvs       *kernel.IPVS
	own        *kernel.Ownership
	processors *processors
}

var _ workers.KernelTable = kernelTable{}

func (t kernelTable) Read(ctx context.Context) ([]lvs.Entry, error) { return t.ipvs.Read(ctx) }

// Look compares the kernel's table with the wanted one. At the same time it decides on the number of processors for this
// process: a timer for that would be one more wake-up.
func (t kernelTable) Look(ctx context.Context) (drifted bool, err error) {
	t.processors.adjust()
	return t.Table.Look(ctx)
}

func (t kernelTable) Owned() map[lvs.ServiceID]bool { return t.own.Set() }

func (t kernelTable) Remember() error { return t.own.Add() }
