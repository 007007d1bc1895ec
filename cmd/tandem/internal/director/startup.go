// SPDX-License-Identifier: Apache-2.0

package director

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/core"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/workers"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/state"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/lvs"
	"github.com/tandem-lvs/tandem/lvs/kernel"
)

// permitted says why a configuration cannot run here: it needs privileges or a kernel that are not there.
func (d *Director) permitted(cfg *configs.Config) error {
	if err := checkPrivileges(cfg); err != nil {
		return err
	}
	if needsIPVS(cfg) {
		return kernel.Probe()
	}
	return nil
}

// needsIPVS tells whether a configuration asks for anything that is the kernel's IPVS's.
func needsIPVS(cfg *configs.Config) bool {
	return len(cfg.Services) > 0 || cfg.LVS.Sync != (lvs.Sync{}) || len(cfg.LVS.Sysctl) > 0 || cfg.LVS.Manage == configs.ManageAll
}

// A savedState is the state directory, and those who keep something in it.
type savedState struct {
	orders   *state.File[map[string]core.Order]
	standby  *state.File[[]string]
	drains   *state.File[core.Drains]
	table    kernelTable
	syncs    *kernel.SyncDaemons
	sysctls  *kernel.SysctlKeeper
	settings *kernel.Settings
}

// openState reads what earlier runs left in the state directory. Damage there is a warning, not a reason to stand still.
func (d *Director) openState(dir string) (*savedState, error) {
	var errs []error
	check := func(err error) {
		if errors.Is(err, state.ErrDamaged) {
			d.log.Warn("the state directory is damaged", "error", err)
		} else if err != nil {
			errs = append(errs, fmt.Errorf("failed to open the state directory: %w", err))
		}
	}
	s := &savedState{}
	var err error
	log := d.log.Named("lvs")
	flat := state.Options{Flat: true}
	own, err := kernel.OpenOwnership(state.New[kernel.Owned](filepath.Join(dir, "ipvs-owned.json"), flat))
	check(err)
	ipvs := kernel.New(log)
	s.table = kernelTable{Table: kernel.NewTable(ipvs, own, log), ipvs: ipvs, own: own}
	s.orders, err = state.Open[map[string]core.Order](filepath.Join(dir, core.OrdersFile.String()))
	check(err)
	s.standby, err = state.Open[[]string](filepath.Join(dir, core.StandbyFile.String()))
	check(err)
	s.drains, err = state.Open[core.Drains](filepath.Join(dir, core.DrainsFile.String()))
	check(err)
	s.settings, err = kernel.OpenSettings(state.New[map[string]lvs.ChangedSetting](filepath.Join(dir, "ingress.json"), state.Options{}), d.log)
	check(err)
	s.syncs, err = kernel.OpenSyncDaemons(d.reader, state.New[kernel.OwnedSync](filepath.Join(dir, "ipvs-sync.json"), flat), log)
	check(err)
	s.sysctls, err = kernel.OpenSysctls(state.New[kernel.FormerSysctls](filepath.Join(dir, "sysctls.json"), flat), log)
	check(err)
	return s, errors.Join(errs...)
}

// store writes the value of a file.
func (s *savedState) store(f core.FileValue) error {
	switch value := f.Value.(type) {
	case map[string]core.Order:
		return s.orders.Store(value)
	case []string:
		return s.standby.Store(value)
	case core.Drains:
		return s.drains.Store(value)
	}
	return fmt.Errorf("%s has no place for a %T", f.File, f.Value)
}

// lockState makes the state directory this director's alone until unlock.
func lockState(dir string) (unlock func(), err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("failed to make the state directory: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("failed to lock the state directory: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("another tandem uses the state directory %s: stop it, or give this one a [state] dir of its own", dir)
		}
		return nil, fmt.Errorf("failed to lock the state directory: %w", err)
	}
	return func() { _ = f.Close() }, nil
}

// leaveTimeout bounds what is done to the IPVS table at a stop.
const leaveTimeout = 30 * time.Second

// leave does with the kernel what the configuration wants done at a clean stop. Nobody uses the state any more.
func (d *Director) leave(state *core.State, saved *savedState) error {
	cfg := state.Config()
	if cfg == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), leaveTimeout)
	defer cancel()
	var errs []error
	over, cancelNow := context.WithCancel(ctx)
	cancelNow()
	bounded := func(timeout time.Duration, what string, do func() error) {
		errs = append(errs, workers.Bounded(over, timeout, d.log, what, func(context.Context) error { return do() }))
	}
	if cfg.LVS.OnStop == configs.OnStopRemove {
		bounded(leaveTimeout, "the removal of the IPVS table", func() error { _, err := d.table.Remove(ctx); return err })
		bounded(workers.EndTimeout, "the end of connection sync", func() error { return saved.syncs.Stop(ctx) })
	} else if probes := state.ProbeServices(); len(probes) > 0 {
		bounded(leaveTimeout, "the removal of the services for checks", func() error {
			_, err := d.table.Apply(ctx, lvs.Delta{Remove: probes})
			return err
		})
	}
	bounded(workers.EndTimeout, "the settings of interfaces", saved.settings.Restore)
	if cfg.LVS.SysctlRestore {
		bounded(workers.EndTimeout, "the kernel's IPVS settings", saved.sysctls.Restore)
	}
	return errors.Join(errs...)
}
