// SPDX-License-Identifier: Apache-2.0

package healthcheck

import (
	"container/heap"
	"reflect"
	"strings"
	"time"
)

// Set replaces the targets; at once as far as Status is concerned. A target that is the same in everything keeps its state
// and its place in the schedule; one with the same ID and address keeps its health and counts; any other is unknown. A
// probe under way for a target that is gone or changed is cancelled, its result lost. A target that cannot be checked is
// logged, stays unknown, and has the reason in its status. Of two targets with one ID, the later counts. The slices inside
// targets must not be written to from then on.
func (r *Runner) Set(targets []Target) {
	r.mu.Lock()
	refused := r.replace(targets, time.Now())
	r.mu.Unlock()
	for id, err := range refused {
		r.log.Error("target cannot be checked", "target", id, "error", err)
	}
	select {
	case r.wake <- struct{}{}:
	default: // Run has yet to see the last one
	}
}

// replace gives the targets that are new and cannot be checked.
func (r *Runner) replace(targets []Target, now time.Time) map[string]error {
	old := r.entries
	r.entries = make(map[string]*entry, len(targets))
	for _, t := range targets {
		e := old[t.ID]
		if e == nil || !reflect.DeepEqual(e.target, t) {
			e = &entry{target: t, index: idle}
		}
		r.entries[t.ID] = e
	}
	refused := make(map[string]error)
	for id, e := range r.entries {
		if old[id] == e {
			continue
		}
		if err := r.admit(e, old[id], now); err != nil {
			refused[id] = err
		}
	}
	for id, e := range old {
		if r.entries[id] != e {
			r.dismiss(e)
		}
	}
	return refused
}

// admit brings in a new entry in the place of an earlier one, which may be nil.
func (r *Runner) admit(e, before *entry, now time.Time) error {
	e.status = TargetStatus{Health: Unknown, Since: now, Reason: "not checked yet"}
	if before != nil && before.target.Addr == e.target.Addr {
		e.status = before.status
		e.status.Streak = 0 // what the other check found in a row says nothing of this one's rise and fall
		e.told = before.told
	}
	if err := e.target.validate(); err != nil {
		reason := "cannot be checked: " + strings.ReplaceAll(err.Error(), "\n", "; ")
		e.status = TargetStatus{Health: Unknown, Since: now, Reason: reason}
		return err
	}
	if !r.running {
		return nil
	}
	e.first(now, r.rand)
	if before != nil && before.index != idle && before.due.Before(e.due) {
		e.due = before.due
	}
	heap.Push(&r.queue, e)
	return nil
}

// dismiss takes an entry out.
func (r *Runner) dismiss(e *entry) {
	if e.index != idle {
		heap.Remove(&r.queue, e.index)
	}
	e.stop()
}
