// SPDX-License-Identifier: Apache-2.0

package workers

import (
	"context"
	"reflect"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/core"
	"github.com/tandem-lvs/tandem/lvs"
	"github.com/tandem-lvs/tandem/lvs/kernel"
)

// syncInterval is the pause between two readings of the kernel's connection sync.
const syncInterval = 5 * time.Second

// A SyncKeeper is the kernel's connection sync.
type SyncKeeper interface {
	Reconcile(context.Context, lvs.Sync) (kernel.SyncReport, error)
}

// Sync maintains the kernel's connection sync.
type Sync struct {
	Kernel SyncKeeper
	Log    hclog.Logger
	Post   Post
	In     Mailbox[lvs.Sync]
	Filled <-chan struct{} // closed when the services are in the table: without its service, the kernel ignores a connection of sync
}

// Run maintains the connection sync until ctx ends. It logs each failure once.
func (w *Sync) Run(ctx context.Context) error {
	select {
	case <-w.Filled:
	case <-ctx.Done():
		return nil
	}
	var want lvs.Sync
	var last core.SyncState
	for {
		var tick <-chan time.Time
		if want != (lvs.Sync{}) || last.Problem != "" {
			tick = time.After(syncInterval)
		}
		select {
		case <-ctx.Done():
			return nil
		case want = <-w.In:
		case <-tick:
		}
		now := w.keep(ctx, want)
		if ctx.Err() != nil || reflect.DeepEqual(now, last) {
			continue
		}
		if now.Problem != "" && now.Problem != last.Problem {
			w.Log.Error("failed to keep connection sync", "error", now.Problem)
		}
		last = now
		w.Post(now)
	}
}

func (w *Sync) keep(ctx context.Context, want lvs.Sync) core.SyncState {
	report, err := w.Kernel.Reconcile(ctx, want)
	if report.Started|report.Stopped != 0 { // it ran as wanted before the pass
		report, err = w.Kernel.Reconcile(ctx, want)
	}
	now := core.SyncState{Running: report.Running}
	if err != nil {
		now.Problem = err.Error()
	}
	return now
}
