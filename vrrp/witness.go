// SPDX-License-Identifier: Apache-2.0

package vrrp

import "time"

// A backup that hears nothing cannot know whether the master is dead or the network between the two is. If it has witnesses, and none
// of them answers, the fault is probably on its own side: then it stands back, and stays backup. When a witness answers again, the
// network is probably back, and the master may be heard soon: the router listens for the rest of a master-down interval, as after a
// stall, and takes over if it hears no master. To wait for a witness must not cost time when there is one: so the router
// tells early that its master is silent, and the witnesses are asked before its time to take over has come.

// hushTime returns the silence of a master from which the router is Silent: half an interval after the missing advertisement.
func hushTime(interval time.Duration) time.Duration { return interval + interval/2 }

// Silent reports whether the master of a backup with witnesses has missed an advertisement.
func (m *Machine) Silent() bool { return m.hushed && m.state == Backup && m.cfg.Witnessed }

// hushAt returns when the master will count as silent. It is the zero time if it does already, or if nobody wants to know.
func (m *Machine) hushAt() time.Time {
	if !m.cfg.Witnessed || m.hushed || m.state != Backup {
		return time.Time{}
	}
	if r := m.lower; r.source.IsValid() {
		return r.last.Add(hushTime(r.interval))
	}
	return m.base.Add(hushTime(m.learned))
}

func (m *Machine) hush(now time.Time) {
	if at := m.hushAt(); !at.IsZero() && !now.Before(at) {
		m.hushed = true
	}
}

// seeWitness takes a result of the witnesses. If the last one is lost while a member of a sync group waits for its group, or another
// claim is granted, the router decides again. Other results leave it ready: its group decides by that what it is told.
func (m *Machine) seeWitness(now time.Time, none, granted bool) {
	m.noWitness = none
	switch {
	case !none && m.back && m.claiming():
	case !none && m.back:
		master := m.master
		m.armDownTimerAfter(m.stallIntervals(), now, m.learned)
		m.master, m.hushed = master, true
	case (none || granted) && m.state == Backup && m.whyLead(now).Kind == CauseSilence:
		m.ready = false
	}
}

// standBack makes a router wait whose time to take over from a silent master has come, while no witness answers. It reports whether
// it does.
func (m *Machine) standBack(now time.Time) bool {
	return m.noWitness && m.waitInstead(now, CauseNoWitness, false)
}

// waitInstead makes a router wait for a cause whose time to take over from a silent master has come, and reports whether it does. A
// master that stood still is a backup then. told says that the cause is known already.
func (m *Machine) waitInstead(now time.Time, cause CauseKind, told bool) bool {
	why := m.whyLead(now)
	silent := why.Kind == CauseSilence
	why.Kind = cause
	switch {
	case m.state == Master && m.listens:
		m.armDownTimerAfter(m.cfg.DownCount(), now, m.cfg.AdvertInterval)
		why.Wait = now.Sub(m.base).Round(time.Millisecond)
		m.transition(now, Backup, why)
	case m.state == Backup && silent, m.state == Fault:
		if !told {
			m.remark(why)
		}
	default:
		return false
	}
	m.back = true
	return true
}
