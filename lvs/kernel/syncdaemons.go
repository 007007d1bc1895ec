// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/lvs"
)

// A syncBackend starts and stops sync daemons. In production it is the kernel.
type syncBackend interface {
	Daemons(context.Context) ([]lvs.SyncDaemon, error)
	StartDaemon(context.Context, lvs.Sync, lvs.Roles) error
	StopDaemon(context.Context, lvs.Roles) error
}

var _ syncBackend = (*IPVS)(nil)

// SyncDaemons maintain the kernel's connection sync. They are level-triggered, as a Table is. The methods may be called from
// any goroutine.
type SyncDaemons struct {
	kernel syncBackend
	log    hclog.Logger
	index  func(name string) int // of an interface, 0 if there is none

	mu    sync.Mutex
	bound map[lvs.Roles]int // by role: the index of the interface on which its daemon was started or found
	owned *syncOwned
}

// A SyncReport is the result of a pass.
type SyncReport struct {
	Running          []lvs.SyncDaemon // before the pass
	Started, Stopped lvs.Roles
}

// OpenSyncDaemons returns the SyncDaemons of the network namespace of the threads that call it. The store remembers which
// sync daemons tandem has started. An error is the store's. The SyncDaemons are usable then too: they start with the values that
// the store could read.
func OpenSyncDaemons(kernel syncBackend, store Store[OwnedSync], log hclog.Logger) (*SyncDaemons, error) {
	owned, err := openSyncOwned(store)
	return &SyncDaemons{kernel: kernel, log: log, index: interfaceIndex, bound: owned.bound(), owned: owned}, err
}

func interfaceIndex(name string) int {
	ifi, err := net.InterfaceByName(name)
	if err != nil {
		return 0
	}
	return ifi.Index
}

// Reconcile makes connection sync as want says, with as few stops and starts as possible. A daemon that runs as want says is
// ours from then on, also for a later process. If want has one role, the daemon of the other role is stopped. A zero want
// stops only our own daemons. If the interface of a daemon was deleted, the kernel still shows the daemon as running, but it
// sends nothing. When the interface is back, Reconcile starts the daemon again, even if no process of ours saw the deletion.
//
// The error is ErrInvalid, or wraps one of these: unix.ENODEV if the interface is missing, unix.ENETUNREACH if it is down or
// has no address, unix.EEXIST if another program was faster, unix.EINVAL if the table has servers of another address family
// than their service. Or it is an error of Read.
func (d *SyncDaemons) Reconcile(ctx context.Context, want lvs.Sync) (SyncReport, error) {
	if err := want.Validate(); err != nil {
		return SyncReport{}, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if want == (lvs.Sync{}) && len(d.owned.roles) == 0 {
		return SyncReport{}, d.owned.store()
	}
	have, err := d.kernel.Daemons(ctx)
	if err != nil && (want != (lvs.Sync{}) || !errors.Is(err, ErrAbsent)) { // without IPVS none of our daemons is left
		return SyncReport{}, err
	}
	index := d.index(want.Interface)
	stop, start := planSync(have, want, index, d.bound, d.owned.among(have))
	report := SyncReport{Running: have}
	var errs []error
	for _, role := range []lvs.Roles{lvs.SyncMaster, lvs.SyncBackup} {
		switch {
		case (stop|start)&role != 0:
		case want.Roles&role == 0:
			d.owned.remove(role) // it does not run, or it belongs to another program
		case index != 0:
			d.owned.add(role, want, index)
		}
		if stop&role != 0 {
			if err := d.stop(ctx, role); err != nil {
				errs = append(errs, err)
				continue
			}
			report.Stopped |= role
		}
		if start&role != 0 {
			if err := d.start(ctx, want, role, index); err != nil {
				errs = append(errs, err)
				continue
			}
			report.Started |= role
		}
	}
	if index == 0 && want != (lvs.Sync{}) {
		errs = append(errs, explainSync(want, want.Roles, unix.ENODEV))
	}
	return report, errors.Join(append(errs, d.owned.store())...)
}

// planSync returns the roles to stop, and those to start after that. It stores the interface of the daemons that stay in
// bound.
func planSync(have []lvs.SyncDaemon, want lvs.Sync, index int, bound map[lvs.Roles]int, ours lvs.Roles) (stop, start lvs.Roles) {
	running := make(map[lvs.Roles]lvs.SyncDaemon)
	for _, d := range have {
		running[d.Roles] = d
	}
	for _, role := range []lvs.Roles{lvs.SyncMaster, lvs.SyncBackup} {
		daemon, runs := running[role]
		switch {
		case want.Roles&role == 0:
			if runs && (want != lvs.Sync{} || ours&role != 0) {
				stop |= role
			}
		case index == 0: // the present daemon stays, because nothing can be started now
		case !runs:
			start |= role
		case !serves(daemon, want) || bound[role] != 0 && bound[role] != index:
			stop |= role
			start |= role
		default:
			bound[role] = index
		}
	}
	return stop, start
}

// serves reports whether the daemon has the settings of want.
func serves(d lvs.SyncDaemon, want lvs.Sync) bool {
	full := complete(want)
	full.Roles = d.Roles
	if full.MaxLen == 0 {
		full.MaxLen = d.MaxLen // the kernel's choice, from the interface's MTU
	}
	return !d.Foreign && d.Sync == full
}

func (d *SyncDaemons) start(ctx context.Context, want lvs.Sync, role lvs.Roles, index int) error {
	if err := d.kernel.StartDaemon(ctx, want, role); err != nil {
		return explainSync(want, role, err)
	}
	d.bound[role] = index
	d.owned.add(role, want, index)
	d.log.Info("started connection sync", "role", role, "interface", want.Interface, "id", want.ID)
	return nil
}

func (d *SyncDaemons) stop(ctx context.Context, role lvs.Roles) error {
	if err := d.kernel.StopDaemon(ctx, role); err != nil {
		return fmt.Errorf("failed to stop connection sync as %s: %w", role, err)
	}
	delete(d.bound, role)
	d.owned.remove(role)
	d.log.Info("stopped connection sync", "role", role)
	return nil
}

// Stop stops our own sync daemons.
func (d *SyncDaemons) Stop(ctx context.Context) error {
	_, err := d.Reconcile(ctx, lvs.Sync{})
	return err
}

// explainSync returns an error that says what the errno of a start means.
func explainSync(want lvs.Sync, role lvs.Roles, err error) error {
	why := ""
	switch {
	case errors.Is(err, unix.ENODEV):
		why = "there is no such interface yet: "
	case errors.Is(err, unix.ENETUNREACH):
		why = "the interface is down or has no address of the group's family: "
	case errors.Is(err, unix.EEXIST):
		why = "somebody else has just started it: "
	case errors.Is(err, unix.EINVAL):
		why = "the kernel refuses connection sync while a real server has another address family than its service: "
	}
	return fmt.Errorf("failed to run connection sync as %s on %s: %s%w", role, want.Interface, why, err)
}
