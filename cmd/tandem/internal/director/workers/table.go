// SPDX-License-Identifier: Apache-2.0

package workers

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/core"
	"github.com/tandem-lvs/tandem/lvs"
	"github.com/tandem-lvs/tandem/lvs/kernel"
)

const (
	// retryPause is the pause before a failed write is tried again. If the kernel refuses again and again, the pause grows up
	// to maxRetryPause: looking for a module takes a tenth of a second.
	retryPause    = time.Second
	maxRetryPause = 30 * time.Second
	// rememberPause is the pause before the list of our own services is stored again, if that failed.
	rememberPause = 5 * time.Second
	// beatEarly is how much earlier than planned a look may happen, if there is a beat. beatLate is how long a look waits for
	// a beat: beats are as frequent as most looks.
	beatEarly = 200 * time.Millisecond
	beatLate  = 30 * time.Millisecond
	// preparedTimeout bounds how long the first filling of the table waits for the kernel's settings.
	preparedTimeout = 2 * time.Second
)

// A KernelTable is the kernel's IPVS table and the wanted one.
type KernelTable interface {
	// Read returns the kernel's table.
	Read(context.Context) ([]lvs.Entry, error)
	// Owned returns the services that tandem added.
	Owned() map[lvs.ServiceID]bool
	// Remember stores the list of our own services, if it is not stored yet.
	Remember() error
	ManageAll(bool)
	// Reconcile reads the whole table and makes it equal to want.
	Reconcile(ctx context.Context, want []lvs.Entry) (kernel.Report, error)
	// Apply writes the difference to the known state of the kernel. With an empty delta it tries failed writes again.
	Apply(context.Context, lvs.Delta) (kernel.Report, error)
	// Look reads the next slice of the table and looks for changes by others. NextLook is the pause until the next slice.
	Look(context.Context) (drifted bool, err error)
	NextLook() time.Duration
}

// A Table maintains the kernel's IPVS table.
type Table struct {
	Kernel   KernelTable
	Log      hclog.Logger
	Post     Post
	In       Mailbox[core.Table]
	Prepared <-chan struct{} // closed when the kernel's settings are as they should be
	// Beats gets a message whenever this process is awake anyway, about once a second. A look that is almost due happens
	// then: a wake-up of its own would cost more than the look.
	Beats <-chan struct{}

	want   map[lvs.ServiceID]lvs.Entry
	all    bool
	newest uint64 // generation
	failed bool
	// retry is when failed writes are tried again, and pause is the pause after that. refused says that the kernel refuses
	// single services, and that all others are as they should be.
	retry   time.Time
	pause   time.Duration
	refused bool
	// forgotten is why the list of our own services is not stored. It is stored again at that time.
	forgotten string
	remember  time.Time
	logged    string // the last error that was logged
}

// Run maintains the table until ctx ends. read says whether the kernel's table is needed at the start.
func (w *Table) Run(ctx context.Context, read bool) error {
	w.want = make(map[lvs.ServiceID]lvs.Entry)
	if !w.read(ctx, read) {
		return nil
	}
	select {
	case <-w.Prepared:
	case <-time.After(preparedTimeout):
		w.Log.Warn("the kernel's settings are not prepared yet: filling the IPVS table without them")
	case <-ctx.Done():
		return nil
	}
	look := time.NewTimer(time.Hour)
	defer look.Stop()
	early := time.Now().Add(time.Hour) // from then on, a beat is a reason to look
	for {
		select {
		case <-ctx.Done():
			return nil
		case t := <-w.In:
			w.write(ctx, t)
		case <-w.Beats:
			if time.Now().Before(early) {
				continue
			}
			w.tryRemember(ctx)
			w.look(ctx)
		case <-look.C:
			w.tryRemember(ctx)
			w.look(ctx)
		}
		pause, late := w.Kernel.NextLook(), time.Duration(0)
		switch {
		case w.failed:
			pause = max(0, min(pause, time.Until(w.retry)))
		case w.forgotten != "":
			pause = min(pause, rememberPause)
		case w.Beats != nil:
			late = beatLate
		}
		early = time.Now().Add(pause - beatEarly)
		look.Reset(pause + late)
	}
}

// read posts the kernel's table at the start. It tries until it succeeds: if a director took the table for empty, it would
// set all weights to 0. The result is false if ctx has ended.
func (w *Table) read(ctx context.Context, wanted bool) bool {
	found := core.TableRead{Owned: w.Kernel.Owned()}
	for wanted {
		var err error
		if found.Entries, err = w.Kernel.Read(ctx); err == nil {
			break
		}
		w.done(ctx, kernel.Report{}, err)
		select {
		case <-ctx.Done():
			return false
		case <-time.After(retryPause):
		}
	}
	w.Post(found)
	return true
}

// write writes a change to the kernel's table.
func (w *Table) write(ctx context.Context, t core.Table) {
	w.newest, w.all = t.Generation, t.All
	if t.Full {
		w.pause = retryPause
		clear(w.want)
	}
	for _, id := range t.Remove {
		delete(w.want, id)
	}
	for _, e := range t.Set {
		w.want[e.ServiceID] = e
	}
	if t.Full {
		report, err := w.reconcile(ctx, t.Set)
		w.done(ctx, report, err)
		return
	}
	report, err := w.Kernel.Apply(ctx, lvs.Delta{Set: t.Set, Remove: t.Remove})
	w.done(ctx, report, err)
}

// reconcile does nothing if the director has no services and left none in the kernel: it must run on a kernel without IPVS.
func (w *Table) reconcile(ctx context.Context, want []lvs.Entry) (kernel.Report, error) {
	if len(want) == 0 && !w.all && len(w.Kernel.Owned()) == 0 {
		return kernel.Report{}, nil
	}
	w.Kernel.ManageAll(w.all)
	return w.Kernel.Reconcile(ctx, want)
}

// look finds and repairs changes that others have made in the table, and tries failed writes again.
func (w *Table) look(ctx context.Context) {
	if w.failed && !time.Now().Before(w.retry) {
		// This reads only the services that are in doubt. If the whole table is in doubt, it reads all of it.
		report, err := w.Kernel.Apply(ctx, lvs.Delta{})
		w.done(ctx, report, err)
		return
	}
	if w.failed && !w.refused {
		return
	}
	drifted, err := w.Kernel.Look(ctx)
	if !drifted && err == nil {
		return
	}
	// An error is not logged here: it returns when the whole table is read, and is logged then.
	want := slices.SortedFunc(maps.Values(w.want), func(a, b lvs.Entry) int { return a.ServiceID.Compare(b.ServiceID) })
	report, err := w.reconcile(ctx, want)
	w.done(ctx, report, err)
}

// done posts the state of the table after a write. The table counts as good even if the list of our own services could not be
// stored.
func (w *Table) done(ctx context.Context, report kernel.Report, err error) {
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		return
	}
	result := core.TableDone{Generation: w.newest, Refused: refusals(report), Repairs: report.Drift, Replaced: report.Replaced}
	for _, c := range report.Repairs {
		result.Repaired = append(result.Repaired, c.String())
	}
	if err != nil && onlyForgotten(err) {
		w.remember = time.Now().Add(rememberPause)
		result.NotRemembered = err.Error()
		err = nil
	}
	if len(report.Refused) > 0 {
		err = allRefused(report) // also the refusals of earlier changes
	}
	if err != nil {
		result.Problem = err.Error()
	}
	w.failed, w.forgotten, w.refused = result.Problem != "", result.NotRemembered, len(result.Refused) > 0
	switch {
	case !w.failed:
		w.pause = retryPause
	case time.Now().Before(w.retry) && w.refused: // another change was written meanwhile
	default:
		w.pause = max(w.pause, retryPause)
		w.retry = time.Now().Add(w.pause)
		if w.refused {
			w.pause = min(2*w.pause, maxRetryPause)
		}
	}
	if is := result.Problem + result.NotRemembered; is != w.logged {
		switch w.logged = is; {
		case result.Problem != "":
			w.Log.Error("failed to bring the IPVS table in line", "error", err)
		case result.NotRemembered != "":
			w.Log.Error("failed to remember which IPVS services are ours", "error", result.NotRemembered)
		}
	}
	w.Post(result)
}

// refusals returns the refusals of a report in the form of the core.
func refusals(report kernel.Report) map[lvs.ServiceID]core.Refusal {
	if len(report.Refused) == 0 {
		return nil
	}
	all := make(map[lvs.ServiceID]core.Refusal, len(report.Refused))
	for id, r := range report.Refused {
		all[id] = core.Refusal{Why: r.Why.Error(), Has: r.Has}
	}
	return all
}

// maxNamed is the maximum number of refused services that an error names.
const maxNamed = 5

// allRefused returns the error about the services that the kernel refuses.
func allRefused(report kernel.Report) error {
	var errs []error
	for _, id := range slices.SortedFunc(maps.Keys(report.Refused), lvs.ServiceID.Compare) {
		if len(errs) == maxNamed {
			errs = append(errs, fmt.Errorf("%d further services are refused", len(report.Refused)-maxNamed))
			break
		}
		errs = append(errs, report.Refused[id].Why)
	}
	return errors.Join(errs...)
}

// tryRemember stores the list of our own services, if that failed before and the pause is over.
func (w *Table) tryRemember(ctx context.Context) {
	if w.forgotten != "" && !w.failed && !time.Now().Before(w.remember) {
		w.done(ctx, kernel.Report{}, w.Kernel.Remember())
	}
}

// onlyForgotten reports whether an error is only about storing the list of our own services.
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
