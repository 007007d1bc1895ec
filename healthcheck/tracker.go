// SPDX-License-Identifier: Apache-2.0

package healthcheck

// A tracker counts the rise and fall of one target. It is a value.
//
// The first success makes an unknown target healthy: a newly configured server serves as soon as it answers. An unknown
// target becomes unhealthy only after Fall failures in a row: after a restart of the director the server may still have a
// weight in the kernel, and one lost probe must not remove it.
type tracker struct {
	health Health
	streak int // results in a row like the last: successes count up from 1, failures down from -1
}

// undecided reports whether the latest results contradict the health, but are too few to change it.
func (t tracker) undecided(rise int) bool {
	return t.health != Unhealthy && t.streak < 0 || t.health == Unhealthy && 0 < t.streak && t.streak < rise
}

// step returns the value after one result.
func (t tracker) step(success bool, rise, fall int) tracker {
	if success {
		t.streak = max(t.streak, 0) + 1
		if t.health == Unknown || t.streak >= rise {
			t.health = Healthy
		}
		return t
	}
	t.streak = min(t.streak, 0) - 1
	if -t.streak >= fall {
		t.health = Unhealthy
	}
	return t
}
