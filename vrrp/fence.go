// SPDX-License-Identifier: Apache-2.0

package vrrp

import "time"

// A fenced router does not take over from a silent master before somebody has made sure that this master is off: a power switch,
// or the API of a cloud. It claims the place, stays backup, and takes over when its claim is granted. A master that leaves, or that is
// preempted, is alive and gives way by itself: then no fencing is needed. A router that has witnesses claims only if one answers:
// otherwise the director that is cut off would switch off the other one.

// Claim is Status.Claim.
func (m *Machine) Claim() uint64 { return m.claim }

// fence makes a fenced router claim the place of a silent master, and reports whether it must wait. The number comes from the
// clock, so that a grant of an earlier process counts for nothing.
func (m *Machine) fence(now time.Time) bool {
	if !m.cfg.Fenced || m.claim != 0 && m.claim == m.granted {
		return false
	}
	told := m.claim != 0 && m.cause.Kind == CauseFences
	if !m.waitInstead(now, CauseFences, told) {
		return false
	}
	if m.claim == 0 {
		m.claim = uint64(now.UnixNano())
	}
	return true
}

// claiming reports whether the router waits for a grant.
func (m *Machine) claiming() bool { return m.claim != 0 && m.claim != m.granted }

// seeGrant takes a grant. If it is of the present claim, the router takes over at its next step: the former master is off, and the
// time that has passed is no stall.
func (m *Machine) seeGrant(now time.Time, claim uint64) {
	m.granted = claim
	if m.claim != 0 && claim == m.claim && m.back {
		m.back, m.deadline = false, now
	}
}
