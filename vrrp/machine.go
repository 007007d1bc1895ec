// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"net/netip"
	"time"
)

//go:generate go tool stringer -type State,EventKind,ActionKind -linecomment -output names_string.go

// An EventKind says what happened to a virtual router.
type EventKind uint8

// The events.
const (
	// EventUp: the interface works. Source is our primary address on it.
	EventUp EventKind = iota + 1 // up
	// EventResume: the interface works, and this router was master a moment ago. Source is as for EventUp.
	EventResume // resume
	// EventFault: the router cannot take part. Cause, Gentle and LastResort describe the fault. Cause is never nil, also
	// below. Source is as for EventUp, where it is known.
	EventFault // fault
	// EventStop: leave for the reason Cause. A master hands over.
	EventStop // stop
	// EventTimer: the time of Deadline may have come.
	EventTimer // timer
	// EventAdvert: a good advertisement of Source was received on Path, with Priority and Interval.
	EventAdvert // advert
	// EventTracking: there are new tracking results, Delta, Unclear, NoWitness, Granted and Unsynced.
	EventTracking // tracking
	// EventStandby: enter standby if On, else end it. A master hands over.
	EventStandby // standby
	// EventJoin: the sync group decides that the router is to be To, for the reason Cause.
	EventJoin // join
	// EventAnnounced: another machine was heard to announce every VIP, since this router heard its Successor.
	EventAnnounced // announced
	// EventPlaced: all VIPs are on the interface now.
	EventPlaced // placed
	// EventConfig: the configuration has changed to Config, with the same VRID.
	EventConfig // config
)

// An Event is something that happened to a virtual router.
type Event struct {
	Kind     EventKind
	Priority uint8
	// Path is 0 for the Interface, or a path of the heartbeat, from 1.
	Path    uint8
	Unclear bool
	// NoWitness is as in Tracking.
	NoWitness bool
	// Granted is as in Tracking.
	Granted uint64
	// Unsynced is as in Tracking.
	Unsynced bool
	// Gentle says that the interface works in spite of the fault, so that a master can hand over.
	Gentle bool
	// LastResort says that the router is to be master in spite of a gentle fault if no other master is heard.
	LastResort bool
	On         bool
	To         State
	Delta      int
	Interval   time.Duration
	Source     netip.Addr
	Cause      *Cause
	Config     *Config
}

// An ActionKind is what the caller of Step must do.
type ActionKind uint8

// The actions.
const (
	// ActionAdvertise: send an advertisement of Priority.
	ActionAdvertise ActionKind = iota + 1 // advertise
	// ActionTransition: the state changed From To, for the reason Cause.
	ActionTransition // transition
	// ActionRemark: the state does not change; Cause says why this is logged.
	ActionRemark // remark
	// ActionRelease: remove the VIPs, for the reason Cause.
	ActionRelease // release
)

// An Action is one thing to do. The caller does the actions in the order in which Step returns them.
type Action struct {
	Kind     ActionKind
	Priority uint8
	From, To State
	Cause    Cause
}

// A Machine is the election of one virtual router. It does no I/O and reads no clock.
//
// It is the state machine of RFC 9568, section 6.4, with these additions: the state Fault; changes of configuration and
// priority at run time; delays before it becomes master; standby; sync groups, whose members become master only when the
// group decides so; and a hand-over in which the master keeps the VIPs until its successor has them.
type Machine struct {
	cfg     Config
	delta   int // added to the configured priority
	unclear bool
	standby bool
	stopped bool  // after EventStop: faults and advertisements have no effect
	unfit   Cause // the fault in spite of which the router becomes master if no other master is heard
	alone   bool  // it is master in spite of unfit
	started bool  // StartupDelay has begun; it counts once

	noWitness bool // Tracking.NoWitness
	back      bool // its time to take over has come, and it stands back
	hushed    bool // Silent: since the last advertisement of the master

	claim   uint64 // Status.Claim
	granted uint64 // Tracking.Granted

	unsynced bool  // Tracking.Unsynced
	held     rival // the master that this router would preempt if it were not unsynced

	state   State
	holding bool
	ready   bool // a member of a sync group waits for its decision
	placing bool // a new master has not advertised: it waits for EventPlaced until its deadline
	listens bool // a master that stood still has removed the VIPs, and waits for the advertisement of a possible successor
	source  netip.Addr
	master  netip.Addr
	since   time.Time
	// predecessor is the master before this router; the zero Addr: none was known.
	predecessor netip.Addr
	cause       Cause
	changes     uint64 // of cause
	actions     []Action

	deadline time.Time     // of the Active_Down_Timer, the Adver_Timer or the offer
	earliest time.Time     // a backup does not become master before
	learned  time.Duration // RFC 9568, section 6.1: Active_Adver_Interval
	base     time.Time     // when the Active_Down_Timer was set
	zero     netip.Addr    // the master that sent priority 0 at base, if there was one
	lower    rival         // the master that this router is about to preempt
	offer    offer

	linger      time.Time  // when to remove the VIPs at the latest, after a successor was heard; zero: no successor was heard
	successor   netip.Addr // that successor
	announcedTo bool       // it was heard to announce the VIPs

	answersSince time.Time // when a master began to count its answers to advertisements
	answers      int       // since then
	withheld     uint64    // advertisements that were not answered: there were too many

	paths paths
}

// A rival is a master of lower priority than ours.
type rival struct {
	source   netip.Addr
	priority uint8
	interval time.Duration
	first    time.Time // when it was first heard as such
	last     time.Time
}

// NewMachine returns a machine in Initialize. The configuration must be valid.
func NewMachine(c Config) *Machine {
	m := &Machine{cfg: c, state: Initialize, actions: make([]Action, 0, 4)}
	m.configurePaths(time.Time{}, &c, &c)
	return m
}

// State returns the state.
func (m *Machine) State() State { return m.state }

// Holding reports whether the VIPs must be on the interface. They must while the router is master and not Listening, and while
// it is HandingOver.
func (m *Machine) Holding() bool { return m.holding }

// Listening reports whether the router is a master that stood still, and waits for the advertisement of a possible successor.
func (m *Machine) Listening() bool { return m.listens }

// HandingOver reports whether the router offers its place, or has heard a successor that may not have the VIPs yet.
func (m *Machine) HandingOver() bool { return m.offering() || m.lingering() }

// Successor returns the master that has taken over, while this router keeps the VIPs until that one was heard to announce them.
// Otherwise it is the zero Addr.
func (m *Machine) Successor() netip.Addr { return m.successor }

// Standby reports whether the router is in standby.
func (m *Machine) Standby() bool { return m.standby }

// Ready reports whether a member of a sync group could become master and waits for EventJoin.
func (m *Machine) Ready() bool { return m.ready }

// Leaving reports whether the machine was told to stop.
func (m *Machine) Leaving() bool { return m.stopped }

// Deadline returns when to Step with EventTimer; the zero time means that the machine waits for nothing.
func (m *Machine) Deadline() time.Time {
	due := m.deadline
	if m.ready || m.back {
		due = time.Time{}
	}
	if hush := m.hushAt(); !hush.IsZero() && (due.IsZero() || hush.Before(due)) {
		due = hush
	}
	if m.lingering() && (due.IsZero() || m.linger.Before(due)) {
		due = m.linger
	}
	return due
}

// Source returns our primary address. Before the first EventUp it is the zero Addr.
func (m *Machine) Source() netip.Addr { return m.source }

// Master returns the primary address of the current master. It is the zero Addr while the master is not known.
func (m *Machine) Master() netip.Addr { return m.master }

// Since returns the time of the last transition. Before the first it is the zero time.
func (m *Machine) Since() time.Time { return m.since }

// Predecessor is the master that this router, as master, has replaced. It is the zero Addr if none was known.
func (m *Machine) Predecessor() netip.Addr { return m.predecessor }

// Cause returns the cause of the last transition or remark, or the present fault.
func (m *Machine) Cause() Cause { return m.cause }

// Changes returns how often Cause was set. To compare this number is cheaper than to compare causes.
func (m *Machine) Changes() uint64 { return m.changes }

// Priority returns the effective priority.
func (m *Machine) Priority() uint8 { return m.priorityAs(m.state) }

// priorityAs returns the effective priority in a state.
func (m *Machine) priorityAs(s State) uint8 {
	switch {
	case m.standby, m.isUnfit():
		return priorityStandby
	case m.cfg.Priority == PriorityOwner:
		return PriorityOwner
	case m.unclear && s != Master:
		return priorityStandby
	}
	return uint8(min(max(int(m.cfg.Priority)+m.delta, 1), PriorityOwner-1))
}

// Withheld returns the number of other masters' advertisements that the router did not answer, because it had just answered
// many.
func (m *Machine) Withheld() uint64 { return m.withheld }

// Step tells the machine that ev happened at now, and returns what to do. The slice is valid until the next Step. Only
// EventTimer acts on a deadline: after a stall, the caller can first pass on the advertisements that arrived meanwhile.
func (m *Machine) Step(now time.Time, ev Event) []Action {
	m.actions = m.actions[:0]
	switch ev.Kind {
	case EventUp:
		m.up(now, ev.Source)
	case EventResume:
		m.resume(now, ev.Source)
	case EventFault:
		m.fault(now, &ev)
	case EventStop:
		m.stop(now, *ev.Cause)
	case EventTimer:
		m.timer(now)
	case EventAdvert:
		m.advert(now, &ev)
	case EventTracking:
		m.delta, m.unclear = ev.Delta, ev.Unclear
		m.seeWitness(now, ev.NoWitness, ev.Granted != m.granted)
		m.seeSync(now, ev.Unsynced)
		m.rearm(now)
		m.seeGrant(now, ev.Granted)
	case EventStandby:
		m.standBy(now, ev.On)
	case EventJoin:
		m.join(now, ev.To, *ev.Cause)
	case EventAnnounced:
		m.heardAnnouncement(now)
	case EventPlaced:
		m.placed(now)
	case EventConfig:
		m.configure(now, *ev.Config)
	}
	return m.actions
}

func (m *Machine) up(now time.Time, source netip.Addr) {
	stopped := m.stopped
	m.source, m.stopped = source, false
	m.fit()
	switch {
	case m.offering() && stopped:
		m.stay(now, CauseStayed)
	case m.offering() && m.state == Fault:
		m.stay(now, CauseFaultPassed)
	case m.state == Initialize:
		m.start(now, Cause{Kind: CauseStartup})
	case m.state == Fault:
		over := m.cause
		over.Kind, over.Fault = CauseFaultOver, m.cause.Kind
		m.start(now, over)
	case m.state == Master && !m.offering() && !m.listens:
		m.master = source
	}
}

// start handles the Startup event (RFC 9568, section 6.4.1).
func (m *Machine) start(now time.Time, cause Cause) {
	if !m.started {
		m.started, m.earliest = true, now.Add(m.cfg.StartupDelay)
	}
	owner := m.Priority() == PriorityOwner && !now.Before(m.earliest)
	if owner && m.cfg.SyncGroup == "" {
		m.lead(now, cause)
		return
	}
	m.master = netip.Addr{}
	m.armDownTimer(now, m.cfg.AdvertInterval)
	if owner {
		m.deadline = now
	}
	m.transition(now, Backup, cause)
}

// resume starts a router whose process was killed and whose VIPs are still on the interface. Its peers still wait for
// its next advertisement.
func (m *Machine) resume(now time.Time, source netip.Addr) {
	if m.state != Initialize || m.holding {
		m.up(now, source)
		return
	}
	m.source, m.stopped, m.started, m.unfit = source, false, true, Cause{}
	m.lead(now, Cause{Kind: CauseResumed})
}

func (m *Machine) configure(now time.Time, c Config) {
	if now.Before(m.earliest) {
		m.earliest = m.earliest.Add(c.StartupDelay - m.cfg.StartupDelay)
	}
	m.configurePaths(now, &m.cfg, &c)
	m.cfg = c
	switch {
	case m.state == Backup:
		if !m.master.IsValid() && !m.zero.IsValid() {
			m.learned = c.AdvertInterval
		}
		m.rearm(now)
	case m.state == Fault:
		m.ready = m.ready && c.SyncGroup != ""
	case m.state == Master && !m.offering():
		if next := now.Add(c.AdvertInterval); next.Before(m.deadline) {
			m.deadline = next
		}
	}
}

// idle stops all timers except the linger timer.
func (m *Machine) idle() {
	m.master, m.deadline, m.ready = netip.Addr{}, time.Time{}, false
	m.holding = m.lingering()
}

func (m *Machine) advertise(priority uint8) {
	m.placing = false
	m.actions = append(m.actions, Action{Kind: ActionAdvertise, Priority: priority})
}

func (m *Machine) transition(now time.Time, to State, cause Cause) {
	m.actions = append(m.actions, Action{Kind: ActionTransition, From: m.state, To: to, Cause: cause})
	m.state, m.since, m.listens, m.placing, m.back, m.claim, m.held = to, now, false, false, false, 0, rival{}
	m.alone = m.alone && to == Master
	m.resetPaths(now)
	m.setCause(cause)
}

func (m *Machine) remark(cause Cause) {
	m.actions = append(m.actions, Action{Kind: ActionRemark, From: m.state, To: m.state, Cause: cause})
	m.setCause(cause)
}

func (m *Machine) setCause(cause Cause) {
	m.cause = cause
	m.changes++
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
