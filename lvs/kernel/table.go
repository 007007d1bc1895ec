// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/lvs"
)

// maxLogged is the maximum number of changes of one pass that are logged one by one.
const maxLogged = 20

// A backend is the table that a Table maintains. In production it is the kernel's.
type backend interface {
	Read(context.Context) ([]lvs.Entry, error)
	ReadServices(context.Context, []lvs.ServiceID) ([]lvs.Entry, error)
	Apply(context.Context, []lvs.Change) (done int, err error)
	sweep() sweep
}

var _ backend = (*IPVS)(nil)

// A Table maintains the kernel's table. It is the table's worker: only one goroutine at a time calls it.
//
// It stores the wanted table, and knows which services the kernel has as wanted. So Apply writes a change without reading
// anything, and costs the same with ten services and with ten thousand. Reconcile reads the whole table and repairs it. Look
// finds changes by other programs, a slice of the table at a time.
type Table struct {
	kernel backend
	own    *Ownership
	log    hclog.Logger
	now    func() time.Time

	all atomic.Bool // every service of the namespace is ours

	mu sync.Mutex // one pass or look at a time
	// The wanted table. If known is true, the kernel has the same, except for the services in unsure, whose state in the
	// kernel is not known. Services in unsure need not be wanted.
	want   map[lvs.ServiceID]*wantedService
	lines  int // of the wanted table as text
	known  bool
	unsure map[lvs.ServiceID]bool
	tried  map[lvs.Change]bool // changes that were tried, of services in unsure
	// The services in unsure that the kernel is known to refuse.
	refused map[lvs.ServiceID]Refusal

	looks looks

	reconciles, changes, repairs, failures atomic.Uint64
}

// A wantedService is a service of the wanted table, in canonical form, with its servers sorted.
type wantedService struct {
	lvs.Entry
	seen uint64 // the last round of looks that has seen it
}

// Counters count what a Table has done since it was made.
type Counters struct {
	Reconciles uint64 // passes that compared the whole table, with and without changes
	Changes    uint64 // changes that were made
	Repairs    uint64 // changes that undid those of other programs
	Errors     uint64 // passes and deltas that failed
}

// A Report is the result of a pass.
type Report struct {
	Changes []lvs.Change // that were needed
	Done    int          // how many of them were made
	Drift   int          // how many of them undo changes by other programs since the last good pass
	Repairs []lvs.Change // the first of those
	// Replaced are the changes that replace what another program has set up: see lvs.Replaced. Each is reported once, when the
	// service becomes ours.
	Replaced []lvs.Change
	// Refused are all services that the kernel does not have as wanted, also because of earlier changes. If there is no
	// error, or at least one service here, all other services are as wanted.
	Refused map[lvs.ServiceID]Refusal
}

// A Refusal says why the kernel does not have a service as wanted, and which servers the kernel has in it.
type Refusal struct {
	Why error
	Has []lvs.Server
}

// NewTable returns the Table of a kernel. The services in own are ours already.
func NewTable(kernel backend, own *Ownership, log hclog.Logger) *Table {
	return &Table{
		kernel: kernel, own: own, log: log, now: time.Now,
		want: make(map[lvs.ServiceID]*wantedService), unsure: make(map[lvs.ServiceID]bool),
		tried: make(map[lvs.Change]bool), refused: make(map[lvs.ServiceID]Refusal),
	}
}

// ManageAll reports whether every service of the namespace is ours. Then services of other programs are deleted, from the next
// pass on. Before the first call it is false.
func (t *Table) ManageAll(all bool) { t.all.Store(all) }

// Counters returns what was counted so far.
func (t *Table) Counters() Counters {
	return Counters{
		Reconciles: t.reconciles.Load(),
		Changes:    t.changes.Load(),
		Repairs:    t.repairs.Load(),
		Errors:     t.failures.Load(),
	}
}

// Reconcile makes want the wanted table, reads the kernel's whole table, and makes the changes that lead to want. Every
// wanted service becomes ours, even if it was there before. The error joins all failures; the next call tries again. If the
// only failure was to remember which services are ours, it wraps ErrNotRemembered.
func (t *Table) Reconcile(ctx context.Context, want []lvs.Entry) (Report, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var last []lvs.Entry
	settled := t.settled()
	if settled {
		last = t.entries()
	}
	t.want, t.lines = make(map[lvs.ServiceID]*wantedService, len(want)), 0
	for _, e := range want {
		t.set(e)
	}
	return t.pass(ctx, last, settled)
}

// An outcome is the result of a pass or delta.
type outcome struct {
	report    Report
	failed    error // of the kernel
	forgotten error // of the store
}

// finish counts a result.
func (t *Table) finish(o outcome) (Report, error) {
	t.changes.Add(uint64(o.report.Done))
	maps.DeleteFunc(t.tried, func(c lvs.Change, _ bool) bool { return !t.unsure[c.Service.ServiceID] })
	if o.failed != nil {
		t.failures.Add(1)
		for _, c := range o.report.Changes {
			if t.unsure[c.Service.ServiceID] {
				t.tried[c] = true
			}
		}
	}
	return o.report, errors.Join(o.forgotten, o.failed)
}

// settled reports whether the kernel has the whole wanted table, as far as we know.
func (t *Table) settled() bool { return t.known && len(t.unsure) == 0 }

// set puts a service into the wanted table. It keeps none of the caller's memory.
func (t *Table) set(e lvs.Entry) {
	e.Service = e.Service.Canonical()
	e.Servers = lvs.SortServers(slices.Clone(e.Servers))
	t.drop(e.ServiceID)
	t.want[e.ServiceID] = &wantedService{Entry: e}
	t.lines += 1 + len(e.Servers)
}

// drop removes a service from the wanted table.
func (t *Table) drop(id lvs.ServiceID) {
	if w := t.want[id]; w != nil {
		t.lines -= 1 + len(w.Servers)
		delete(t.want, id)
	}
}

// entries returns the wanted table as a list.
func (t *Table) entries() []lvs.Entry {
	entries := make([]lvs.Entry, 0, len(t.want))
	for _, w := range t.want {
		entries = append(entries, w.Entry)
	}
	return entries
}

// pass reads the whole table and makes it equal to the wanted one. If the kernel had last before, differences from last are
// drift.
func (t *Table) pass(ctx context.Context, last []lvs.Entry, settled bool) (Report, error) {
	t.reconciles.Add(1)
	o := t.reconcile(ctx, last, settled)
	if o.failed == nil {
		t.repairs.Add(uint64(o.report.Drift))
		t.looks.afterPass(len(o.report.Changes) == 0)
	} else {
		t.looks.restart()
	}
	return t.finish(o)
}

func (t *Table) reconcile(ctx context.Context, last []lvs.Entry, settled bool) (o outcome) {
	have, err := t.kernel.Read(ctx)
	if err != nil {
		t.known = false
		return outcome{failed: err}
	}
	want, owned := t.entries(), t.owned(have)
	o.report.Replaced = lvs.Replaced(have, want, t.own.Set())
	o.report.Changes = lvs.Diff(have, want, owned)
	drift := make(map[lvs.Change]bool)
	if settled {
		drift = driftAmong(o.report.Changes, lvs.Diff(have, last, owned))
	}
	o.report.Drift, o.report.Repairs = len(drift), firstOf(o.report.Changes, drift)
	t.logChanges(o.report.Changes, drift)

	ids := make([]lvs.ServiceID, len(want))
	for i, e := range want {
		ids[i] = e.ServiceID
		delete(owned, e.ServiceID)
	}
	// A state directory that cannot be written is no reason to stop serving.
	o.forgotten = t.own.Add(ids...)
	o.report.Done, o.failed = t.makeChanges(ctx, o.report.Changes, want, owned)
	t.known = true
	clear(t.unsure)
	t.doubt(o.report.Changes, o.failed)
	clear(t.refused)
	t.refuse(ctx, &o)
	// A deleted service is no longer ours at once: another program may add it again.
	maps.DeleteFunc(owned, func(id lvs.ServiceID, _ bool) bool { return t.unsure[id] || !allTried(o.failed) })
	o.forgotten = errors.Join(o.forgotten, t.own.Remove(slices.Collect(maps.Keys(owned))...))
	return o
}

// makeChanges makes the changes. If the kernel's answers were lost, the table shows which changes are still necessary.
func (t *Table) makeChanges(
	ctx context.Context, changes []lvs.Change, want []lvs.Entry, owned map[lvs.ServiceID]bool,
) (done int, _ error) {
	done, err := t.kernel.Apply(ctx, changes)
	if !errors.Is(err, unix.ENOBUFS) {
		return done, err
	}
	have, err := t.kernel.Read(ctx)
	if err != nil {
		return done, err
	}
	rest := lvs.Diff(have, want, owned)
	again, err := t.kernel.Apply(ctx, rest)
	return len(changes) - len(rest) + again, err
}

// owned returns the services that are ours, among the present and former ones.
func (t *Table) owned(have []lvs.Entry) map[lvs.ServiceID]bool {
	owned := t.own.Set()
	if t.all.Load() {
		for _, e := range have {
			owned[e.ServiceID] = true
		}
	}
	return owned
}

// driftAmong returns the changes that are also in needed: they undo changes by other programs.
func driftAmong(changes, needed []lvs.Change) map[lvs.Change]bool {
	among := make(map[lvs.Change]bool, len(needed))
	for _, c := range needed {
		among[c] = true
	}
	drift := make(map[lvs.Change]bool, len(needed))
	for _, c := range changes {
		if among[c] {
			drift[c] = true
		}
	}
	return drift
}

// firstOf returns the first of the changes that are drift.
func firstOf(changes []lvs.Change, drift map[lvs.Change]bool) (first []lvs.Change) {
	for _, c := range changes {
		if drift[c] && len(first) < maxLogged {
			first = append(first, c)
		}
	}
	return first
}

// logChanges logs the changes that the pass is about to make. The caller logs failures. A change that is tried again is not
// logged again.
func (t *Table) logChanges(changes []lvs.Change, drift map[lvs.Change]bool) {
	if len(t.tried) > 0 {
		changes = slices.DeleteFunc(slices.Clone(changes), func(c lvs.Change) bool { return t.tried[c] })
	}
	for i, c := range changes {
		if i == maxLogged {
			t.log.Info("more changes of the IPVS table", "count", len(changes)-i, "repairs-in-all", len(drift))
			return
		}
		if drift[c] {
			t.log.Warn("somebody changed the IPVS table: repairing", "change", c.String())
		} else {
			t.log.Info("changing the IPVS table", "change", c.String())
		}
	}
}

// Remove deletes every service that is ours, and no other service.
func (t *Table) Remove(ctx context.Context) (Report, error) {
	if t.own.Len() == 0 {
		return Report{}, nil
	}
	report, err := t.Reconcile(ctx, nil)
	if err != nil {
		return report, fmt.Errorf("failed to remove our IPVS services: %w", err)
	}
	return report, nil
}
