// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/lvs"
)

// maxLogged bounds how many changes of one pass are logged one by one.
const maxLogged = 20

// A backend is the table that is kept, the kernel's in production.
type backend interface {
	Read(context.Context) ([]lvs.Entry, error)
	Apply(context.Context, []lvs.Change) (done int, err error)
	Look(context.Context) ([]lvs.Row, error)
}

var _ backend = (*IPVS)(nil)

// A Table keeps the kernel's table as it should be. It is level-triggered: what somebody else changed is put right in
// the next pass. Its methods may be called from any goroutine; passes take turns.
type Table struct {
	kernel backend
	own    *Ownership
	log    hclog.Logger

	all atomic.Bool // every service of the namespace is ours

	pass    sync.Mutex
	settled bool         // the last pass left the table as it should be
	last    []lvs.Entry  // what the last pass was to bring about
	tried   []lvs.Change // what the last pass tried, if it failed

	look     sync.Mutex
	suspect  []lvs.Change // what the last look found different
	illusion []lvs.Change // what a look found different and a pass then did not

	reconciles, changes, repairs, failures atomic.Uint64
}

// Counters are counted since the Table was made.
type Counters struct {
	Reconciles uint64 // passes, with and without changes
	Changes    uint64 // changes that were made
	Repairs    uint64 // of these, the ones that undid somebody else's
	Errors     uint64 // passes that failed
}

// A Report is what a pass found and did.
type Report struct {
	Changes []lvs.Change // that were needed
	Done    int          // how many of them were made
	Drift   int          // how many of them undo what somebody else did since the last good pass
}

// NewTable returns the keeper of the kernel's table for the services in own and those it is told to want.
func NewTable(kernel backend, own *Ownership, log hclog.Logger) *Table {
	return &Table{kernel: kernel, own: own, log: log}
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

// Reconcile reads the table and makes the changes that lead to want, and none if it is so already. Every wanted
// service becomes ours, also one that was there before, and is remembered before it is added. The error joins what
// failed; the next pass tries again.
func (t *Table) Reconcile(ctx context.Context, want []lvs.Entry) (Report, error) {
	t.pass.Lock()
	defer t.pass.Unlock()
	t.reconciles.Add(1)
	report, err := t.reconcile(ctx, want)
	t.settled = err == nil
	t.last = clone(want)
	t.tried = nil
	if err != nil {
		t.tried = report.Changes
		t.failures.Add(1)
	} else {
		t.judge(len(report.Changes) == 0)
	}
	t.changes.Add(uint64(report.Done))
	return report, err
}

func (t *Table) reconcile(ctx context.Context, want []lvs.Entry) (Report, error) {
	have, err := t.kernel.Read(ctx)
	if err != nil {
		return Report{}, err
	}
	owned := t.owned(have)
	report := Report{Changes: lvs.Diff(have, want, owned)}
	drift := t.drift(have, owned, report.Changes)
	report.Drift = len(drift)
	t.logChanges(report.Changes, drift)

	ids := make([]lvs.ServiceID, len(want))
	for i, e := range want {
		ids[i] = e.ServiceID.Canonical()
		delete(owned, ids[i])
	}
	// A state directory that cannot be written is no reason to serve nobody.
	errs := []error{t.own.Add(ids...)}
	report.Done, err = t.apply(ctx, report.Changes, want, owned)
	errs = append(errs, err)
	if err == nil {
		t.repairs.Add(uint64(report.Drift))
		former := make([]lvs.ServiceID, 0, len(owned))
		for id := range owned {
			former = append(former, id)
		}
		errs = append(errs, t.own.Remove(former...))
	}
	return report, errors.Join(errs...)
}

// apply makes the changes. Where the kernel's answers were lost, the table itself says what is still to do.
func (t *Table) apply(ctx context.Context, changes []lvs.Change, want []lvs.Entry, owned map[lvs.ServiceID]bool) (done int, _ error) {
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

// drift returns those of the changes that would also be needed if want were what it was in the last good pass.
func (t *Table) drift(have []lvs.Entry, owned map[lvs.ServiceID]bool, changes []lvs.Change) map[lvs.Change]bool {
	drift := make(map[lvs.Change]bool)
	if !t.settled || len(changes) == 0 {
		return drift
	}
	for _, c := range lvs.Diff(have, t.last, owned) {
		drift[c] = true
	}
	both := make(map[lvs.Change]bool, len(drift))
	for _, c := range changes {
		if drift[c] {
			both[c] = true
		}
	}
	return both
}

// logChanges says what the pass is about to do. What fails is for the caller to log; what is tried again is not news.
func (t *Table) logChanges(changes []lvs.Change, drift map[lvs.Change]bool) {
	if slices.Equal(changes, t.tried) {
		return
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

// Drifted takes the cheap look at the table and tells whether Reconcile would find something to do. It does not see
// what Row lacks, nor a change in rows that the kernel leaves out of the look (see Look): a difference that the
// last pass has disproved counts as none until it becomes another.
func (t *Table) Drifted(ctx context.Context, want []lvs.Entry) (bool, error) {
	rows, err := t.kernel.Look(ctx)
	if err != nil {
		return false, err
	}
	have := entriesOf(rows, want, t.own.Set())
	changes := lvs.Diff(have, visible(want), t.owned(have))
	t.look.Lock()
	defer t.look.Unlock()
	t.suspect = changes
	return len(changes) > 0 && !slices.Equal(changes, t.illusion), nil
}

// judge tells the looks what a pass has found: whether the table was as it should be all the same.
func (t *Table) judge(innocent bool) {
	t.look.Lock()
	defer t.look.Unlock()
	t.illusion = nil
	if innocent {
		t.illusion = t.suspect
	}
}

// visible returns of entries what a Row shows.
func visible(entries []lvs.Entry) []lvs.Entry {
	entries = clone(entries)
	for i := range entries {
		e := &entries[i]
		shown := lvs.Persistent | lvs.OnePacket
		if e.FWMark == 0 && e.AddrFamily() == lvs.IPv6 {
			shown = lvs.Persistent
		}
		e.Service = lvs.Service{ServiceID: e.ServiceID, Scheduler: e.Scheduler, Flags: e.Flags & shown}
		for j, s := range e.Servers {
			e.Servers[j] = lvs.Server{ServerID: s.ServerID, Method: s.Method, Weight: s.Weight}
		}
	}
	return entries
}

// entriesOf completes rows to entries. A firewall-mark service without servers does not tell its family: it is taken
// for one that is wanted or ours and does not appear otherwise.
func entriesOf(rows []lvs.Row, want []lvs.Entry, owned map[lvs.ServiceID]bool) []lvs.Entry {
	missing := make(map[lvs.ServiceID]bool)
	for _, e := range want {
		missing[e.ServiceID.Canonical()] = true
	}
	for id := range owned {
		missing[id] = true
	}
	for _, r := range rows {
		delete(missing, r.ServiceID)
	}
	entries := make([]lvs.Entry, len(rows))
	for i, r := range rows {
		if r.FWMark != 0 && r.Family == 0 {
			for _, f := range []lvs.Family{lvs.IPv4, lvs.IPv6} {
				if id := (lvs.ServiceID{FWMark: r.FWMark, Family: f}); missing[id] {
					delete(missing, id)
					r.Family = f
					break
				}
			}
		}
		entries[i] = lvs.Entry{Service: r.Service, Servers: make([]lvs.Server, len(r.Servers))}
		for j, s := range r.Servers {
			entries[i].Servers[j] = s.Server
		}
	}
	return entries
}

// Remove deletes every service that is ours, and no other.
func (t *Table) Remove(ctx context.Context) (Report, error) {
	if len(t.own.Set()) == 0 {
		return Report{}, nil
	}
	report, err := t.Reconcile(ctx, nil)
	if err != nil {
		return report, fmt.Errorf("remove our IPVS services: %w", err)
	}
	return report, nil
}

// clone copies entries with their servers.
func clone(entries []lvs.Entry) []lvs.Entry {
	entries = slices.Clone(entries)
	for i := range entries {
		entries[i].Servers = slices.Clone(entries[i].Servers)
	}
	return entries
}
