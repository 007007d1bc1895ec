// SPDX-License-Identifier: Apache-2.0

package vrrp

import "time"

// A router that comes back does not preempt its master before its director has the master's connections (Tracking.Unsynced): they would
// end. It only waits while somebody serves. A master that leaves or falls silent is replaced at once, and also a master at priority 1:
// that one cannot serve, or stands by, and waits for somebody else. Who gives the order to wait bounds the time.

// holds reports whether the router waits, although it outranks the master of the priority.
func (m *Machine) holds(priority uint8) bool {
	return m.unsynced && priority != priorityStandby && m.Priority() != PriorityOwner
}

// preempts reports whether this router preempts a master of the priority now.
func (m *Machine) preempts(priority uint8) bool { return m.outranks(priority) && !m.holds(priority) }

// hold keeps the master that this router would preempt if it were synced.
func (m *Machine) hold(r rival) {
	if m.outranks(r.priority) {
		m.held = r
	}
}

// firstHeard returns since when a master of lower priority is heard.
func (m *Machine) firstHeard(now time.Time) time.Time {
	switch {
	case m.lower.source.IsValid():
		return m.lower.first
	case m.held.source.IsValid():
		return m.held.first
	}
	return now
}

// seeSync takes the order to wait, or its end. PreemptDelay counts from the first advertisement of the master. When it is over too, the
// router preempts at its next step. A router whose master has fallen silent is not concerned.
func (m *Machine) seeSync(now time.Time, unsynced bool) {
	m.unsynced = unsynced
	r := m.held
	if unsynced || !m.Held() {
		return
	}
	m.lower, m.held = r, rival{}
	m.base = now.Add(-m.downInterval(m.learned))
}

// Held is Status.Held. A router whose master has fallen silent is not held.
func (m *Machine) Held() bool {
	return m.state == Backup && m.held.source.IsValid() && !m.ready && !m.back
}

// Preempts is Status.Preempts.
func (m *Machine) Preempts() bool { return m.Held() || m.state == Backup && m.lower.source.IsValid() }
