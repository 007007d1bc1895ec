// SPDX-License-Identifier: Apache-2.0

package healthcheck

import "time"

// A flapping records the recent changes of a target's health. It is a value.
type flapping struct {
	changes   []time.Time // the latest ones, at most as many as make the target flap
	is        bool
	heldUntil time.Time // the target does not become healthy before; zero: it is not held
}

// step returns the value after a result. changed says whether the result changed the health.
func (f flapping) step(now time.Time, changed bool, c Flap) (next flapping, turn FlapTurn) {
	if c.Changes == 0 {
		return flapping{}, f.turn(false)
	}
	if !f.heldUntil.IsZero() && !f.held(now) {
		// The hold is over. Earlier changes no longer count, nor does the change to healthy that may end the hold.
		f, changed = flapping{is: f.is}, false
	}
	kept := make([]time.Time, 0, c.Changes)
	for _, at := range f.changes {
		if now.Sub(at) < c.Window {
			kept = append(kept, at)
		}
	}
	if changed {
		kept = append(kept, now)
	}
	kept = kept[max(0, len(kept)-c.Changes):]
	next = flapping{changes: kept, is: len(kept) == c.Changes, heldUntil: f.heldUntil}
	if next.is && changed && c.Hold > 0 && !f.held(now) {
		next.heldUntil = now.Add(c.Hold)
	}
	return next, f.turn(next.is)
}

// turn returns whether the target begins or ends flapping when next is recorded.
func (f flapping) turn(next bool) FlapTurn {
	switch {
	case next && !f.is:
		return FlapBegan
	case f.is && !next:
		return FlapEnded
	}
	return 0
}

// held reports whether the target must not become healthy yet.
func (f flapping) held(now time.Time) bool { return now.Before(f.heldUntil) }
