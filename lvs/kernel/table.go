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

// maxLogged bounds how many changes of one pass are logged one by one.
const maxLogged = 20

// A backend is the table that is kept, the kernel's in production.
type backend interface {
	Read(context.Context) ([]lvs.Entry, error)
	ReadServices(context.Context, []lvs.ServiceID) ([]lvs.Entry, error)
	Apply(context.Context, []lvs.Change) (done int, err error)
	sweep() sweep
}

var _ backend = (*IPVS)(nil)

// A Table keeps the kernel's table as it should be. It is the table's worker: one goroutine calls it, or several that
// take turns.
//
// It keeps the wanted table, and knows of which services the kernel has what is wanted. So Apply writes a change without
// reading anything, and costs the same among ten services and ten thousand. Reconcile reads the whole table and repairs
// it. Look finds what somebody else has changed, a slice of the table at a time.
type Table struct {
	kernel backend
	own    *Ownership
	log    hclog.Logger
	now    func() time.Time

	all atomic.Bool // every service of the namespace is ours

	mu sync.Mutex // one pass or look at a time
	// The wanted table. Unless known is false, the kernel has the same, but for the services in unsure, of which it is not
	// known what the kernel has. Services in unsure need not be wanted.
	want   map[lvs.ServiceID]*wantedService
	lines  int // of the wanted table as text
	known  bool
	unsure map[lvs.ServiceID]bool
	tried  map[lvs.Change]bool // changes that were tried, of services in unsure
	// Of the services in unsure, those that the kernel is known to refuse.
	refused map[lvs.ServiceID]Refusal

	looks looks

	reconciles, changes, repairs, failures atomic.Uint64
}

// A wantedService is a service of the wanted table, in canonical spelling, its servers in order.
type wantedService struct {
	lvs.Entry
	seen uint64 // the last round of looks that came by it
}

// Counters are counted since the Table was made.
type Counters struct {
	Reconciles uint64 // passes that compared the whole table, with and without changes
	Changes    uint64 // changes that were made
	Repairs    uint64 // of these, the ones that undid somebody else's
	Errors     uint64 // passes and deltas that failed
}

// A Report is what a pass found and did.
type Report struct {
	Changes []lvs.Change // that were needed
	Done    int          // how many of them were made
	Drift   int          // how many of them undo what somebody else did since the last good pass
	// Refused are all services that the kernel does not have as wanted, the latest changes or not. All others are as wanted,
	// if there is no error, or at least one service here.
	Refused map[lvs.ServiceID]Refusal
}

// A Refusal says why the kernel does not have a service as wanted, and what it has in it.
type Refusal struct {
	Why error
	Has []lvs.Server
}

// NewTable returns the keeper of the kernel's table for the services in own and those it is told to want.
func NewTable(kernel backend, own *Ownership, log hclog.Logger) *Table {
	return &Table{
		kernel: kernel, own: own, log: log, now: time.Now,
		want: make(map[lvs.ServiceID]*wantedService), unsure: make(map[lvs.ServiceID]bool),
		tried: make(map[lvs.Change]bool), refused: make(map[lvs.ServiceID]Refusal),
	}
}

// ManageAll says whether every service of the namespace is ours, so that strangers' are deleted, from the next pass on.
// Before the first call it is not so.
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

// Reconcile makes want the wanted table, reads the kernel's whole table and makes the changes that lead to want, and none
// if it is so already. Every wanted service becomes ours, also one that was there before. The error joins what failed;
// the next call tries again. It wraps ErrNotRemembered where all that failed is to remember which services are ours.
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

// An outcome is what came of a pass or delta.
type outcome struct {
	report    Report
	failed    error // of the kernel
	forgotten error // of the store
}

// finish counts an outcome.
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

// settled tells whether the kernel has all that is wanted, as far as we know.
func (t *Table) settled() bool { return t.known && len(t.unsure) == 0 }

// set puts a service into the wanted table, which keeps nothing of the caller's.
func (t *Table) set(e lvs.Entry) {
	e.Service = e.Service.Canonical()
	e.Servers = lvs.SortServers(slices.Clone(e.Servers))
	t.drop(e.ServiceID)
	t.want[e.ServiceID] = &wantedService{Entry: e}
	t.lines += 1 + len(e.Servers)
}

// drop takes a service out of the wanted table.
func (t *Table) drop(id lvs.ServiceID) {
	if w := t.want[id]; w != nil {
		t.lines -= 1 + len(w.Servers)
		delete(t.want, id)
	}
}

// entries is the wanted table as a list.
func (t *Table) entries() []lvs.Entry {
	entries := make([]lvs.Entry, 0, len(t.want))
	for _, w := range t.want {
		entries = append(entries, w.Entry)
	}
	return entries
}

// pass reads the whole table and makes it what is wanted. If the kernel had last, what differs from that is drift.
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
	o.report.Changes = lvs.Diff(have, want, owned)
	drift := make(map[lvs.Change]bool)
	if settled {
		drift = driftAmong(o.report.Changes, lvs.Diff(have, last, owned))
	}
	o.report.Drift = len(drift)
	t.logChanges(o.report.Changes, drift)

	ids := make([]lvs.ServiceID, len(want))
	for i, e := range want {
		ids[i] = e.ServiceID
		delete(owned, e.ServiceID)
	}
	// A state directory that cannot be written is no reason to serve nobody.
	o.forgotten = t.own.Add(ids...)
	o.report.Done, o.failed = t.makeChanges(ctx, o.report.Changes, want, owned)
	t.known = true
	clear(t.unsure)
	t.doubt(o.report.Changes, o.failed)
	clear(t.refused)
	t.refuse(ctx, &o)
	// What was deleted is disowned at once: somebody else may make it anew.
	maps.DeleteFunc(owned, func(id lvs.ServiceID, _ bool) bool { return t.unsure[id] || !allTried(o.failed) })
	o.forgotten = errors.Join(o.forgotten, t.own.Remove(slices.Collect(maps.Keys(owned))...))
	return o
}

// makeChanges makes the changes. Where the kernel's answers were lost, the table itself says what is still to do.
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

// owned is the set of services that are ours, of those that there are or were.
func (t *Table) owned(have []lvs.Entry) map[lvs.ServiceID]bool {
	owned := t.own.Set()
	if t.all.Load() {
		for _, e := range have {
			owned[e.ServiceID] = true
		}
	}
	return owned
}

// driftAmong returns those of the changes that are also in needed: the changes that the last wanted table would need.
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

// logChanges says what the pass is about to do. What fails is for the caller to log; what is tried again is not news.
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

// Remove deletes every service that is ours, and no other.
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
