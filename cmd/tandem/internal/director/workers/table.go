// SPDX-License-Identifier: Apache-2.0

package workers

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/core"
	"github.com/tandem-lvs/tandem/lvs"
)

const (
	// retryPause is the pause before what failed is tried again.
	retryPause = time.Second
	// preparedTimeout bounds how long the first filling of the table waits for the kernel's settings.
	preparedTimeout = 2 * time.Second
)

// A KernelTable is the kernel's IPVS table and the wanted one.
type KernelTable interface {
	// Read returns what the kernel has.
	Read(context.Context) ([]lvs.Entry, error)
	// Owned are the services that are ours.
	Owned() map[lvs.ServiceID]bool
	// Reconcile reads everything and makes it as want says.
	Reconcile(ctx context.Context, want []lvs.Entry, all bool) error
	// Apply writes what differs from what the kernel is known to have.
	Apply(ctx context.Context, set []lvs.Entry, remove []lvs.ServiceID) error
	// Look takes a slice of a look for changes by others; NextLook is the pause until the next.
	Look(context.Context) (drifted bool, err error)
	NextLook() time.Duration
}

// A Table keeps the kernel's IPVS table.
type Table struct {
	Kernel   KernelTable
	Log      hclog.Logger
	Post     Post
	In       Mailbox[core.Table]
	Prepared <-chan struct{} // closed when the kernel's settings are as they should be

	want   map[lvs.ServiceID]lvs.Entry
	all    bool
	newest uint64 // generation
	failed bool
	logged string // the last error that was logged
}

// MergeTables makes one change of the table of two.
func MergeTables(waiting, next core.Table) core.Table {
	if next.Full {
		return next
	}
	set := make(map[lvs.ServiceID]int, len(waiting.Set))
	merged := core.Table{Generation: next.Generation, Full: waiting.Full, All: next.All, Set: slices.Clone(waiting.Set)}
	for i, e := range merged.Set {
		set[e.ServiceID] = i
	}
	gone := make(map[lvs.ServiceID]bool)
	for _, id := range waiting.Remove {
		gone[id] = true
	}
	for _, e := range next.Set {
		delete(gone, e.ServiceID)
		if i, ok := set[e.ServiceID]; ok {
			merged.Set[i] = e
			continue
		}
		set[e.ServiceID] = len(merged.Set)
		merged.Set = append(merged.Set, e)
	}
	for _, id := range next.Remove {
		gone[id] = true
	}
	merged.Set = slices.DeleteFunc(merged.Set, func(e lvs.Entry) bool { return gone[e.ServiceID] })
	if !merged.Full {
		merged.Remove = slices.SortedFunc(maps.Keys(gone), lvs.ServiceID.Compare)
	}
	return merged
}

// Run keeps the table until ctx ends. read says whether what the kernel has matters at the start.
func (w *Table) Run(ctx context.Context, read bool) error {
	w.want = make(map[lvs.ServiceID]lvs.Entry)
	w.read(ctx, read)
	select {
	case <-w.Prepared:
	case <-time.After(preparedTimeout):
		w.Log.Warn("the kernel's settings are not prepared yet: filling the IPVS table without them")
	case <-ctx.Done():
		return nil
	}
	look := time.NewTimer(time.Hour)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case t := <-w.In:
			w.write(ctx, t)
		case <-look.C:
			w.look(ctx)
		}
		pause := w.Kernel.NextLook()
		if w.failed {
			pause = min(pause, retryPause)
		}
		look.Reset(pause)
	}
}

// read tells what the kernel has at the start.
func (w *Table) read(ctx context.Context, wanted bool) {
	found := core.TableRead{Owned: w.Kernel.Owned()}
	if wanted {
		var err error
		if found.Entries, err = w.Kernel.Read(ctx); err != nil && ctx.Err() == nil {
			w.Log.Error("failed to read the IPVS table", "error", err)
		}
	}
	w.Post(found)
}

// write brings a change into the kernel's table.
func (w *Table) write(ctx context.Context, t core.Table) {
	w.newest, w.all = t.Generation, t.All
	if t.Full {
		clear(w.want)
	}
	for _, id := range t.Remove {
		delete(w.want, id)
	}
	for _, e := range t.Set {
		w.want[e.ServiceID] = e
	}
	if t.Full {
		w.done(ctx, w.reconcile(ctx, t.Set))
		return
	}
	w.done(ctx, w.Kernel.Apply(ctx, t.Set, t.Remove))
}

// reconcile does nothing for a director that neither has services nor left any in the kernel: that one must run on a
// kernel without IPVS.
func (w *Table) reconcile(ctx context.Context, want []lvs.Entry) error {
	if len(want) == 0 && !w.all && len(w.Kernel.Owned()) == 0 {
		return nil
	}
	return w.Kernel.Reconcile(ctx, want, w.all)
}

// look repairs what somebody else has changed, and tries again what failed.
func (w *Table) look(ctx context.Context) {
	if !w.failed {
		drifted, err := w.Kernel.Look(ctx)
		if !drifted && err == nil {
			return
		}
		// An error comes again, and is logged, when the table is read as a whole.
	}
	want := slices.SortedFunc(maps.Values(w.want), func(a, b lvs.Entry) int { return a.ServiceID.Compare(b.ServiceID) })
	w.done(ctx, w.reconcile(ctx, want))
}

// done tells how the table stands.
func (w *Table) done(ctx context.Context, err error) {
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		return
	}
	w.failed = err != nil
	result := core.TableDone{Generation: w.newest}
	if err != nil {
		result.Problem = err.Error()
	}
	if result.Problem != w.logged && err != nil {
		w.Log.Error("failed to bring the IPVS table in line", "error", err)
	}
	w.logged = result.Problem
	w.Post(result)
}
