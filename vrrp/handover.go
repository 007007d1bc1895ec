// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"net/netip"
	"time"
)

const (
	// priorityStandby is that of a router in standby: the lowest, which preempts nobody and still takes over.
	priorityStandby = 1
	// Linger is how long a router whose successor was heard keeps the VIPs. The successor advertises first, then
	// adds its addresses and announces them, which takes it some 100 µs, and some 10 ms on a busy machine. Two may
	// answer for an address for a fifth of a second and do no harm as long as one of them alone announces it.
	Linger = 50 * time.Millisecond
)

// An offer is the place that a master leaves to whoever takes it; the zero offer is none. It cannot know whether a
// backup is there, for backups are silent: it finds out by priority 0, then the successor's first advertisement, or
// silence.
type offer struct {
	then     State     // what the router is afterwards
	retake   bool      // it is master again when nobody took over
	repeated bool      // priority 0 was sent a second time
	until    time.Time // when nobody took over
}

func (m *Machine) offering() bool { return m.offer.then != 0 }

func (m *Machine) lingering() bool { return !m.linger.IsZero() }

// hand makes the offer. A backup of the worst priority acts on it within one skew time.
func (m *Machine) hand(now time.Time, then State, cause Cause) {
	interval := m.cfg.AdvertInterval
	m.advertise(PriorityLeaving)
	m.master = netip.Addr{}
	// Every backup that heard the first offer has acted on it by the time of the second, which is for
	// those that did not: it can prolong nobody's wait.
	m.deadline = now.Add(interval + interval/2)
	m.offer = offer{then: then, until: now.Add(2*interval + Skew(priorityStandby, interval))}
	if then == Fault {
		m.transition(now, Fault, cause)
	} else {
		m.remark(cause)
	}
}

func (m *Machine) offerAgain(now time.Time) {
	if !m.offer.repeated && now.Before(m.offer.until) {
		m.offer.repeated = true
		m.advertise(PriorityLeaving)
		m.deadline = m.offer.until
		return
	}
	nobody := Cause{Kind: CauseNobody}
	o := m.offer
	m.offer = offer{}
	switch {
	case o.retake:
		m.standby = false
		m.lead(now, nobody)
	case o.then == Backup:
		m.holding = false
		m.follow(now, m.cfg.AdvertInterval)
		m.transition(now, Backup, nobody)
	case o.then == m.state:
		m.rest()
		m.release(nobody)
	default:
		m.rest()
		m.transition(now, o.then, nobody)
	}
}

// succeeded ends the offer: somebody has taken it.
func (m *Machine) succeeded(now time.Time, ev Event) {
	then, cause := m.offer.then, Cause{Kind: CauseTookOver, Peer: ev.Source}
	m.offer, m.linger = offer{}, now.Add(Linger)
	switch then {
	case Backup:
		m.follow(now, ev.Interval)
		m.master = ev.Source
		m.transition(now, Backup, cause)
	case m.state:
		m.rest()
	default:
		m.rest()
		m.transition(now, then, cause)
	}
}

// stay takes the offer back before anybody accepted it, so nobody has to be preempted; one that is for standby stands.
func (m *Machine) stay(now time.Time, why CauseKind) {
	if m.standby {
		m.offer.then, m.offer.retake = Backup, true
		if m.state != Master {
			m.transition(now, Master, Cause{Kind: CauseStandby})
		}
		return
	}
	m.lead(now, Cause{Kind: why})
}

func (m *Machine) release(cause Cause) {
	m.holding, m.linger = false, time.Time{}
	m.actions = append(m.actions, Action{Kind: ActionRelease, Cause: cause})
}

// fault leaves no master. A gentle one hands over what it has, the other cannot.
func (m *Machine) fault(now time.Time, ev Event) {
	if !ev.Gentle {
		m.drop(now, ev.Cause)
	}
	switch {
	case m.stopped:
	case m.state == Fault:
		m.cause = ev.Cause
	case m.offering():
		m.offer.then, m.offer.retake = Fault, false
		m.transition(now, Fault, ev.Cause)
	case m.state == Master && ev.Gentle:
		m.hand(now, Fault, ev.Cause)
	default:
		if m.state == Master && m.holding {
			// It gets out where the link itself is not what failed, and saves the peer the wait.
			m.advertise(PriorityLeaving)
		}
		m.rest()
		m.transition(now, Fault, ev.Cause)
	}
}

// drop ends a hand-over for which there is no link any more.
func (m *Machine) drop(now time.Time, cause Cause) {
	if !m.HandingOver() {
		return
	}
	offered := m.offering()
	m.offer = offer{}
	m.release(cause)
	if offered {
		m.rest()
	}
	if m.stopped && m.state != Initialize {
		m.transition(now, Initialize, cause)
	}
}

// stop is the Shutdown event of RFC 9568, sections 6.4.2 and 6.4.3, except that a master keeps the VIPs for now.
func (m *Machine) stop(now time.Time, cause Cause) {
	if m.stopped {
		return
	}
	m.stopped = true
	switch {
	case m.offering():
		m.offer.then, m.offer.retake = Initialize, false
		m.remark(cause)
	case m.state == Master:
		m.hand(now, Initialize, cause)
	case m.state != Initialize:
		m.rest()
		m.transition(now, Initialize, cause)
	}
}

func (m *Machine) standBy(now time.Time, on bool) {
	was := m.standby
	m.standby = on
	switch {
	case on && m.state == Master && !m.offering():
		m.hand(now, Backup, Cause{Kind: CauseStandby})
		m.offer.retake = true
	case !on && was && m.offer.retake:
		m.stay(now, CauseStayed)
	default:
		m.rearm(now)
	}
}

// join obeys the sync group. A member that goes down with its group does not come up alone when nobody took over: its
// group would follow it, and meet the master that it has just given way to.
func (m *Machine) join(now time.Time, to State, cause Cause) {
	switch {
	case m.stopped:
	case to == Master && m.ready:
		m.lead(now, cause)
	case to == Backup && m.state == Master && !m.offering():
		m.hand(now, Backup, cause)
	case to == Backup && m.offer.then == Backup:
		m.offer.retake = false
	}
}
