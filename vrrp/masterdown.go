// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"net/netip"
	"time"
)

// DownAdverts is the usual number of advertisement intervals after which a silent master counts as gone. The backup's skew
// time is added to them (RFC 9568, section 6.1: Active_Down_Interval).
const DownAdverts = 3

// MaxDownAdverts is the greatest number that can be configured.
const MaxDownAdverts = 20

// armDownTimer sets the Active_Down_Timer for a master that advertises at the interval.
func (m *Machine) armDownTimer(now time.Time, interval time.Duration) {
	m.learned, m.base, m.ready = interval, now, false
	m.back, m.hushed, m.claim = false, false, 0
	m.zero, m.lower, m.held = netip.Addr{}, rival{}, rival{}
	m.deadline = later(now.Add(m.downInterval(interval)), m.earliest)
}

// armDownTimerAfter sets the Active_Down_Timer as if the master's last advertisement had come a number of intervals before now.
func (m *Machine) armDownTimerAfter(intervals int, now time.Time, interval time.Duration) {
	m.armDownTimer(now.Add(-time.Duration(intervals)*interval), interval)
}

// rearm computes the Active_Down_Timer again after one of the values that it depends on has changed.
//
// A master of lower priority is preempted when the timer that was set before its first advertisement ends, as in the RFC, but
// not before PreemptDelay has passed. If it falls silent before that, it is replaced like any master.
func (m *Machine) rearm(now time.Time) {
	if m.state != Backup {
		return
	}
	if r := m.lower; r.source.IsValid() && !m.preempts(r.priority) {
		m.armDownTimer(r.last, r.interval)
		m.master = r.source
		m.hold(r)
	}
	if r := m.held; r.source.IsValid() && !m.outranks(r.priority) {
		m.held = rival{}
	}
	wait := m.downInterval(m.learned)
	if m.zero.IsValid() {
		wait = m.skew(m.learned)
	}
	due := m.base.Add(wait)
	if r := m.lower; r.source.IsValid() {
		due = later(due, r.first.Add(m.cfg.PreemptDelay))
		if dead := r.last.Add(m.downInterval(r.interval)); dead.Before(due) {
			due = dead
		}
	}
	m.deadline = later(due, m.earliest)
	m.ready = m.ready && m.cfg.SyncGroup != "" && !m.deadline.After(now)
}

// whyLead returns why the Active_Down_Timer ended.
func (m *Machine) whyLead(now time.Time) Cause {
	r, heard := m.lower, m.base
	if r.source.IsValid() {
		heard = r.last
	}
	silence := now.Sub(heard).Round(time.Millisecond)
	switch {
	case m.zero.IsValid() && !r.source.IsValid():
		return Cause{Kind: CauseMasterLeft, Peer: m.zero}
	case r.source.IsValid() && now.Before(r.last.Add(m.downInterval(r.interval))):
		return Cause{Kind: CausePreempts, Own: m.Priority(), Priority: r.priority, Peer: r.source}
	}
	return Cause{Kind: CauseSilence, Wait: silence, Peer: m.master}
}

// Skew returns the Skew_Time of a priority (RFC 9568, section 6.1). The higher the priority, the shorter it is.
func Skew(priority uint8, interval time.Duration) time.Duration {
	return interval * time.Duration(256-int(priority)) / 256
}

// skew returns this router's Skew_Time after a master that advertises at the interval. In version 2 it does not depend on the
// interval (RFC 3768, section 6.1).
func (m *Machine) skew(interval time.Duration) time.Duration {
	if m.cfg.Version == Version2 {
		interval = time.Second
	}
	if m.isUnfit() {
		return Skew(m.cfg.Priority, interval) // so that of several unfit routers one is the first
	}
	return Skew(m.Priority(), interval)
}

// downInterval returns the Active_Down_Interval after a master that advertises at the interval (RFC 9568, section 6.1).
func (m *Machine) downInterval(interval time.Duration) time.Duration {
	return time.Duration(m.cfg.DownCount())*interval + m.skew(interval)
}
