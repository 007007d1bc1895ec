// SPDX-License-Identifier: Apache-2.0

package vrrp

import "time"

// A Debounce says how long a change of an interface must last before it counts. The zero Debounce: every change counts at once.
type Debounce struct {
	// UpDelay is for an interface that works again, DownDelay for one that fails.
	UpDelay   time.Duration `json:"up_delay,omitempty"`
	DownDelay time.Duration `json:"down_delay,omitempty"`
}

// A Debounced is the state of an interface that counts. The zero Debounced knows none.
type Debounced struct {
	counts Cause // the fault; the zero Cause: the interface works
	known  bool
	since  time.Time // when the state began to differ from counts; the zero time: it does not differ
}

// Step returns the fault that counts when the interface has the fault is, the zero Cause if it works. The first state counts at once.
// due is when the result may change without another change of the interface, the zero time: never.
func (d *Debounced) Step(now time.Time, is Cause, by Debounce) (counts Cause, due time.Time) {
	works, worked := is.Kind == 0, d.counts.Kind == 0
	if !d.known || works == worked {
		*d = Debounced{counts: is, known: true}
		return is, time.Time{}
	}
	if d.since.IsZero() {
		d.since = now
	}
	delay := by.DownDelay
	if works {
		delay = by.UpDelay
	}
	if due = d.since.Add(delay); now.Before(due) {
		return d.counts, due
	}
	*d = Debounced{counts: is, known: true}
	return is, time.Time{}
}
