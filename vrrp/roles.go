// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"net/netip"
	"time"
)

// stallIntervals is the lateness, in advertisement intervals, from which a master's peers may have replaced it. The master has
// then been silent for one interval more: the one before the missing advertisement.
func (m *Machine) stallIntervals() int { return m.cfg.DownCount() - 1 }

// answersPerInterval is the maximum number of answers to other masters' advertisements that a master sends in an interval. A
// few routers that advertise by mistake are answered at once. A flood of forged packets must not cause a flood of answers.
const answersPerInterval = 10

// lead makes this router master. It advertises before anything else: until other routers hear the advertisement, they may
// become master as well. See placesFirst for the exception.
func (m *Machine) lead(now time.Time, cause Cause) {
	placing := m.placesFirst()
	if placing {
		m.deadline = now.Add(min(maxPlacing, m.cfg.AdvertInterval/5))
	} else {
		m.advertise(m.priorityAs(Master))
		m.deadline = now.Add(m.cfg.AdvertInterval)
	}
	m.endLinger()
	m.offer, m.ready, m.listens = offer{}, false, false
	former := m.master
	m.master, m.holding, m.alone = m.source, true, m.isUnfit()
	if m.state == Master {
		m.remark(cause)
	} else {
		m.predecessor = former
		m.transition(now, Master, cause)
	}
	m.placing = placing
}

func (m *Machine) timer(now time.Time) {
	if m.lingering() && !now.Before(m.linger) {
		m.release(m.lingered())
	}
	m.hush(now)
	switch {
	case m.ready || m.back || m.deadline.IsZero() || now.Before(m.deadline):
	case m.offering():
		m.offerAgain(now)
	case m.listen(now):
	case m.standBack(now), m.fence(now):
	case m.state == Backup && m.cfg.SyncGroup != "":
		m.ready = true
	case m.state == Fault && m.cfg.SyncGroup != "":
		m.ready = true
	case m.state == Fault:
		m.lead(now, m.lastResort())
	case m.state == Backup:
		m.lead(now, m.whyLead(now))
	case m.state == Master && m.listens:
		m.lead(now, Cause{Kind: CauseStoodStill})
	case m.state == Master:
		m.advertise(m.Priority())
		// The next deadline counts from the old deadline, not from now: lateness must not add up.
		m.deadline = m.deadline.Add(m.cfg.AdvertInterval)
		if !m.deadline.After(now) {
			m.deadline = now.Add(m.cfg.AdvertInterval)
		}
	}
}

// listen makes a router that stood still wait for another master's next advertisement before it sends its own. It reports
// whether it waits. Packets that were sent meanwhile may be lost, as when a whole machine is paused. A master gives up the
// VIPs for that time: a successor has them. An owner of the addresses yields to nobody and does not listen.
func (m *Machine) listen(now time.Time) bool {
	late := now.Sub(m.deadline)
	switch {
	case m.Priority() == PriorityOwner:
		return false
	case m.state == Master:
		// One interval more than DownCount after the last advertisement, every backup has taken over.
		interval := m.cfg.AdvertInterval
		if m.listens || late < time.Duration(m.cfg.DownCount())*interval {
			return false
		}
		m.listens, m.deadline = true, now.Add(interval+m.skew(interval))
		m.master, m.holding = netip.Addr{}, false
		m.endLinger()
		m.remark(Cause{Kind: CauseListens, Wait: late.Round(time.Millisecond)})
	case m.state == Backup, m.state == Fault:
		interval, master, held := m.learned, m.master, m.held
		if m.lower.source.IsValid() {
			interval = m.lower.interval
		}
		if late < time.Duration(m.stallIntervals())*interval {
			return false
		}
		m.armDownTimerAfter(m.stallIntervals(), now, interval)
		m.master, m.held = master, held
	}
	return true
}

func (m *Machine) advert(now time.Time, ev *Event) {
	switch {
	case !m.hear(now, ev):
	case m.offering():
		m.advertToOffer(now, ev)
	case m.state == Backup:
		m.advertToBackup(now, ev)
	case m.state == Fault && m.isUnfit() && !m.stopped:
		m.advertToUnfit(now, ev)
	case m.state == Master:
		m.advertToMaster(now, ev)
	}
}

// advertToBackup handles an advertisement that a backup has received (RFC 9568, section 6.4.2).
func (m *Machine) advertToBackup(now time.Time, ev *Event) {
	if m.back {
		defer m.remark(Cause{Kind: CauseHeardAgain, Peer: ev.Source})
	}
	switch {
	case ev.Priority == PriorityLeaving:
		ready, due := m.ready, m.deadline
		m.back, m.hushed, m.claim = false, true, 0
		m.base, m.zero, m.lower, m.held, m.master = now, ev.Source, rival{}, rival{}, netip.Addr{}
		m.rearm(now)
		if ready {
			// A member of a sync group that could be master already does not wait again. Its group may have been told to take
			// over at this moment: the other director leaves because it has heard another member of ours.
			m.ready, m.deadline = true, due
		}
	case !m.preempts(ev.Priority):
		r := rival{ev.Source, ev.Priority, ev.Interval, m.firstHeard(now), now}
		m.armDownTimer(now, ev.Interval)
		m.master = ev.Source
		m.hold(r)
	default:
		first := m.firstHeard(now)
		m.back, m.hushed, m.claim = false, false, 0
		m.lower = rival{ev.Source, ev.Priority, ev.Interval, first, now}
		if !m.master.IsValid() {
			m.master = ev.Source
		}
		m.rearm(now)
	}
}

// outranks reports whether this router preempts a master of the priority, now or when it is synced.
func (m *Machine) outranks(priority uint8) bool {
	own := m.Priority()
	// RFC 9568, section 6.1: the owner of the addresses preempts whatever Preempt_Mode says.
	return priority < own && (m.cfg.Preempt || own == PriorityOwner)
}

// advertToMaster handles an advertisement that a master has received (RFC 9568, section 6.4.3), with two exceptions. After a
// stall the sender has taken over: this router becomes backup, and preempts like any other backup. A router that gives way
// advertises once more before that. So the other master learns that neighbours may have this router's MAC address for the VIPs,
// and announces the VIPs again.
func (m *Machine) advertToMaster(now time.Time, ev *Event) {
	own, stalled := m.Priority(), m.listens || now.Sub(m.deadline) >= time.Duration(m.stallIntervals())*m.cfg.AdvertInterval
	switch {
	case ev.Priority == PriorityLeaving && m.listens:
		m.lead(now, Cause{Kind: CauseMasterLeft, Peer: ev.Source})
	case ev.Priority == PriorityLeaving:
		if m.answer(now) {
			m.deadline = now.Add(m.cfg.AdvertInterval)
		}
	case stalled:
		m.yield(now, ev, Cause{Kind: CauseStalled, Peer: ev.Source})
		m.holding = false
		m.endLinger()
	case ev.Priority > own:
		m.advertise(own)
		m.yield(now, ev, Cause{Kind: CauseHigherPriority, Priority: ev.Priority, Peer: ev.Source})
	case ev.Priority == own && m.PathSource(m.paths.compared).Less(ev.Source):
		m.advertise(own)
		m.yield(now, ev, Cause{Kind: CauseHigherAddress, Priority: ev.Priority, Peer: ev.Source})
	default:
		// The answer corrects the sender and the switches at once.
		m.answer(now)
	}
}

// answer sends an advertisement at once as the answer to another master, but only a few in each interval. It reports whether it
// sent one.
func (m *Machine) answer(now time.Time) bool {
	if m.answersSince.IsZero() || now.Sub(m.answersSince) >= m.cfg.AdvertInterval {
		m.answersSince, m.answers = now, 0
	}
	if m.answers == answersPerInterval {
		m.withheld++
		return false
	}
	m.answers++
	m.advertise(m.Priority())
	return true
}

// yield makes a master the backup of another master. The other one may have just preempted it: then it has no addresses yet, and
// this router keeps the VIPs until the other one announces them, as after an offer. Or two masters have not heard each other
// for a while, and both have the addresses. Then the other one announces them again at once, because it hears this router's
// last advertisement, and this router removes its own 50 ms after that. The clients of both are served meanwhile.
//
// If no announcement is heard, this router removes the VIPs 50 ms after its next advertisement would have been due. The other
// one would have answered the last advertisement if it had been a master that heard it. So if two masters hear each other, both
// have the VIPs for no longer than an interval and 50 ms.
func (m *Machine) yield(now time.Time, ev *Event, cause Cause) {
	until := later(m.deadline, now).Add(Linger)
	if latest := now.Add(MaxLinger(&m.cfg)); latest.Before(until) {
		until = latest
	}
	m.lingerUntil(until, ev.Source)
	m.armDownTimer(now, ev.Interval)
	m.master = ev.Source
	m.transition(now, Backup, cause)
	m.failAgain(now)
}
