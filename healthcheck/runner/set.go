// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"container/heap"
	"iter"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/tandem-lvs/tandem/healthcheck"
)

// Set replaces the targets; Status shows them at once. A target that is the same in everything keeps its state and its
// place in the schedule. One with the same ID and address keeps its health and counts. Any other is unknown. A probe
// under way for a target that is gone or changed is cancelled, without a result. A target that cannot be checked is
// logged, stays unknown, and has the reason in its status. Of two targets with one ID, the later counts. The slices
// inside targets must not be written to any more.
//
// Targets that want the same probe of the same endpoint share it. Exec checks never do: a program gets its target's ID.
func (r *Runner) Set(targets []healthcheck.Target) {
	r.mu.Lock()
	refused := r.replace(targets, time.Now())
	r.mu.Unlock()
	for id, err := range refused {
		r.log.Error("target cannot be checked", "target", id, "error", err)
	}
	r.wake()
}

// replace returns the errors of the new targets that cannot be checked.
func (r *Runner) replace(targets []healthcheck.Target, now time.Time) map[string]error {
	old := r.entries
	r.entries = make(map[string]*entry, len(targets))
	kept := make(map[*entry]bool, len(targets))
	refused := make(map[string]error)
	wanted := share(targets)
	befores := make([]*entry, len(wanted))
	for i, e := range wanted {
		befores[i] = e.predecessor(old)
	}
	for i, e := range wanted {
		before := befores[i]
		if before != nil && before.same(e) {
			before.ids, before.name, before.part = e.ids, e.name, e.part
			e = before
			kept[e] = true
		} else if err := r.admit(e, before, now); err != nil {
			refused[e.name] = err
		}
		for _, own := range e.ids {
			r.entries[own.id] = e
		}
	}
	for e := range distinct(old) {
		if !kept[e] {
			r.dismiss(e)
		}
	}
	r.slack = healthcheck.MaxSlack
	for _, e := range r.entries {
		r.slack = min(r.slack, e.target.Config.Slack())
	}
	return refused
}

// An endpointKey is what all probes that can be shared have in common.
type endpointKey struct {
	typ healthcheck.Type
	to  netip.AddrPort
}

func (e *entry) key() endpointKey { return endpointKey{e.target.Config.Type, e.target.Endpoint()} }

// share makes an entry for each probe that targets want, in their order.
func share(targets []healthcheck.Target) []*entry {
	last := make(map[string]int, len(targets)) // by ID
	for i, t := range targets {
		last[t.ID] = i
	}
	all := make([]*entry, 0, len(targets))
	at := make(map[endpointKey][]*entry, len(targets))
	for i, t := range targets {
		if last[t.ID] != i {
			continue
		}
		e := &entry{target: t, name: t.ID, part: t.Part, ids: []identity{{t.ID, t.Addr}}, index: idle}
		where := e.key()
		if i := slices.IndexFunc(at[where], e.sharesWith); i >= 0 {
			first := at[where][i]
			first.ids, first.part = append(first.ids, e.ids...), first.part && e.part
			continue
		}
		all, at[where] = append(all, e), append(at[where], e)
	}
	return all
}

// sharesWith says whether the probe of another entry with the same key serves this one too.
func (e *entry) sharesWith(other *entry) bool {
	return e.target.Config.Type != healthcheck.Exec && e.sameCheck(other)
}

// sameCheck compares checks of one endpoint, however the endpoint is written.
func (e *entry) sameCheck(other *entry) bool {
	a, b := e.target.Config, other.target.Config
	a.Address, a.Port = b.Address, b.Port
	return reflect.DeepEqual(a, b)
}

// predecessor is the old entry whose state a new one takes over: if possible one with the same probe, else one that had
// one of its targets with the same address; nil if there is none.
func (e *entry) predecessor(old map[string]*entry) (before *entry) {
	for _, own := range e.ids {
		was := old[own.id]
		if was == nil || was == before || !slices.Contains(was.ids, own) {
			continue
		}
		if was.same(e) {
			return was
		}
		if before == nil {
			before = was
		}
	}
	return before
}

// same says whether two entries want the same probe.
func (e *entry) same(other *entry) bool {
	return e.key() == other.key() && e.sameCheck(other)
}

// distinct are the entries of a map by target ID, each once although several targets may share it.
func distinct(entries map[string]*entry) iter.Seq[*entry] {
	return func(yield func(*entry) bool) {
		for id, e := range entries {
			if e.name == id && !yield(e) {
				return
			}
		}
	}
}

// admit brings in a new entry, in the place of an earlier one unless that is nil.
func (r *Runner) admit(e, before *entry, now time.Time) error {
	e.state = healthcheck.NewState(now)
	if before != nil {
		e.state = before.state.UnderNewCheck()
	}
	if err := e.target.Validate(); err != nil {
		e.state = healthcheck.NewState(now)
		e.state.Status.Reason = "cannot be checked: " + strings.ReplaceAll(err.Error(), "\n", "; ")
		return err
	}
	if !r.running {
		return nil
	}
	e.First(now, &e.target.Config, r.rand)
	if before != nil && before.index != idle && before.Due.Before(e.Due) {
		e.Due = before.Due
	}
	heap.Push(&r.queue, e)
	return nil
}

// dismiss takes an entry out.
func (r *Runner) dismiss(e *entry) {
	if e.index != idle {
		heap.Remove(&r.queue, e.index)
	}
	e.gone = true
	e.stop()
}
