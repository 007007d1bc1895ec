// SPDX-License-Identifier: Apache-2.0

package healthcheck

import "time"

// A flapping is what is known of a target's changes of health, a value.
type flapping struct {
	changes   []time.Time // the latest, at most as many as make a flap
	is        bool
	heldUntil time.Time // until then it does not become healthy; zero: it is not held
}

// step takes in the health after a result and whether it has just changed. began and ended tell of the turns of is.
func (f flapping) step(now time.Time, changed bool, c Flap) (next flapping, began, ended bool) {
	if c.Changes == 0 {
		return flapping{}, false, f.is
	}
	if !f.heldUntil.IsZero() && !f.held(now) {
		// The hold is over. What came before it counts no more, and neither does that the target may be healthy again.
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
	return next, next.is && !f.is, f.is && !next.is
}

// held tells whether the target is kept from becoming healthy.
func (f flapping) held(now time.Time) bool { return now.Before(f.heldUntil) }
