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
	"github.com/tandem-lvs/tandem/lvs/kernel"
)

const (
	// retryPause is the pause before what failed is tried again.
	retryPause = time.Second
	// rememberPause is the pause before the disk is asked again to remember what is ours.
	rememberPause = 5 * time.Second
	// preparedTimeout bounds how long the first filling of the table waits for the kernel's settings.
	preparedTimeout = 2 * time.Second
)

// A KernelTable is the kernel's IPVS table and the wanted one.
type KernelTable interface {
	// Read returns what the kernel has.
	Read(context.Context) ([]lvs.Entry, error)
	// Owned are the services that are ours.
	Owned() map[lvs.ServiceID]bool
	// Remember stores what is ours, if that is not stored yet.
	Remember() error
	ManageAll(bool)
	// Reconcile reads everything and makes it as want says.
	Reconcile(ctx context.Context, want []lvs.Entry) (kernel.Report, error)
	// Apply writes what differs from what the kernel is known to have.
	Apply(context.Context, lvs.Delta) (kernel.Report, error)
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
	// What is ours is not remembered, why, and when that is tried again.
	forgotten string
	remember  time.Time
	logged    string // the last error that was logged
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
			w.tryRemember(ctx)
			w.look(ctx)
		}
		pause := w.Kernel.NextLook()
		if w.failed {
			pause = min(pause, retryPause)
		} else if w.forgotten != "" {
			pause = min(pause, rememberPause)
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
	_, err := w.Kernel.Apply(ctx, lvs.Delta{Set: t.Set, Remove: t.Remove})
	w.done(ctx, err)
}

// reconcile does nothing for a director that neither has services nor left any in the kernel: that one must run on a
// kernel without IPVS.
func (w *Table) reconcile(ctx context.Context, want []lvs.Entry) error {
	if len(want) == 0 && !w.all && len(w.Kernel.Owned()) == 0 {
		return nil
	}
	w.Kernel.ManageAll(w.all)
	_, err := w.Kernel.Reconcile(ctx, want)
	return err
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

// done tells how the table stands. That the disk does not remember what is ours keeps nobody from serving.
func (w *Table) done(ctx context.Context, err error) {
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		return
	}
	result := core.TableDone{Generation: w.newest}
	if err != nil && onlyForgotten(err) {
		w.remember = time.Now().Add(rememberPause)
		result.NotRemembered = err.Error()
	} else if err != nil {
		result.Problem = err.Error()
	}
	w.failed, w.forgotten = result.Problem != "", result.NotRemembered
	if is := result.Problem + result.NotRemembered; is != w.logged {
		switch w.logged = is; {
		case result.Problem != "":
			w.Log.Error("failed to bring the IPVS table in line", "error", err)
		case result.NotRemembered != "":
			w.Log.Error("failed to remember which IPVS services are ours", "error", err)
		}
	}
	w.Post(result)
}

// tryRemember stores what is ours, if that failed a while ago.
func (w *Table) tryRemember(ctx context.Context) {
	if w.forgotten != "" && !w.failed && !time.Now().Before(w.remember) {
		w.done(ctx, w.Kernel.Remember())
	}
}

// onlyForgotten tells an error of the disk's memory alone from one of the kernel.
func onlyForgotten(err error) bool {
	switch e := err.(type) {
	case interface{ Unwrap() []error }:
		all := e.Unwrap()
		return slices.Contains(all, error(kernel.ErrNotRemembered)) || !slices.ContainsFunc(all, func(err error) bool { return !onlyForgotten(err) })
	case interface{ Unwrap() error }:
		return onlyForgotten(e.Unwrap())
	}
	return err == kernel.ErrNotRemembered
}
