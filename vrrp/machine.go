// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"fmt"
	"net/netip"
	"time"
)

// An EventKind says what happened to a virtual router.
type EventKind uint8

// The events, each with the fields of Event that it reads.
const (
	EventUp       EventKind = iota + 1 // the interface can be used: Source is our primary address on it
	EventResume                        // so can it, and we were master a moment ago: Source
	EventFault                         // something forbids taking part: Cause, Gentle
	EventStop                          // leave, handing over if master: Cause
	EventTimer                         // the time may have come for what Deadline announced
	EventAdvert                        // a good advertisement came in: Source, Priority, Interval
	EventTracking                      // take part with Delta added to the configured priority: Unclear as in Tracking
	EventStandby                       // stand back, handing over if master, or do so no more: On
	EventJoin                          // the sync group's word: To, Cause
	EventConfig                        // the configuration changed: Config, of the same VRID

	events = int(EventConfig)
)

var eventNames = [events + 1]string{
	"event(0)", "up", "resume", "fault", "stop", "timer", "advert", "tracking", "standby", "join", "config",
}

// String returns the event in lower case.
func (k EventKind) String() string {
	if int(k) <= events {
		return eventNames[k]
	}
	return fmt.Sprintf("event(%d)", uint8(k))
}

// An Event is something that happened to a virtual router.
type Event struct {
	Kind     EventKind
	Priority uint8
	Delta    int
	Unclear  bool
	Interval time.Duration
	Source   netip.Addr
	// Gentle says of a fault that the interface itself works, so that there is a successor to hand over to.
	Gentle bool
	On     bool
	To     State
	Cause  Cause
	Config *Config
}

// An ActionKind says what is to be done.
type ActionKind uint8

// The actions, each with the fields of Action that it sets.
const (
	ActionAdvertise  ActionKind = iota + 1 // send an advertisement: Priority
	ActionTransition                       // the state changed: From, To, Cause
	ActionRemark                           // the state stays, there is something to say of it: Cause
	ActionRelease                          // the VIPs may go: Cause
)

// String returns the action in lower case.
func (k ActionKind) String() string {
	names := [...]string{"action(0)", "advertise", "transition", "remark", "release"}
	if int(k) < len(names) {
		return names[k]
	}
	return fmt.Sprintf("action(%d)", uint8(k))
}

// An Action is something that a Machine wants done, in the order given.
type Action struct {
	Kind     ActionKind
	Priority uint8
	From, To State
	Cause    Cause
}

// A Machine is the election of one virtual router; it does no I/O and reads no clock.
//
// It is the state machine of RFC 9568, section 6.4, with these additions: the state Fault; a configuration and a
// priority that may change under way; delays before it becomes master; standby; the word of a sync group, without
// which a member does not become master; and a leave-taking that keeps the VIPs until the successor has them, so that
// at no moment nobody does.
type Machine struct {
	cfg     Config
	delta   int // added to the configured priority
	unclear bool
	standby bool
	stopped bool // no fault or advertisement moves a machine that was told to stop
	started bool // StartupDelay is counted once

	state   State
	holding bool
	ready   bool // a member of a sync group that awaits its word
	source  netip.Addr
	master  netip.Addr
	since   time.Time
	cause   Cause
	actions []Action

	deadline time.Time     // of the Active_Down_Timer, the Adver_Timer or the offer
	earliest time.Time     // a backup is not master before
	learned  time.Duration // RFC 9568, section 6.1: Active_Adver_Interval
	base     time.Time     // when the Active_Down_Timer was set
	zero     netip.Addr    // the master that sent priority 0 at base, if one did
	lower    rival         // whom this router is about to preempt
	offer    offer
	linger   time.Time // when a router that has its successor lets go of the VIPs; zero: it does not linger
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
	return &Machine{cfg: c, state: Initialize, actions: make([]Action, 0, 4)}
}

// State returns where the virtual router stands.
func (m *Machine) State() State { return m.state }

// Holding reports whether the VIPs must be on the interface: as master, and while HandingOver.
func (m *Machine) Holding() bool { return m.holding }

// HandingOver reports whether the router offers its place, or has a successor who may not have the VIPs yet.
func (m *Machine) HandingOver() bool { return m.offering() || m.lingering() }

// Standby reports whether the router stands back by command.
func (m *Machine) Standby() bool { return m.standby }

// Ready reports whether a member of a sync group could be master and awaits EventJoin.
func (m *Machine) Ready() bool { return m.ready }

// Leaving reports whether the machine was told to stop.
func (m *Machine) Leaving() bool { return m.stopped }

// Deadline returns when to Step with EventTimer; the zero time means that the machine waits for nothing.
func (m *Machine) Deadline() time.Time {
	due := m.deadline
	if m.ready {
		due = time.Time{}
	}
	if m.lingering() && (due.IsZero() || m.linger.Before(due)) {
		due = m.linger
	}
	return due
}

// Source returns our primary address, the zero Addr before the first EventUp.
func (m *Machine) Source() netip.Addr { return m.source }

// Master returns the primary address of the current master, the zero Addr when it is not known.
func (m *Machine) Master() netip.Addr { return m.master }

// Since returns the time of the last transition, the zero time before the first.
func (m *Machine) Since() time.Time { return m.since }

// Cause returns the cause of the last transition or remark, or the present fault.
func (m *Machine) Cause() Cause { return m.cause }

// Priority returns the effective priority.
func (m *Machine) Priority() uint8 { return m.priorityAs(m.state) }

// priorityAs is the effective priority in a state.
func (m *Machine) priorityAs(s State) uint8 {
	switch {
	case m.standby:
		return priorityStandby
	case m.cfg.Priority == PriorityOwner:
		return PriorityOwner
	case m.unclear && s != Master:
		return priorityStandby
	}
	return uint8(min(max(int(m.cfg.Priority)+m.delta, 1), PriorityOwner-1))
}

// Step tells the machine that ev happened at now, and returns what to do about it. The slice is valid until
// the next Step. Deadlines are acted on at EventTimer alone: after a stall, advertisements that arrived meanwhile
// can be told first.
func (m *Machine) Step(now time.Time, ev Event) []Action {
	m.actions = m.actions[:0]
	switch ev.Kind {
	case EventUp:
		m.up(now, ev.Source)
	case EventResume:
		m.resume(now, ev.Source)
	case EventFault:
		m.fault(now, ev)
	case EventStop:
		m.stop(now, ev.Cause)
	case EventTimer:
		m.timer(now)
	case EventAdvert:
		m.advert(now, ev)
	case EventTracking:
		m.delta, m.unclear = ev.Delta, ev.Unclear
		m.rearm(now)
	case EventStandby:
		m.standBy(now, ev.On)
	case EventJoin:
		m.join(now, ev.To, ev.Cause)
	case EventConfig:
		m.configure(now, *ev.Config)
	}
	return m.actions
}

func (m *Machine) up(now time.Time, source netip.Addr) {
	stopped := m.stopped
	m.source, m.stopped = source, false
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
	case m.state == Master && !m.offering():
		m.master = source
	}
}

// start is RFC 9568, section 6.4.1.
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
	m.follow(now, m.cfg.AdvertInterval)
	if owner {
		m.deadline = now
	}
	m.transition(now, Backup, cause)
}

// resume is the start of a router whose process was killed and whose VIPs are still there: its peers wait for its
// next advertisement, and nobody need notice.
func (m *Machine) resume(now time.Time, source netip.Addr) {
	if m.state != Initialize || m.holding {
		m.up(now, source)
		return
	}
	m.source, m.stopped, m.started = source, false, true
	m.lead(now, Cause{Kind: CauseResumed})
}

// lead makes this router master. The advertisement comes first: until it is heard, others may think that
// the place is free.
func (m *Machine) lead(now time.Time, cause Cause) {
	m.advertise(m.priorityAs(Master))
	m.deadline = now.Add(m.cfg.AdvertInterval)
	m.offer, m.linger, m.ready = offer{}, time.Time{}, false
	m.master, m.holding = m.source, true
	if m.state == Master {
		m.remark(cause)
	} else {
		m.transition(now, Master, cause)
	}
}

// follow sets the Active_Down_Timer for a master that advertises at the interval.
func (m *Machine) follow(now time.Time, interval time.Duration) {
	m.learned, m.base, m.ready = interval, now, false
	m.zero, m.lower = netip.Addr{}, rival{}
	m.deadline = later(now.Add(m.downInterval(interval)), m.earliest)
}

func (m *Machine) configure(now time.Time, c Config) {
	if now.Before(m.earliest) {
		m.earliest = m.earliest.Add(c.StartupDelay - m.cfg.StartupDelay)
	}
	m.cfg = c
	switch {
	case m.state == Backup:
		if !m.master.IsValid() && !m.zero.IsValid() {
			m.learned = c.AdvertInterval
		}
		m.rearm(now)
	case m.state == Master && !m.offering():
		if next := now.Add(c.AdvertInterval); next.Before(m.deadline) {
			m.deadline = next
		}
	}
}

// rest waits for nothing, except that a router that lingers lets go in its time.
func (m *Machine) rest() {
	m.master, m.deadline, m.ready = netip.Addr{}, time.Time{}, false
	m.holding = m.lingering()
}

func (m *Machine) advertise(priority uint8) {
	m.actions = append(m.actions, Action{Kind: ActionAdvertise, Priority: priority})
}

func (m *Machine) transition(now time.Time, to State, cause Cause) {
	m.actions = append(m.actions, Action{Kind: ActionTransition, From: m.state, To: to, Cause: cause})
	m.state, m.since, m.cause = to, now, cause
}

func (m *Machine) remark(cause Cause) {
	m.actions = append(m.actions, Action{Kind: ActionRemark, From: m.state, To: m.state, Cause: cause})
	m.cause = cause
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
