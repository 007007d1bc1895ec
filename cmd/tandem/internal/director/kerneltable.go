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
	ipvs *kernel.IPVS
	own  *kernel.Ownership
}

var _ workers.KernelTable = kernelTable{}

func (t kernelTable) Read(ctx context.Context) ([]lvs.Entry, error) { return t.ipvs.Read(ctx) }

func (t kernelTable) Owned() map[lvs.ServiceID]bool { return t.own.Set() }

func (t kernelTable) Remember() error { return t.own.Add() }
