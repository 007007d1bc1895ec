// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"context"
	"errors"
	"maps"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/lvs"
)

// Apply changes the wanted table by d, and makes these changes in the kernel. d names each service once. Apply reads only new
// services, and services whose last change failed. If the state of the kernel is not known, as before the first Reconcile, it
// reads and reconciles the whole table. An empty d tries failed changes again. The error is as Reconcile's.
func (t *Table) Apply(ctx context.Context, d lvs.Delta) (Report, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(d.Set)+len(d.Remove) == 0 {
		d = t.failedBefore()
	}
	have, read := t.merge(d)
	if !t.known {
		return t.pass(ctx, nil, false)
	}
	o := t.applyDelta(ctx, d, have, read)
	if errors.Is(o.failed, unix.ENOBUFS) { // the changes were made, but some of their errors are lost
		report, err := t.pass(ctx, nil, false)
		report.Done = len(o.report.Changes) - len(report.Changes) + report.Done
		report.Changes, report.Replaced = o.report.Changes, append(o.report.Replaced, report.Replaced...)
		return report, errors.Join(o.forgotten, err)
	}
	return t.finish(o)
}

// failedBefore returns a delta with the services whose state in the kernel is not known.
func (t *Table) failedBefore() (d lvs.Delta) {
	for id := range t.unsure {
		if w := t.want[id]; w != nil {
			d.Set = append(d.Set, w.Entry)
		} else {
			d.Remove = append(d.Remove, id)
		}
	}
	return d
}

// merge changes the wanted table. It returns the known state of the services in d, and the services whose state must be read.
func (t *Table) merge(d lvs.Delta) (have []lvs.Entry, read []lvs.ServiceID) {
	known := func(id lvs.ServiceID) {
		switch was := t.want[id]; {
		case t.unsure[id] || was == nil && t.known:
			read = append(read, id)
			t.unsure[id] = true // until it was read
		case was != nil:
			have = append(have, was.Entry)
		}
	}
	for _, id := range d.Remove {
		if id = id.Canonical(); t.want[id] != nil || t.unsure[id] {
			known(id)
			t.drop(id)
		}
	}
	for _, e := range d.Set {
		known(e.ServiceID.Canonical())
		t.set(e)
	}
	return have, read
}

// applyDelta makes the changes of d. have is the state of its services in the kernel, except for those to read.
func (t *Table) applyDelta(ctx context.Context, d lvs.Delta, have []lvs.Entry, read []lvs.ServiceID) (o outcome) {
	if len(read) > 0 {
		found, err := t.kernel.ReadServices(ctx, read)
		if err != nil {
			for _, e := range have {
				t.unsure[e.ServiceID] = true
			}
			return outcome{failed: err}
		}
		have = append(have, found...)
	}
	want := make([]lvs.Entry, 0, len(d.Set))
	ours := make(map[lvs.ServiceID]bool, len(d.Set)+len(d.Remove))
	var added, former []lvs.ServiceID
	for _, e := range d.Set {
		id := e.ServiceID.Canonical()
		want = append(want, t.want[id].Entry)
		if ours[id] = true; !t.own.Has(id) {
			added = append(added, id)
		}
	}
	for _, id := range d.Remove {
		if id = id.Canonical(); t.want[id] == nil && (t.all.Load() || t.own.Has(id)) {
			ours[id] = true
			former = append(former, id)
		}
	}
	o.report.Changes = lvs.Diff(have, want, ours)
	t.logChanges(o.report.Changes, nil)
	if len(added) > 0 {
		o.report.Replaced = lvs.Replaced(have, want, t.own.Set())
		o.forgotten = t.own.Add(added...)
	}
	o.report.Done, o.failed = t.kernel.Apply(ctx, o.report.Changes)
	for _, id := range d.Remove {
		delete(t.unsure, id.Canonical())
		delete(t.refused, id.Canonical())
	}
	for _, e := range want {
		delete(t.unsure, e.ServiceID)
		delete(t.refused, e.ServiceID)
	}
	t.doubt(o.report.Changes, o.failed)
	t.refuse(ctx, &o)
	if len(added)+len(former) > 0 {
		t.looks.restart()
	}
	if former = slices.DeleteFunc(former, func(id lvs.ServiceID) bool { return t.unsure[id] || !allTried(o.failed) }); len(former) > 0 {
		o.forgotten = errors.Join(o.forgotten, t.own.Remove(former...))
	}
	return o
}

// allTried reports whether the error, if there is one, is only about single changes. Then all other changes were made.
func allTried(err error) bool {
	var failed *applyError
	return err == nil || errors.As(err, &failed) && failed.all
}

// maxRefusedRead is the maximum number of refused services whose state in the kernel is read.
const maxRefusedRead = 100

// refuse records which services the kernel has refused, and reports all refused services. If other services may not be as
// wanted either, it reports nothing.
func (t *Table) refuse(ctx context.Context, o *outcome) {
	if o.failed != nil {
		var failed *applyError
		if !errors.As(o.failed, &failed) || !failed.all {
			return
		}
		ids := slices.SortedFunc(maps.Keys(failed.why), lvs.ServiceID.Compare)
		for _, id := range ids {
			t.refused[id] = Refusal{Why: failed.why[id]}
		}
		has, err := t.kernel.ReadServices(ctx, ids[:min(len(ids), maxRefusedRead)])
		if err != nil {
			return
		}
		for _, e := range has {
			t.refused[e.ServiceID] = Refusal{failed.why[e.ServiceID], e.Servers}
		}
	}
	for id := range t.unsure {
		if _, refused := t.refused[id]; !refused {
			return
		}
	}
	o.report.Refused = maps.Clone(t.refused)
}

// doubt records which services may not be as wanted, after an error of the kernel.
func (t *Table) doubt(changes []lvs.Change, err error) {
	var failed *applyError
	switch {
	case err == nil:
	case errors.As(err, &failed):
		for _, id := range failed.unsure {
			t.unsure[id] = true
		}
	default:
		for _, c := range changes {
			t.unsure[c.Service.ServiceID] = true
		}
	}
}
