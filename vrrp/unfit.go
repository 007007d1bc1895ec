// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"net/netip"
	"time"
)

// A script that fails on all directors at the same time, because the script itself is wrong or because of what it looks at,
// would put all of them into Fault, and nobody would have the VIPs. So a router whose only fault is of this kind is unfit: it
// hands over and stays in Fault as with any other fault, but it listens. If it hears no master for a master-down interval, it
// becomes master at priority 1. A master to which nobody answers stays master. Every fit router preempts it.

// isUnfit reports whether the router's only fault is a failing script.
func (m *Machine) isUnfit() bool { return m.unfit.Kind != 0 }

// LastResort reports whether the router is master in spite of a fault, because no other master is heard.
func (m *Machine) LastResort() bool { return m.alone }

// lastResort returns the cause with which an unfit router becomes master.
func (m *Machine) lastResort() Cause {
	return Cause{Kind: CauseLastResort, Fault: m.unfit.Kind, Text: m.unfit.String()}
}

// watch starts the master-down timer of a router in Fault if the router is unfit, and stops the timer otherwise.
func (m *Machine) watch(now time.Time) {
	if !m.isUnfit() {
		m.master, m.deadline, m.ready = netip.Addr{}, time.Time{}, false
		return
	}
	if !m.started {
		m.started, m.earliest = true, now.Add(m.cfg.StartupDelay)
	}
	m.armDownTimer(now, max(m.learned, m.cfg.AdvertInterval))
}

// advertToUnfit restarts the timer of an unfit router that has heard a master. A master that offers its place may be unfit too,
// and stays master if nobody takes over.
func (m *Machine) advertToUnfit(now time.Time, ev *Event) {
	if ev.Priority == PriorityLeaving {
		m.watch(now)
		return
	}
	m.armDownTimer(now, ev.Interval)
	m.master = ev.Source
}

// failAgain returns an unfit router to Fault after it was master as the last resort. Its timer runs.
func (m *Machine) failAgain(now time.Time) {
	if m.isUnfit() {
		m.transition(now, Fault, m.unfit)
	}
}

// fit ends the fault of an unfit router. If the router is master in spite of the fault, it records the end of the fault.
func (m *Machine) fit() {
	over, was := m.unfit, m.alone
	m.unfit, m.alone = Cause{}, false
	if was && !m.offering() {
		over.Kind, over.Fault = CauseFaultOver, over.Kind
		m.remark(over)
	}
}
