// SPDX-License-Identifier: Apache-2.0

package healthcheck

// A tracker is the rise and fall of one target, a value.
//
// From unknown, the first success makes a target healthy: a server that was just configured serves as soon as it has
// answered. Failures must come Fall in a row from unknown too. That matters where the kernel has the server at a weight
// already, because the director was restarted: one lost probe does not take it out.
type tracker struct {
	health Health
	streak int // results in a row like the last: successes count up from 1, failures down from -1
}

// undecided tells whether the latest results contradict the health and are too few to change it.
func (t tracker) undecided(rise int) bool {
	return t.health != Unhealthy && t.streak < 0 || t.health == Unhealthy && 0 < t.streak && t.streak < rise
}

// step takes in one result.
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
