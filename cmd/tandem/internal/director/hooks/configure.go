// SPDX-License-Identifier: Apache-2.0

package hooks

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tandem-lvs/tandem/configs"
)

// kindEvents are the events of each kind of subject.
var kindEvents = map[Kind][]configs.HookEvent{
	Router: {configs.HookMaster, configs.HookBackup, configs.HookFault, configs.HookStop, configs.HookContested,
		configs.HookContestOver},
	SyncGroup: {configs.HookMaster, configs.HookBackup, configs.HookFault, configs.HookStop},
	Service:   {configs.HookQuorumLost, configs.HookQuorumRegained},
	Server:    {configs.HookServerUp, configs.HookServerDown},
	Director:  {configs.HookDirectorStart, configs.HookDirectorStop, configs.HookDrill},
}

// concerns tells whether a hook hears of a subject.
func concerns(h *configs.Hook, s Subject) bool {
	if !slices.ContainsFunc(kindEvents[s.Kind], h.Hears) {
		return false
	}
	service, _, _ := strings.Cut(s.Name, "/") // a server's name begins with that of its service
	switch s.Kind {
	case Router:
		return h.Routers == nil && h.Group == "" || slices.Contains(h.Routers, s.Name)
	case SyncGroup:
		return h.Routers == nil && h.Group == s.Name
	case Service, Server:
		return h.Routers == nil && (h.Services == nil || slices.Contains(h.Services, service))
	}
	return h.Routers == nil
}

func (q *Queue) hooksOf(s Subject) (all []*configs.Hook) {
	for _, h := range q.hooks {
		if concerns(h, s) {
			all = append(all, h)
		}
	}
	return all
}

// Wants tells whether any hook hears of subjects of the kind.
func (q *Queue) Wants(k Kind) bool {
	return slices.ContainsFunc(q.hooks, func(h *configs.Hook) bool { return slices.ContainsFunc(kindEvents[k], h.Hears) })
}

// Configure sets the hooks. A subject that does not exist any more keeps its hooks until it is forgotten, if it is a virtual
// router or a sync group. What waits for a hook that was removed is dropped; a run goes on. A new hook, and one that has
// failed, is told the present state.
func (q *Queue) Configure(now time.Time, all []configs.Hook, exists func(Subject) bool) {
	q.hooks = nil
	stats := make(map[string]*Stat, len(all))
	for i := range all {
		h := &all[i]
		q.hooks = append(q.hooks, h)
		stats[h.Name] = &Stat{Hook: h}
		if was := q.stats[h.Name]; was != nil {
			stats[h.Name] = was
			was.Hook = h
		}
	}
	q.stats = stats
	for _, l := range slices.SortedFunc(maps.Values(q.lines), byName) {
		switch {
		case exists(l.subject):
			q.rehook(now, l)
		case l.subject.class() == serviceClass:
			q.drop(l, removed, func(*entry) bool { return true })
			l.gone = true
			q.dirty[serviceClass] = true
		}
		q.tidy(l)
	}
	for name := range q.records {
		if s, ok := subjectOf(name); !ok || !exists(s) {
			delete(q.records, name)
			q.dirty[s.class()] = true
		}
	}
}

// rehook gives a subject the present hooks.
func (q *Queue) rehook(now time.Time, l *line) {
	l.hooks, l.gone = q.hooksOf(l.subject), false
	present := make(map[string]*configs.Hook, len(l.hooks))
	for _, h := range l.hooks {
		present[h.Name] = h
	}
	q.drop(l, removed, func(e *entry) bool {
		h := present[e.hook.Name]
		if h == nil || !h.Hears(e.ev.What) {
			return true
		}
		e.hook = h
		return false
	})
	for name := range l.told {
		if present[name] == nil {
			delete(l.told, name)
			q.setFailed(l, name, false)
		}
	}
	q.dirty[l.subject.class()] = true
	if l.state.What != 0 {
		q.reconcile(now, l)
	}
}

// reconcile tells the present state to the hooks that were not told it.
func (q *Queue) reconcile(now time.Time, l *line) {
	for _, h := range l.hooks {
		what := l.state.What
		told, ever := l.told[h.Name]
		if !h.Hears(what) || told == what || !ever && good(what) || l.tells(h, what) {
			continue
		}
		l.told[h.Name] = 0
		q.add(now, l, entry{hook: h, ev: l.state, seq: l.seq})
	}
}

// tells tells whether a hook is being told an event, or will be.
func (l *line) tells(h *configs.Hook, what configs.HookEvent) bool {
	if l.run != nil && l.run.hook.Name == h.Name && l.run.ev.What == what {
		return true
	}
	return slices.ContainsFunc(l.pending, func(e entry) bool { return e.hook.Name == h.Name && e.ev.What == what })
}
