// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"net/netip"
	"slices"
	"time"
)

// How long warnings last.
const (
	WarningLasts = time.Minute // after its cause was last seen, or three advertisement intervals where that is longer
	WarningPause = time.Second // between two changes of one warning's words: its cause may be forged at any rate
	MaxWarnings  = 16          // of one router
)

// A warningKind is a problem that does not stop the election.
type warningKind uint8

// The problems.
const (
	warnOwnAddress warningKind = iota + 1
	warnDestination
	warnPeer
	warnTTL
	warnVersion
	warnAuth
	warnInterval
	warnForeign
	warnVIPs // the kinds above are about dropped packets; a good packet ends them
	warnLearntInterval
	warnTwoMasters
	warnSignature // a good packet does not end it: who forges and replays does it beside the good packets
	warnUnsigned
	warnClock
)

// A warning stands for one cause: a kind and a sender.
type warning struct {
	kind    warningKind
	from    netip.Addr
	detail  uint64 // hash of the other values in the words
	words   string
	written time.Time
	until   time.Time
}

// warnings are those of one router.
type warnings struct {
	active []warning
	words  []string // of the active ones; replaced, never changed
}

// extend lets a warning last until a later time. It reports false when there is no such warning.
func (w *warnings) extend(until time.Time, kind warningKind, from netip.Addr, detail uint64) bool {
	for i := range w.active {
		if o := &w.active[i]; o.kind == kind && o.from == from && o.detail == detail {
			o.until = until
			return true
		}
	}
	return false
}

// put adds a warning, or renews the one of the same cause. It reports whether the words have changed.
func (w *warnings) put(now, until time.Time, kind warningKind, from netip.Addr, detail uint64, words func() string) bool {
	i := slices.IndexFunc(w.active, func(o warning) bool { return o.kind == kind && o.from == from })
	switch {
	case i < 0 && len(w.active) == MaxWarnings:
		return false
	case i < 0:
		w.active = append(w.active, warning{kind: kind, from: from})
		i = len(w.active) - 1
	case w.active[i].detail == detail || now.Sub(w.active[i].written) < WarningPause:
		w.active[i].until = until
		return false
	}
	o := &w.active[i]
	o.detail, o.words, o.written, o.until = detail, words(), now, until
	w.list()
	return true
}

// remove ends the warnings that match, and reports whether there were any.
func (w *warnings) remove(matches func(warning) bool) bool {
	before := len(w.active)
	w.active = slices.DeleteFunc(w.active, matches)
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

// firstEnd returns when the first of the warnings ends by itself, the zero time if there is none.
func (w *warnings) firstEnd() (first time.Time) {
	for i := range w.active {
		if until := w.active[i].until; first.IsZero() || until.Before(first) {
			first = until
		}
	}
	return first
}
