// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/hashicorp/go-hclog"

	statefile "github.com/tandem-lvs/tandem/cmd/tandem/internal/state"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/lvs"
	"github.com/tandem-lvs/tandem/lvs/kernel"
)

// replaced returns what a director with this configuration would replace of other programs' services in this machine's
// kernel. It changes nothing.
func replaced(ctx context.Context, cfg *configs.Config) ([]lvs.Change, error) {
	own, err := kernel.OpenOwnership(statefile.New[kernel.Owned](filepath.Join(cfg.State.Dir, "ipvs-owned.json"),
		statefile.Options{Flat: true, KeepDamaged: true}))
	if err != nil {
		return nil, fmt.Errorf("failed to read which services are tandem's own: %w", err)
	}
	table, err := kernel.New(hclog.NewNullLogger()).Read(ctx)
	if err != nil {
		return nil, fmt.Errorf("failed to compare the configuration with the kernel: %w", err)
	}
	return lvs.Replaced(table, cfg.Entries(), own.Set()), nil
}
