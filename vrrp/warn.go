// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"net/netip"
	"slices"
	"time"
)

const (
	warningLasts = time.Minute // after its cause was last seen, or three advertisement intervals where that is longer
	warningPause = time.Second // between two changes of one warning's words: its cause may be forged at any rate
	maxWarnings  = 16          // of one router
)

// A warningKind is something amiss that the election gets along with.
type warningKind uint8

const (
	warnOwnAddress warningKind = iota + 1
	warnDestination
	warnPeer
	warnTTL
	warnVersion
	warnAuth
	warnInterval
	warnVIPs // those above are of packets that were dropped, and end with a good one
	warnTwoMasters
)

// A warning stands for one cause: a kind, and who brought it about.
type warning struct {
	kind    warningKind
	from    netip.Addr
	detail  uint64 // of what the words speak beside that
	words   string
	written time.Time
	until   time.Time
}

// warnings are those of one router.
type warnings struct {
	active []warning
	words  []string // of the active ones; replaced, never changed

	rival struct{ first, last time.Time } // when another master was heard while we were master
	same  uint64                          // the hash of a list that has our VIPs in another order
	asked time.Time                       // when a list was last taken apart
}

// extend notes that the cause of a warning goes on. It reports false when there is no such warning yet.
func (w *warnings) extend(until time.Time, kind warningKind, from netip.Addr, detail uint64) bool {
	for i := range w.active {
		if o := &w.active[i]; o.kind == kind && o.from == from && o.detail == detail {
			o.until = until
			return true
		}
	}
	return false
}

// see notes a cause. It reports whether the words have changed.
func (w *warnings) see(now, until time.Time, kind warningKind, from netip.Addr, detail uint64, words func() string) bool {
	i := slices.IndexFunc(w.active, func(o warning) bool { return o.kind == kind && o.from == from })
	switch {
	case i < 0 && len(w.active) == maxWarnings:
		return false
	case i < 0:
		w.active = append(w.active, warning{kind: kind, from: from})
		i = len(w.active) - 1
	case w.active[i].detail == detail || now.Sub(w.active[i].written) < warningPause:
		w.active[i].until = until
		return false
	}
	o := &w.active[i]
	o.detail, o.words, o.written, o.until = detail, words(), now, until
	w.list()
	return true
}

// drop ends the warnings that are to go, and reports whether there were any.
func (w *warnings) drop(goes func(warning) bool) bool {
	before := len(w.active)
	w.active = slices.DeleteFunc(w.active, goes)
	if len(w.active) == before {
		return false
	}
	w.list()
	return true
}

func (w *warnings) list() {
	w.words = nil
	for _, o := range w.active {
		w.words = append(w.words, o.words)
	}
}

// next returns when the first of the warnings ends by itself, the zero time if there is none.
func (w *warnings) next() (next time.Time) {
	for i := range w.active {
		if until := w.active[i].until; next.IsZero() || until.Before(next) {
			next = until
		}
	}
	return next
}

// warn notes a cause, and reports whether that is news, which it tells the owner.
func (l *Loop) warn(r *router, now time.Time, kind warningKind, from netip.Addr, detail uint64, words func() string) bool {
	until := now.Add(r.warningLasts(&l.packet))
	if !r.warnings.see(now, until, kind, from, detail, words) {
		return false
	}
	if l.unwarn.IsZero() || until.Before(l.unwarn) {
		l.unwarn = until
	}
	l.tell(r)
	return true
}

func (r *router) warningLasts(p *Packet) time.Duration {
	return max(warningLasts, 3*p.Interval, 3*r.cfg.AdvertInterval)
}

// tell tells the owner if anything has changed.
func (l *Loop) tell(r *router) {
	if s := r.refresh(); s != nil {
		l.notify(*s)
	}
}

// forget ends the warnings whose cause has not been seen for long enough.
func (l *Loop) forget(now time.Time) {
	if l.unwarn.IsZero() || now.Before(l.unwarn) {
		return
	}
	l.unwarn = time.Time{}
	for _, r := range l.routers {
		if r.warnings.drop(func(w warning) bool { return !now.Before(w.until) }) {
			l.tell(r)
		}
		if next := r.warnings.next(); !next.IsZero() && (l.unwarn.IsZero() || next.Before(l.unwarn)) {
			l.unwarn = next
		}
	}
}
