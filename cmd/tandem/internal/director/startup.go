// SPDX-License-Identifier: Apache-2.0

package director

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/core"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/history"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/hooks"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/revision"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/workers"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/drill"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/lock"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/state"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/lvs"
	"github.com/tandem-lvs/tandem/lvs/kernel"
)

// checkMachine returns an error if this machine cannot run a configuration, because it lacks privileges or a kernel with IPVS.
func (d *Director) checkMachine(cfg *configs.Config) error {
	if err := checkPrivileges(cfg); err != nil {
		return err
	}
	if needsIPVS(cfg) {
		return kernel.Probe()
	}
	return nil
}

// needsIPVS tells whether a configuration needs the kernel's IPVS.
func needsIPVS(cfg *configs.Config) bool {
	return len(cfg.Services) > 0 || cfg.LVS.Sync != (lvs.Sync{}) || len(cfg.LVS.Sysctl) > 0 || cfg.LVS.Timeouts != (lvs.Timeouts{}) ||
		cfg.LVS.Manage == configs.ManageAll
}

// A savedState has the files of the state directory, and the parts of the director that store something in it.
type savedState struct {
	overrides *state.File[map[string]core.Override]
	standby   *state.File[[]string]
	drains    *state.File[core.Drains]
	hooks     *state.File[hooks.Records]
	revisions *state.File[revision.State]
	dir       string
	table     kernelTable
	syncs     *kernel.SyncDaemons
	sysctls   *kernel.SysctlKeeper
	timeouts  *kernel.TimeoutKeeper
	settings  *kernel.Settings
	history   *state.Journal
	drills    []api.Drill // the last one of each kind
	unread    []string    // errors of files that could not be read
}

// openState reads the state directory of earlier runs. A file that cannot be read is a problem, but the director starts
// without it.
func (d *Director) openState(dir string) *savedState {
	s := &savedState{dir: dir}
	unreadable := false
	check := func(err error) {
		switch {
		case err == nil:
			return
		case errors.Is(err, state.ErrDamaged):
			d.log.Warn("the state directory is damaged", "error", err)
		case unreadable: // one sentence is enough for all files
			d.log.Error("failed to read the state directory", "error", err)
			return
		default:
			d.log.Error("failed to read the state directory", "error", err)
			unreadable = true
		}
		s.unread = append(s.unread, err.Error())
	}
	s.history = state.NewJournal(filepath.Join(dir, history.File), history.MaxSize)
	var err error
	log := d.log.Named("lvs")
	flat := state.Options{Flat: true}
	own, err := kernel.OpenOwnership(state.New[kernel.Owned](filepath.Join(dir, "ipvs-owned.json"), flat))
	check(err)
	ipvs := kernel.New(log)
	s.table = kernelTable{Table: kernel.NewTable(ipvs, own, log), ipvs: ipvs, own: own, processors: newProcessors()}
	s.overrides, err = loaded[map[string]core.Override](filepath.Join(dir, core.OverridesFile.String()))
	check(err)
	s.standby, err = loaded[[]string](filepath.Join(dir, core.StandbyFile.String()))
	check(err)
	s.drains, err = loaded[core.Drains](filepath.Join(dir, core.DrainsFile.String()))
	check(err)
	s.hooks, err = loaded[hooks.Records](filepath.Join(dir, core.HooksFile.String()))
	check(err)
	s.revisions, err = loaded[revision.State](filepath.Join(dir, core.RevisionsFile.String()))
	check(err)
	drills, err := loaded[[]drill.Report](filepath.Join(dir, drill.ReportsFile))
	check(err)
	s.drills = drill.Latest(drills.Value)
	s.settings, err = kernel.OpenSettings(state.New[map[string]lvs.ChangedSetting](filepath.Join(dir, "ingress.json"), state.Options{}), d.log)
	check(err)
	s.syncs, err = kernel.OpenSyncDaemons(d.reader, state.New[kernel.OwnedSync](filepath.Join(dir, "ipvs-sync.json"), flat), log)
	check(err)
	former := state.New[map[string]lvs.ChangedSetting](filepath.Join(dir, "timeouts.json"), state.Options{})
	s.timeouts, err = kernel.OpenTimeouts(d.reader, former, log)
	check(err)
	s.sysctls, err = kernel.OpenSysctls(state.New[kernel.FormerSysctls](filepath.Join(dir, "sysctls.json"), flat), log)
	check(err)
	return s
}

// loaded returns a file. If it cannot be read, its value is the zero value.
func loaded[T any](path string) (*state.File[T], error) {
	f := state.New[T](path, state.Options{})
	_, err := f.Load()
	return f, err
}

// store writes the value of a file.
func (s *savedState) store(f core.FileValue) error {
	switch value := f.Value.(type) {
	case map[string]core.Override:
		return s.overrides.Store(value)
	case []string:
		return s.standby.Store(value)
	case core.Drains:
		return s.drains.Store(value)
	case hooks.Records:
		return s.hooks.Store(value)
	case revision.Kept:
		return s.storeRevisions(value)
	}
	return fmt.Errorf("%s has no place for a %T", f.File, f.Value)
}

// directorLock is the name of a director's lock.
const directorLock = "director.lock"

// lockInstance reserves the control socket and the state directory for this director until unlock. If the disk of the state
// directory is full or read-only, the state directory is not locked, and unusable says why.
func lockInstance(cfg *configs.Config) (unlock func(), unusable string, err error) {
	dir := lock.Dir(cfg.Control.Socket)
	if err := lock.MakeDir(dir); err != nil {
		return nil, "", err
	}
	own, err := lockFile(dir)
	if errors.Is(err, lock.ErrHeld) {
		return nil, "", fmt.Errorf("another tandem uses the control socket %s: stop it, or give this one a [control] socket of its own", cfg.Control.Socket)
	}
	if err != nil {
		return nil, "", err
	}
	shared, err := lockStateDir(cfg.State.Dir)
	if errors.Is(err, lock.ErrHeld) {
		_ = own.Close()
		return nil, "", fmt.Errorf("another tandem uses the state directory %s: stop it, or give this one a [state] dir of its own", cfg.State.Dir)
	}
	if err != nil {
		unusable = err.Error()
	}
	return func() { _ = errors.Join(shared.Close(), own.Close()) }, unusable, nil
}

// lockStateDir makes and locks the state directory. If this fails, the file is nil.
func lockStateDir(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	return lockFile(dir)
}

// lockFile locks a directory until the file is closed.
func lockFile(dir string) (*os.File, error) {
	for {
		f, err := lock.Open(filepath.Join(dir, directorLock))
		if err != nil {
			return nil, fmt.Errorf("failed to open a lock: %w", err)
		}
		err = lock.Take(f)
		if err == nil {
			return f, nil
		}
		_ = f.Close()
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
}

// leaveTimeout is the maximum time for changes to the IPVS table at a stop.
const leaveTimeout = 30 * time.Second

// leave cleans up the kernel at a clean stop, as the configuration says. Nobody else uses the state any more.
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
	bounded(workers.EndTimeout, "the timeouts of connections", func() error { return saved.timeouts.Apply(ctx, lvs.Timeouts{}) })
	bounded(workers.EndTimeout, "the kernel's IPVS settings", func() error {
		keep := cfg.LVS.Sysctl // settings that only services need are restored
		if cfg.LVS.SysctlRestore {
			keep = nil
		}
		_, err := saved.sysctls.Apply(keep)
		return err
	})
	return errors.Join(errs...)
}
