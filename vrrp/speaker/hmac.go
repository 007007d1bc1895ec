// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/tandem-lvs/tandem/vrrp"
)

// keepPause is the least time between two copies of what a flood may change at any rate.
const keepPause = time.Second

// refusals are the latest packets that were refused for their signature, by reason. One thread changes them and any thread may
// read them.
type refusals [len(vrrp.Drops{})]atomic.Pointer[vrrp.Refusal]

// note records a dropped packet. It allocates at most once in keepPause for each reason.
func (all *refusals) note(now time.Time, h vrrp.Header, d vrrp.Drop) {
	if !d.IsHMAC() {
		return
	}
	if last := all[d].Load(); last == nil || now.Sub(last.Last) >= keepPause {
		all[d].Store(&vrrp.Refusal{Reason: d.String(), Last: now, From: h.Source})
	}
}

// snapshot returns the refusals with their counts.
func (all *refusals) snapshot(counts vrrp.Drops) (now []vrrp.Refusal) {
	for d := range all {
		if last := all[d].Load(); last != nil {
			r := *last
			r.Count = counts[d]
			now = append(now, r)
		}
	}
	return now
}

// keepSequences copies the sequence numbers for Sequences, at most once in keepPause.
func (r *router) keepSequences(now time.Time) {
	if r.Config.HMAC.On() && now.Sub(r.keptAt) >= keepPause {
		r.storeSequences(now)
	}
}

func (r *router) storeSequences(now time.Time) {
	s := r.Router.Sequences()
	r.sequences.Store(&s)
	r.keptAt = now
}

// A RouterSequences is the sequence numbers of one virtual router of an interface.
type RouterSequences struct {
	VRID   uint8 `json:"vrid"`
	Family uint8 `json:"family"`
	vrrp.Sequences
}

func (s *RouterSequences) of(c *vrrp.Config) bool { return s.VRID == c.VRID && s.Family == c.Family() }

// restore passes sequence numbers of an earlier run to a router.
func (l *Loop) restore(r *router) {
	all := l.applied.sequences
	if all == nil || r.restored == all {
		return
	}
	r.restored = all
	for _, s := range *all {
		if s.of(&r.Config) {
			r.Restore(s.Sequences)
		}
	}
}

// keepGone keeps the sequence numbers of a router that has left: it may come back.
func (l *Loop) keepGone(r *router, now time.Time) {
	if !r.Config.HMAC.On() {
		return
	}
	r.storeSequences(now)
	all := slices.DeleteFunc(slices.Clone(*l.gone.Load()), func(s RouterSequences) bool { return s.of(&r.Config) })
	all = append(all, RouterSequences{r.Config.VRID, r.Config.Family(), *r.sequences.Load()})
	l.gone.Store(&all)
}

// Restore passes the sequence numbers of an earlier run to the routers that have keys. It may be called late: of each sender the
// newer number counts.
func (l *Loop) Restore(all []RouterSequences) {
	all = slices.Clone(all)
	l.setDesired(func(w *desired) { w.sequences = &all })
}

// Sequences returns the sequence numbers of the routers that have keys, and of those that have left. They are at most a second
// older than the latest advertisement, and exact after Run. Any goroutine may call it at any time.
func (l *Loop) Sequences() []RouterSequences {
	all := slices.Clone(*l.gone.Load())
	for _, r := range *l.published.Load() {
		s, is := r.sequences.Load(), r.status.Load()
		if s == nil {
			continue
		}
		all = slices.DeleteFunc(all, func(o RouterSequences) bool { return o.VRID == is.VRID && o.Family == is.Family })
		all = append(all, RouterSequences{is.VRID, is.Family, *s})
	}
	return all
}
