// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"net/netip"
	"time"
)

// stallIntervals is by how many advertisement intervals a master must be late for its peers to have given it up: with
// the interval that the missing advertisement was due at the end of, it has been silent for three.
const stallIntervals = 2

func (m *Machine) timer(now time.Time) {
	if m.lingering() && !now.Before(m.linger) {
		m.release(Cause{Kind: CauseSuccessor})
	}
	switch {
	case m.ready || m.deadline.IsZero() || now.Before(m.deadline):
	case m.offering():
		m.offerAgain(now)
	case m.state == Backup && m.cfg.SyncGroup != "":
		m.ready = true
	case m.state == Backup:
		m.lead(now, m.whyLead(now))
	case m.state == Master:
		m.advertise(m.Priority())
		// From the old deadline rather than from now: lateness must not add up.
		m.deadline = m.deadline.Add(m.cfg.AdvertInterval)
		if !m.deadline.After(now) {
			m.deadline = now.Add(m.cfg.AdvertInterval)
		}
	}
}

func (m *Machine) advert(now time.Time, ev Event) {
	switch {
	case m.offering():
		if ev.Priority != PriorityLeaving {
			m.succeeded(now, ev)
		}
	case m.state == Backup:
		m.advertToBackup(now, ev)
	case m.state == Master:
		m.advertToMaster(now, ev)
	}
}

// advertToBackup is RFC 9568, section 6.4.2.
func (m *Machine) advertToBackup(now time.Time, ev Event) {
	switch {
	case ev.Priority == PriorityLeaving:
		m.base, m.zero, m.lower, m.master = now, ev.Source, rival{}, netip.Addr{}
		m.rearm(now)
	case !m.outranks(ev.Priority):
		m.follow(now, ev.Interval)
		m.master = ev.Source
	default:
		first := now
		if m.lower.source.IsValid() {
			first = m.lower.first
		}
		m.lower = rival{ev.Source, ev.Priority, ev.Interval, first, now}
		if !m.master.IsValid() {
			m.master = ev.Source
		}
		m.rearm(now)
	}
}

// outranks reports whether a master of the priority is to be preempted.
func (m *Machine) outranks(priority uint8) bool {
	own := m.Priority()
	// RFC 9568, section 6.1: the owner of the addresses preempts whatever Preempt_Mode says.
	return priority < own && (m.cfg.Preempt || own == PriorityOwner)
}

// advertToMaster is RFC 9568, section 6.4.3, except after a stall: whoever speaks then has taken over, and this router
// must win its place back as any backup would.
func (m *Machine) advertToMaster(now time.Time, ev Event) {
	own, stalled := m.Priority(), now.Sub(m.deadline) >= stallIntervals*m.cfg.AdvertInterval
	switch {
	case ev.Priority == PriorityLeaving:
		m.advertise(own)
		m.deadline = now.Add(m.cfg.AdvertInterval)
	case stalled:
		m.yield(now, ev, Cause{Kind: CauseStalled, Peer: ev.Source})
		m.holding, m.linger = false, time.Time{}
	case ev.Priority > own:
		m.yield(now, ev, Cause{Kind: CauseHigherPriority, Priority: ev.Priority, Peer: ev.Source})
	case ev.Priority == own && m.source.Less(ev.Source):
		m.yield(now, ev, Cause{Kind: CauseHigherAddress, Priority: ev.Priority, Peer: ev.Source})
	default:
		// Answered at once, to put the sender and learning bridges right.
		m.advertise(own)
	}
}

func (m *Machine) yield(now time.Time, ev Event, cause Cause) {
	m.linger = now.Add(Linger)
	m.follow(now, ev.Interval)
	m.master = ev.Source
	m.transition(now, Backup, cause)
}

// rearm works the Active_Down_Timer out anew after its ingredients changed.
//
// A master of lower priority is preempted when the timer that was set before it was heard has run out, as in the RFC,
// but not before PreemptDelay has passed; where it dies before that, it is replaced as any master would be.
func (m *Machine) rearm(now time.Time) {
	if m.state != Backup {
		return
	}
	if r := m.lower; r.source.IsValid() && !m.outranks(r.priority) {
		m.follow(r.last, r.interval)
		m.master = r.source
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

// whyLead says why the Active_Down_Timer fired.
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

// Skew is RFC 9568, section 6.1, Skew_Time: the higher the priority, the sooner.
func Skew(priority uint8, interval time.Duration) time.Duration {
	return interval * time.Duration(256-int(priority)) / 256
}

// skew is our Skew_Time behind a master that advertises at the interval; in version 2 that does not matter (RFC 3768,
// section 6.1: it is a part of a second).
func (m *Machine) skew(interval time.Duration) time.Duration {
	if m.cfg.Version == Version2 {
		interval = time.Second
	}
	return Skew(m.Priority(), interval)
}

// downInterval is RFC 9568, section 6.1, Active_Down_Interval.
func (m *Machine) downInterval(interval time.Duration) time.Duration {
	return 3*interval + m.skew(interval)
}
