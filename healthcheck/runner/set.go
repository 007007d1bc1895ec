// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"container/heap"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/tandem-lvs/tandem/healthcheck"
)

// Set replaces the targets; Status shows them at once. A target that has not changed keeps its state and its place in the
// schedule. A target with the same ID and address keeps its health and counts. Any other target is unknown. If a target is
// removed or changed, its probe under way is cancelled, without a result. If a target cannot be checked, this is logged; the
// target stays unknown, and has the reason in its status. If two targets have the same ID, the later counts. The slices
// inside targets must not be changed any more.
//
// Targets that need the same probe of the same endpoint share it. Exec checks never do: a program gets its target's ID.
func (r *Runner) Set(targets []healthcheck.Target) {
	r.mu.Lock()
	refused := r.replace(targets, time.Now())
	r.mu.Unlock()
	for id, err := range refused {
		r.log.Error("target cannot be checked", "target", id, "error", err)
	}
	r.wake()
}

// A former is the state of a target before Set.
type former struct {
	entry *entry
	addr  netip.AddrPort
}

// replace changes only what differs. It returns the errors of the new targets that cannot be checked.
func (r *Runner) replace(targets []healthcheck.Target, now time.Time) map[string]error {
	last := make(map[string]int, len(targets)) // index by ID
	for i := range targets {
		last[targets[i].ID] = i
	}
	// Removal comes first: an entry that has lost all its targets cannot be shared.
	formers := make(map[string]former) // of the targets that are gone or changed, by ID
	for id, e := range r.entries {
		if i, ok := last[id]; !ok || !e.keeps(&targets[i]) {
			formers[id] = former{e, e.detach(id)}
			delete(r.entries, id)
		}
	}
	var fresh []*healthcheck.Target
	for i := range targets {
		if t := &targets[i]; last[t.ID] == i && r.entries[t.ID] == nil {
			fresh = append(fresh, t)
		}
	}
	shared := r.byKey(fresh)
	refused := make(map[string]error)
	for _, t := range fresh {
		was := formers[t.ID]
		e, err := r.entryFor(t, was, shared, now)
		if err != nil {
			refused[t.ID] = err
		}
		e.members = append(e.members, member{t.ID, t.Addr, t.Part})
		r.entries[t.ID] = e
		if was.entry == nil && e.state.Status.Health != healthcheck.Unknown || was.entry != nil && e.state.Differs(&was.entry.state) {
			r.verdicts = append(r.verdicts, healthcheck.Verdict{ID: t.ID, TargetStatus: e.state.Status})
		}
	}
	for _, was := range formers {
		if len(was.entry.members) == 0 && !was.entry.gone {
			r.dismiss(was.entry)
		}
	}
	r.slack = healthcheck.MaxSlack
	for _, e := range r.entries {
		r.slack = min(r.slack, e.target.Config.Slack())
	}
	return refused
}

// keeps reports whether an entry is the probe that one of its targets still wants.
func (e *entry) keeps(t *healthcheck.Target) bool {
	i := slices.IndexFunc(e.members, func(m member) bool { return m.id == t.ID && m.addr == t.Addr })
	if i < 0 || e.key() != keyOf(t) || !e.target.Config.SameProbe(&t.Config) {
		return false
	}
	e.members[i].part = t.Part
	return true
}

// detach takes a target away from an entry, and returns the target's address.
func (e *entry) detach(id string) netip.AddrPort {
	i := slices.IndexFunc(e.members, func(m member) bool { return m.id == id })
	addr := e.members[i].addr
	e.members = slices.Delete(e.members, i, i+1)
	return addr
}

// An endpointKey is equal for all probes that can be shared.
type endpointKey struct {
	typ healthcheck.Type
	to  netip.AddrPort
}

func keyOf(t *healthcheck.Target) endpointKey { return endpointKey{t.Config.Type, t.Endpoint()} }

func (e *entry) key() endpointKey { return keyOf(&e.target) }

// byKey returns the present entries by the keys of targets.
func (r *Runner) byKey(targets []*healthcheck.Target) map[endpointKey][]*entry {
	all := make(map[endpointKey][]*entry, len(targets))
	if len(targets) == 0 {
		return all
	}
	for _, t := range targets {
		all[keyOf(t)] = nil
	}
	for e := range distinct(r.entries) {
		if same, wanted := all[e.key()]; wanted {
			all[e.key()] = append(same, e)
		}
	}
	return all
}

// entryFor returns a shared entry with the probe that a target needs. If there is none, it makes a new entry and adds it to
// them. If the target cannot be checked, it returns an error.
func (r *Runner) entryFor(t *healthcheck.Target, was former, shared map[endpointKey][]*entry, now time.Time) (*entry, error) {
	key := keyOf(t)
	same := func(e *entry) bool { return e.target.Config.SameProbe(&t.Config) }
	if i := slices.IndexFunc(shared[key], same); i >= 0 && t.Config.Type != healthcheck.Exec {
		return shared[key][i], nil
	}
	e := &entry{target: *t, state: healthcheck.NewState(now), index: idle}
	shared[key] = append(shared[key], e)
	if err := t.Validate(); err != nil {
		e.refused = true
		e.state.Status.Reason = "cannot be checked: " + strings.ReplaceAll(err.Error(), "\n", "; ")
		return e, err
	}
	inherits := was.entry != nil && was.addr == t.Addr
	if inherits {
		e.state = was.entry.state.UnderNewCheck()
	}
	if !r.running {
		return e, nil
	}
	e.First(now, &e.target.Config, r.rand)
	if inherits && was.entry.index != idle && was.entry.Due.Before(e.Due) {
		e.Due = was.entry.Due
	}
	heap.Push(&r.queue, e)
	return e, nil
}

// dismiss removes an entry.
func (r *Runner) dismiss(e *entry) {
	if e.index != idle {
		heap.Remove(&r.queue, e.index)
	}
	e.gone = true
	e.stop()
}
