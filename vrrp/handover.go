// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"net/netip"
	"time"
)

const (
	// priorityStandby is the priority of a router in standby. It is the lowest one: it preempts no master, but still takes
	// over if the master is gone.
	priorityStandby = 1
	// Linger is how long a router keeps the VIPs after it heard its successor announce them. Its neighbours have heard that
	// too, but a gateway acts on it only after some milliseconds. Two machines may answer for an address for 200 ms without
	// harm, as long as only one of them announces it.
	Linger = 50 * time.Millisecond
	// maxSilence is how long a router waits at most for that announcement, whatever the advertisement interval.
	maxSilence = time.Second
	// offerMargin is added to the time that a backup needs to answer an offer. The backup's timer, its advertisement and our
	// own wake-up may all be late.
	offerMargin = 50 * time.Millisecond
	// maxPlacing is how long the first advertisement of a successor with a virtual MAC address waits at most until the VIPs are
	// on the interface. A fifth of the interval is the other limit.
	maxPlacing = 20 * time.Millisecond
)

// OfferTime returns how long a master offers its place. If no successor is heard in this time, there is no backup that takes
// over. A backup that misses both offers waits for its Active_Down_Interval, which began with the last advertisement.
func (c *Config) OfferTime() time.Duration {
	// In version 2 the skew time is that of an interval of 1 s, the shortest interval of that version.
	return c.DownTime(priorityStandby) + max(offerMargin, c.AdvertInterval/10)
}

// placesFirst reports whether a new master advertises only when the VIPs are on its interface: if it has a virtual MAC address,
// and the master that it replaces still serves. The advertisement makes the switches send the packets for the VIPs to this port.
// Until then the other master answers.
func (m *Machine) placesFirst() bool {
	return m.state == Backup && !m.holding && m.cfg.VirtualMAC && m.cfg.hasVIPs() &&
		(m.zero.IsValid() || m.lower.source.IsValid())
}

// placed sends the first advertisement of a new master that has waited for its VIPs.
func (m *Machine) placed(now time.Time) {
	if m.placing {
		m.advertise(m.Priority())
		m.deadline = now.Add(m.cfg.AdvertInterval)
	}
}

// MaxLinger returns how long a router with this configuration keeps the VIPs at most after it heard a successor's
// advertisement. The successor advertises first, then adds its addresses and announces them. This usually takes about 100 µs,
// but some hundred milliseconds if other programs keep the kernel from changing addresses. The router ends it earlier when the
// successor announces them (EventAnnounced).
//
// If both routers have the same virtual MAC address, there is nothing to wait for: an announcement of the successor looks like
// one of ours. Each answer of this router makes the switches send the packets for the VIPs to the wrong port. Without VIPs there
// is nothing to announce.
func MaxLinger(c *Config) time.Duration {
	if c.unannounced() {
		return Linger
	}
	return min(c.AdvertInterval, maxSilence) + Linger
}

// unannounced reports whether a successor is not heard to announce the VIPs.
func (c *Config) unannounced() bool { return c.VirtualMAC || !c.hasVIPs() }

func (c *Config) hasVIPs() bool { return len(c.VIPs)+len(c.ExcludedVIPs) > 0 }

// An offer is a master's offer of its place. The zero offer is none. Backups are silent, so a master does not know whether
// there is one. It sends priority 0 and waits for a successor's advertisement.
type offer struct {
	then     State     // the state of the router afterwards
	retake   bool      // it is master again if nobody takes over
	repeated bool      // priority 0 was sent a second time
	until    time.Time // when the offer ends
}

func (m *Machine) offering() bool { return m.offer.then != 0 }

func (m *Machine) lingering() bool { return !m.linger.IsZero() }

// hand offers the place of the master to the backups. After that the router is in the state then. A backup of the lowest
// priority acts on it within one skew time. A master that stood still has nothing to offer: it does not hold the VIPs.
func (m *Machine) hand(now time.Time, then State, cause Cause) {
	interval := m.cfg.AdvertInterval
	switch {
	case m.listens && then == Backup:
		m.armDownTimerAfter(m.stallIntervals(), now, interval)
		m.transition(now, then, cause)
		m.failAgain(now)
		return
	case m.listens:
		m.idle()
		m.transition(now, then, cause)
		if then == Fault {
			m.watch(now)
		}
		return
	}
	m.advertise(PriorityLeaving)
	m.master = netip.Addr{}
	m.holding = m.holding && !breaksFirst
	// The second offer is for backups that missed the first. Those that heard the first have acted by then, so the second
	// does not make them wait longer.
	m.deadline = now.Add(interval + interval/2)
	m.offer = offer{then: then, until: now.Add(m.cfg.OfferTime())}
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
		// Nobody has answered for the whole offer. Only the skew time of the Active_Down_Timer is left. If a member of a sync
		// group waited for the whole timer again, the others could not become master in that time.
		m.armDownTimerAfter(m.cfg.DownCount(), now, m.cfg.AdvertInterval)
		m.transition(now, Backup, nobody)
		m.failAgain(now)
	case o.then == Fault && m.isUnfit():
		m.lead(now, m.lastResort())
	case o.then == m.state:
		m.idle()
		m.release(nobody)
	default:
		m.idle()
		m.transition(now, o.then, nobody)
	}
}

// advertToOffer handles an advertisement that a router has received while it offers its place. Priority 0 is that of another master
// which leaves too. To a member whose sync group is backup already, it is a successor whose first advertisement was lost: the member
// goes the way of its group. If it went on offering, the group could not take over from the one that leaves.
func (m *Machine) advertToOffer(now time.Time, ev *Event) {
	leaves := ev.Priority == PriorityLeaving
	if leaves && (m.offer.then != Backup || m.offer.retake) {
		return
	}
	m.succeeded(now, ev)
	if leaves {
		m.advertToBackup(now, ev)
	}
}

// succeeded ends the offer when a successor was heard.
func (m *Machine) succeeded(now time.Time, ev *Event) {
	then, cause := m.offer.then, Cause{Kind: CauseTookOver, Peer: ev.Source}
	m.offer = offer{}
	m.lingerUntil(now.Add(MaxLinger(&m.cfg)), ev.Source)
	switch then {
	case Backup:
		m.armDownTimer(now, ev.Interval)
		m.master = ev.Source
		m.transition(now, Backup, cause)
		m.failAgain(now)
	case m.state:
		m.idle()
		if m.isUnfit() && then == Fault {
			m.advertToUnfit(now, ev)
		}
	default:
		m.idle()
		m.transition(now, then, cause)
	}
}

// lingerUntil makes the router keep the VIPs until a time at the latest, for a successor.
func (m *Machine) lingerUntil(t time.Time, successor netip.Addr) {
	m.linger, m.successor, m.announcedTo = t, successor, false
}

// endLinger forgets the successor: the router has removed the VIPs, or is master again.
func (m *Machine) endLinger() { m.lingerUntil(time.Time{}, netip.Addr{}) }

// heardAnnouncement handles the announcement of all VIPs by the successor.
func (m *Machine) heardAnnouncement(now time.Time) {
	if !m.lingering() || m.announcedTo {
		return
	}
	m.announcedTo = true
	if end := now.Add(Linger); end.Before(m.linger) {
		m.linger = end
	}
}

// lingered returns why the VIPs are removed when the router has kept them for long enough.
func (m *Machine) lingered() Cause {
	if m.announcedTo || m.cfg.unannounced() {
		return Cause{Kind: CauseSuccessor}
	}
	return Cause{Kind: CauseUnannounced, Peer: m.successor}
}

// stay cancels an offer that no peer has accepted yet, and the router stays master. No peer has to be preempted. An offer for
// standby is not cancelled.
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
	m.holding = false
	m.endLinger()
	m.actions = append(m.actions, Action{Kind: ActionRelease, Cause: cause})
}

// fault puts the router into Fault, or changes the cause of a present fault. If the fault is gentle, a master hands over first.
// After any other fault it cannot.
func (m *Machine) fault(now time.Time, ev *Event) {
	if !ev.Gentle {
		m.endHandOver(now, *ev.Cause)
	}
	before := m.isUnfit()
	if m.unfit = (Cause{}); ev.Gentle && ev.LastResort {
		m.unfit = *ev.Cause
	}
	if ev.Source.IsValid() {
		m.source = ev.Source
	}
	switch {
	case m.stopped:
		m.alone = m.alone && m.isUnfit()
	case m.alone && m.isUnfit(): // it has offered its place, and nobody took over
	case m.state == Fault:
		m.setCause(*ev.Cause)
		if !m.offering() && m.isUnfit() != before {
			m.watch(now)
		}
	case m.offering():
		m.offer.then, m.offer.retake = Fault, false
		m.transition(now, Fault, *ev.Cause)
	case m.state == Master && ev.Gentle:
		m.hand(now, Fault, *ev.Cause)
	default:
		if m.state == Master && m.holding {
			// If the link works, the peer hears this and need not wait.
			m.advertise(PriorityLeaving)
		}
		m.idle()
		m.transition(now, Fault, *ev.Cause)
		m.watch(now)
	}
}

// endHandOver ends a hand-over because the link is gone.
func (m *Machine) endHandOver(now time.Time, cause Cause) {
	if !m.HandingOver() {
		return
	}
	offered := m.offering()
	m.offer = offer{}
	m.release(cause)
	if offered {
		m.idle()
	}
	if m.stopped && m.state != Initialize {
		m.transition(now, Initialize, cause)
	}
}

// stop handles the Shutdown event of RFC 9568, sections 6.4.2 and 6.4.3. Unlike there, a master keeps the VIPs until a
// successor has them.
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
		m.idle()
		m.transition(now, Initialize, cause)
	}
}

func (m *Machine) standBy(now time.Time, on bool) {
	was := m.standby
	m.standby = on
	switch {
	case on && m.state == Master && !m.offering():
		m.hand(now, Backup, Cause{Kind: CauseStandby})
		m.offer.retake = m.offering()
	case !on && was && m.offer.retake:
		m.stay(now, CauseStayed)
	default:
		m.rearm(now)
	}
}

// join moves the router to the state that its sync group has decided. A member that becomes backup with its group does not
// become master again if nobody takes over. Otherwise its group would follow it, and compete with the master that the group has
// just given way to.
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
