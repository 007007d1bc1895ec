// SPDX-License-Identifier: Apache-2.0

// Package director is the process that reads the configuration, checks the real servers, keeps the IPVS table and
// supervises the election.
package director

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/hashicorp/go-hclog"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/election/message"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/state"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/supervise"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/healthcheck/runner"
	"github.com/tandem-lvs/tandem/lvs"
	"github.com/tandem-lvs/tandem/lvs/kernel"
	"github.com/tandem-lvs/tandem/vrrp"
)

// Options are what a director is made of.
type Options struct {
	Config  *configs.Config
	Version string
	Log     hclog.Logger
	// Spawn starts an election process.
	Spawn func() (supervise.Child, error)
}

// A Director is one running configuration.
type Director struct {
	log     hclog.Logger
	version string

	elections *supervise.Supervisor
	checks    *runner.Runner
	kernel    *kernel.IPVS
	ownership *kernel.Ownership
	table     *kernel.Table
	syncs     *kernel.SyncDaemons
	sysctls   *kernel.SysctlKeeper
	ingress   *ingress        // keepTable's own
	set       *configs.Config // the one whose sysctls were last applied; keepTable's own
	metrics   *metricsServer
	wake      chan struct{} // the table may have to change
	retrack   chan struct{} // what is tracked may have changed
	filled    chan struct{} // closed when the table has been brought in line once

	reloading  sync.Mutex               // held through a reload, and from the beginning until Run has started
	commanding sync.Mutex               // held through a failover or a release
	ordering   sync.Mutex               // held while an order is made and sent
	tracked    map[string]vrrp.Tracking // as last sent; guarded by ordering

	mu          sync.Mutex
	config      *configs.Config
	loadedAt    time.Time
	inherited   map[member]int
	told        map[string]healthcheck.Health // of servers with several checks, by target
	idle        map[string]bool               // of the services that only a master checks, those that are not checked now
	files       map[string]fileNumber         // the tracked ones, by path
	want        []lvs.Entry                   // as last planned
	pools       map[string]lvs.PoolOutput     // likewise, by service
	next        time.Time                     // when the plan next changes by itself
	memory      memory                        // of the last plan
	detours     detouring
	leavers     map[lvs.ServiceID][]leaver
	farewells   *state.File[farewells]        // the same, for the next process
	orders      *state.File[map[string]order] // of operators about real servers, by target
	asked       uint64                        // commands that want the table to be brought in line
	answered    uint64                        // those of them that have it
	passed      chan struct{}                 // closed and made anew when the table has been brought in line
	syncing     []lvs.SyncDaemon              // as last seen
	syncProblem string
	report      message.Report
	reported    chan struct{}         // closed and made anew at each report
	standby     *state.File[[]string] // the routers that stand back on command
	reloads     reloadCounts
}

type reloadCounts struct{ done, refused uint64 }

// New returns a director that does nothing yet.
func New(o Options) *Director {
	d := &Director{
		log:      o.Log,
		version:  o.Version,
		config:   o.Config,
		loadedAt: time.Now(),
		kernel:   kernel.New(o.Log.Named("lvs")),
		wake:     make(chan struct{}, 1),
		retrack:  make(chan struct{}, 1),
		filled:   make(chan struct{}),
		reported: make(chan struct{}),
		passed:   make(chan struct{}),
	}
	d.reloading.Lock() // until Run has begun, there is nothing to reload
	d.elections = supervise.New(o.Log, o.Spawn, d.seeReport)
	d.checks = runner.New(runner.Options{Log: o.Log.Named("check"), Notify: d.seeVerdict})
	d.metrics = newMetricsServer(o.Log, d)
	return d
}

// Run directs until ctx ends, then leaves cleanly: the election hands over, the addresses are let go, and IPVS stays
// or goes as the configuration says.
func (d *Director) Run(ctx context.Context) error {
	cfg := d.config
	started := sync.OnceFunc(d.reloading.Unlock)
	defer started()
	if err := checkPrivileges(cfg); err != nil {
		return err
	}
	if needsIPVS(cfg) {
		if err := kernel.Probe(); err != nil {
			return err
		}
	}
	unlock, err := lockState(cfg.State.Dir)
	if err != nil {
		return err
	}
	defer unlock()
	if err := d.openState(cfg.State.Dir); err != nil {
		return err
	}
	d.table = kernel.NewTable(d.kernel, d.ownership, d.log.Named("lvs"))
	defer d.kernel.Close()
	socket, err := control.Listen(cfg.Control.Socket)
	if err != nil {
		return err
	}

	// Leaving takes time, in which the table is kept and questions are answered: the work ends after ctx.
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	g, work := errgroup.WithContext(work)
	d.apply()
	started()
	g.Go(func() error { return control.Serve(work, socket, d) })
	g.Go(func() error { return d.metrics.run(work) })
	g.Go(func() error { return d.checks.Run(work) })
	g.Go(func() error { return d.keepTable(work) })
	g.Go(func() error { return d.keepTracking(work) })
	g.Go(func() error {
		defer stop()
		return d.elect(ctx, work)
	})
	d.log.Info("started", "name", cfg.Name, "version", d.version, "config", cfg.File,
		"routers", len(cfg.Routers), "services", len(cfg.Services))
	return errors.Join(g.Wait(), d.leaveTable())
}

// elect runs the election until ctx ends or something else failed. The table is filled before the first address
// is claimed, so that a new master has somewhere to send its clients.
func (d *Director) elect(ctx, work context.Context) error {
	select {
	case <-d.filled:
	case <-work.Done():
		return nil
	}
	d.notify(daemon.SdNotifyReady)
	both, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(work, cancel)()
	err := d.elections.Run(both)
	d.notify(daemon.SdNotifyStopping)
	d.log.Info("left", "reason", context.Cause(both))
	return err
}

// apply hands the present configuration to the parts.
func (d *Director) apply() {
	d.mu.Lock()
	cfg := d.config
	d.mu.Unlock()
	d.log.SetLevel(hclog.LevelFromString(cfg.Log.Level))
	d.setChecks()
	d.ordering.Lock()
	d.readTrackFiles()
	d.sendOrder(d.tracking())
	d.ordering.Unlock()
	d.metrics.listen(cfg.Metrics.Listen)
	d.nudge()
}

// sendOrder tells the election what should be. The caller holds d.ordering.
func (d *Director) sendOrder(tracked map[string]vrrp.Tracking) {
	d.mu.Lock()
	cfg, standby := d.config, d.standby.Value
	d.mu.Unlock()
	order := message.Order{LogLevel: cfg.Log.Level, OrphanGrace: cfg.Election.OrphanGrace}
	for _, r := range cfg.Routers {
		order.Routers = append(order.Routers, message.Router{
			Config: r.Config, Announce: r.Announce,
			Tracking: tracked[r.Name], Standby: slices.Contains(standby, r.Name),
		})
	}
	d.elections.Configure(order)
	d.tracked = tracked
}

// Reload reads the configuration file again. Where it is wrong, or asks for what a running director cannot change,
// nothing has changed and the error says why.
func (d *Director) Reload() error {
	d.reloading.Lock()
	defer d.reloading.Unlock()
	d.mu.Lock()
	old := d.config
	d.mu.Unlock()
	cfg, err := d.readAgain(old)
	d.mu.Lock()
	if err != nil {
		d.reloads.refused++
		d.mu.Unlock()
		return err
	}
	d.reloads.done++
	d.config, d.loadedAt = cfg, time.Now()
	d.inherited = inherit(cfg.Services, d.view(), d.want)
	d.leavers = leave(cfg.Services, d.want, d.leavers, graces(old.Services), time.Now())
	d.rememberLeavers()
	d.forgetOrders(cfg.Services)
	d.mu.Unlock()
	d.apply()
	for _, w := range cfg.Warnings {
		d.log.Warn("configuration", "warning", w.Error())
	}
	d.log.Info("configuration reloaded", "config", cfg.File, "sha256", cfg.SHA256)
	return nil
}

// readAgain loads the file of the configuration old and refuses what cannot replace it.
func (d *Director) readAgain(old *configs.Config) (*configs.Config, error) {
	cfg, err := configs.Load(old.File)
	if err != nil {
		return nil, err
	}
	var fixed []error
	for _, f := range []struct{ key, was, is string }{
		{"control.socket", old.Control.Socket, cfg.Control.Socket},
		{"state.dir", old.State.Dir, cfg.State.Dir},
		{"log.format", old.Log.Format, cfg.Log.Format},
		{"election.realtime", fmt.Sprint(old.Election.Realtime), fmt.Sprint(cfg.Election.Realtime)},
	} {
		if f.was != f.is {
			fixed = append(fixed, fmt.Errorf("%s: %s cannot change from %q to %q while running: restart tandem for that",
				cfg.File, f.key, f.was, f.is))
		}
	}
	if len(fixed) > 0 {
		return nil, errors.Join(fixed...)
	}
	if err := checkPrivileges(cfg); err != nil {
		return nil, err
	}
	if needsIPVS(cfg) {
		if err := kernel.Probe(); err != nil {
			return nil, err
		}
	}
	return cfg, nil
}

func (d *Director) seeReport(r message.Report) {
	d.mu.Lock()
	d.report = r
	close(d.reported)
	d.reported = make(chan struct{})
	d.mu.Unlock()
	d.followRoles()
}

func (d *Director) seeVerdict(healthcheck.Verdict) { d.nudge() }

// nudge has the table and the tracking looked at again.
func (d *Director) nudge() {
	for _, wake := range []chan struct{}{d.wake, d.retrack} {
		select {
		case wake <- struct{}{}:
		default:
		}
	}
}

// notify tells systemd, where there is one.
func (d *Director) notify(state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		d.log.Warn("tell systemd", "state", state, "error", err)
	}
}

// openState reads what earlier runs left in the state directory. Damage there is a warning, not a reason to stand still.
func (d *Director) openState(dir string) error {
	own, err := kernel.OpenOwnership(state.New[kernel.Owned](filepath.Join(dir, "ipvs-owned.json"), state.Options{Flat: true}))
	if errors.Is(err, state.ErrDamaged) {
		d.log.Warn("open the state directory", "error", err)
	} else if err != nil {
		return fmt.Errorf("open the state directory: %w", err)
	}
	d.ownership = own
	if d.standby, err = openFile[[]string](d, filepath.Join(dir, "standby.json")); err != nil {
		return err
	}
	if d.orders, err = openFile[map[string]order](d, filepath.Join(dir, "orders.json")); err != nil {
		return err
	}
	if d.farewells, err = openFile[farewells](d, filepath.Join(dir, "leaving.json")); err != nil {
		return err
	}
	settings, err := openFile[map[string]changedSetting](d, filepath.Join(dir, "ingress.json"))
	if err != nil {
		return err
	}
	d.ingress = &ingress{root: "/proc/sys", file: settings, log: d.log}
	d.mu.Lock()
	d.forgetOrders(d.config.Services)
	d.mu.Unlock()
	d.syncs, err = kernel.OpenSyncDaemons(d.kernel, state.New[kernel.OwnedSync](filepath.Join(dir, "ipvs-sync.json"), state.Options{Flat: true}), d.log.Named("lvs"))
	if errors.Is(err, state.ErrDamaged) {
		d.log.Warn("open the state directory", "error", err)
	} else if err != nil {
		return fmt.Errorf("open the state directory: %w", err)
	}
	d.sysctls, err = kernel.OpenSysctls(state.New[kernel.FormerSysctls](filepath.Join(dir, "sysctls.json"), state.Options{Flat: true}), d.log.Named("lvs"))
	if errors.Is(err, state.ErrDamaged) {
		d.log.Warn("open the state directory", "error", err)
	} else if err != nil {
		return fmt.Errorf("open the state directory: %w", err)
	}
	return nil
}

// openFile opens a file of the state directory; that it is damaged is logged.
func openFile[T any](d *Director, path string) (*state.File[T], error) {
	f, err := state.Open[T](path)
	if errors.Is(err, state.ErrDamaged) {
		d.log.Warn("open the state directory", "error", err)
	} else if err != nil {
		return nil, fmt.Errorf("open the state directory: %w", err)
	}
	return f, nil
}

// needsIPVS tells whether a configuration asks for anything that is the kernel's IPVS's.
func needsIPVS(cfg *configs.Config) bool {
	return len(cfg.Services) > 0 || cfg.LVS.Sync != (lvs.Sync{}) || len(cfg.LVS.Sysctl) > 0 || cfg.LVS.Manage == configs.ManageAll
}

// lockState makes the state directory this director's alone until unlock.
func lockState(dir string) (unlock func(), err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make the state directory: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("lock the state directory: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("another tandem uses the state directory %s: stop it, or give this one a [state] dir of its own", dir)
		}
		return nil, fmt.Errorf("lock the state directory: %w", err)
	}
	return func() { _ = f.Close() }, nil
}
