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
	EventFault                         // it cannot, or something else forbids taking part: Reason
	EventStop                          // leave, handing over if master: Reason
	EventTimer                         // the time may have come for what Deadline announced
	EventAdvert                        // a good advertisement came in: Source, Priority, Interval
	EventTracking                      // take part with Delta added to the configured priority
	EventConfig                        // the configuration changed: Config, of the same VRID
)

// String returns the event in lower case.
func (k EventKind) String() string {
	names := [...]string{"event(0)", "up", "fault", "stop", "timer", "advert", "tracking", "config"}
	if int(k) < len(names) {
		return names[k]
	}
	return fmt.Sprintf("event(%d)", uint8(k))
}

// An Event is something that happened to a virtual router.
type Event struct {
	Kind     EventKind
	Priority uint8
	Delta    int
	Interval time.Duration
	Source   netip.Addr
	Reason   string
	Config   *Config
}

// An ActionKind says what is to be done.
type ActionKind uint8

// The actions, each with the fields of Action that it sets.
const (
	ActionAdvertise  ActionKind = iota + 1 // send an advertisement: Priority
	ActionTransition                       // the state changed: From, To, Reason
	ActionRelease                          // the hand-over is over, the VIPs may go: Reason
)

// String returns the action in lower case.
func (k ActionKind) String() string {
	names := [...]string{"action(0)", "advertise", "transition", "release"}
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
	Reason   string
}

// A Machine is the election of one virtual router; it does no I/O and reads no clock.
//
// It is the state machine of RFC 9568, section 6.4, with three additions: the state Fault; a configuration and
// priority that may change under way; and a leave-taking that keeps the VIPs until the successor is heard,
// so that at no moment nobody has them.
type Machine struct {
	cfg     Config
	delta   int // added to the configured priority
	state   State
	stopped bool // no fault or advertisement moves a machine that was told to stop
	holding bool
	source  netip.Addr
	master  netip.Addr
	since   time.Time
	reason  string
	actions []Action

	deadline time.Time
	learned  time.Duration // RFC 9568, section 6.1: Active_Adver_Interval
	base     time.Time     // when the Active_Down_Timer was set
	zero     netip.Addr    // the master that sent priority 0 at base, if one did
	lower    rival         // whom this router is about to preempt
	repeated bool          // priority 0 was sent a second time
	letGo    time.Time     // the latest end of the hand-over
}

type rival struct {
	source   netip.Addr
	priority uint8
}

// NewMachine returns a machine in Initialize. The configuration must be valid.
func NewMachine(c Config) *Machine {
	return &Machine{cfg: c, state: Initialize, actions: make([]Action, 0, 4)}
}

// State returns where the virtual router stands. One that hands over is in Initialize already.
func (m *Machine) State() State { return m.state }

// Holding reports whether the VIPs must be on the interface.
func (m *Machine) Holding() bool { return m.holding }

// Deadline returns when to Step with EventTimer; the zero time means that the machine waits for nothing.
func (m *Machine) Deadline() time.Time { return m.deadline }

// Source returns our primary address, the zero Addr before the first EventUp.
func (m *Machine) Source() netip.Addr { return m.source }

// Master returns the primary address of the current master, the zero Addr when it is not known.
func (m *Machine) Master() netip.Addr { return m.master }

// Since returns the time of the last transition, the zero time before the first.
func (m *Machine) Since() time.Time { return m.since }

// Reason returns the cause of the last transition in words, or of the present fault.
func (m *Machine) Reason() string { return m.reason }

// Priority returns the effective priority.
func (m *Machine) Priority() uint8 {
	if m.cfg.Priority == priorityOwner {
		return priorityOwner
	}
	return uint8(min(max(int(m.cfg.Priority)+m.delta, 1), priorityOwner-1))
}

// Step tells the machine that ev happened at now, and returns what to do about it. The slice is valid until
// the next Step. Deadlines are acted on at EventTimer alone: after a stall, advertisements that arrived meanwhile
// can be told first.
func (m *Machine) Step(now time.Time, ev Event) []Action {
	m.actions = m.actions[:0]
	switch ev.Kind {
	case EventUp:
		m.up(now, ev.Source)
	case EventFault:
		m.fault(now, ev.Reason)
	case EventStop:
		m.stop(now, ev.Reason)
	case EventTimer:
		m.timer(now)
	case EventAdvert:
		m.advert(now, ev)
	case EventTracking:
		m.delta = ev.Delta
		m.rearm()
	case EventConfig:
		m.configure(now, *ev.Config)
	}
	return m.actions
}

func (m *Machine) up(now time.Time, source netip.Addr) {
	m.source, m.stopped = source, false
	switch {
	case m.handingOver():
		// Nobody has taken over, so nobody has to be preempted.
		m.lead(now, "told to stay before anybody took over")
	case m.state == Initialize:
		m.start(now, "startup")
	case m.state == Fault:
		m.start(now, "fault is over: "+m.reason)
	case m.state == Master:
		m.master = source
	}
}

// start is RFC 9568, section 6.4.1.
func (m *Machine) start(now time.Time, reason string) {
	if m.Priority() == priorityOwner {
		m.lead(now, reason)
		return
	}
	m.master = netip.Addr{}
	m.follow(now, m.cfg.AdvertInterval)
	m.transition(now, Backup, reason)
}

// lead makes this router master. The advertisement comes first: until it is heard, others may think that
// the place is free.
func (m *Machine) lead(now time.Time, reason string) {
	m.advertise(m.Priority())
	m.deadline = now.Add(m.cfg.AdvertInterval)
	m.master, m.holding = m.source, true
	m.transition(now, Master, reason)
}

// follow sets the Active_Down_Timer for a master that advertises at the interval.
func (m *Machine) follow(now time.Time, interval time.Duration) {
	m.learned, m.base = interval, now
	m.zero, m.lower = netip.Addr{}, rival{}
	m.deadline = now.Add(m.downInterval())
}

func (m *Machine) fault(now time.Time, reason string) {
	switch {
	case m.handingOver():
		m.release(reason)
	case m.stopped:
	case m.state == Fault:
		m.reason = reason
	default:
		if m.state == Master {
			// It gets out where the link itself is not what failed, and saves the peer the wait.
			m.advertise(priorityLeaving)
		}
		m.rest()
		m.transition(now, Fault, reason)
	}
}

// stop is the Shutdown event of RFC 9568, sections 6.4.2 and 6.4.3, except that a master keeps the VIPs for now. It
// cannot know whether a backup is there, for backups are silent; it offers, by priority 0, and waits for the
// successor's first advertisement. A backup of the worst priority waits one skew time before that.
func (m *Machine) stop(now time.Time, reason string) {
	if m.stopped {
		return
	}
	m.stopped = true
	switch m.state {
	case Master:
		m.advertise(priorityLeaving)
		interval := m.cfg.AdvertInterval
		m.master, m.repeated = netip.Addr{}, false
		// Every backup that heard the first offer has acted on it by the time of the second, which is for
		// those that did not: it can prolong nobody's wait.
		m.deadline = now.Add(interval + interval/2)
		m.letGo = now.Add(2*interval + skew(1, interval))
		m.transition(now, Initialize, reason)
	case Backup, Fault:
		m.rest()
		m.transition(now, Initialize, reason)
	}
}

func (m *Machine) timer(now time.Time) {
	if m.deadline.IsZero() || now.Before(m.deadline) {
		return
	}
	switch {
	case m.state == Backup:
		m.lead(now, m.whyLead(now))
	case m.state == Master:
		m.advertise(m.Priority())
		// From the old deadline rather than from now: lateness must not add up.
		m.deadline = m.deadline.Add(m.cfg.AdvertInterval)
		if !m.deadline.After(now) {
			m.deadline = now.Add(m.cfg.AdvertInterval)
		}
	case !m.repeated && now.Before(m.letGo):
		m.repeated = true
		m.advertise(priorityLeaving)
		m.deadline = m.letGo
	default:
		m.release("nobody took over")
	}
}

func (m *Machine) advert(now time.Time, ev Event) {
	switch {
	case m.state == Backup:
		m.advertToBackup(now, ev)
	case m.state == Master:
		m.advertToMaster(now, ev)
	case m.handingOver() && ev.Priority != priorityLeaving:
		m.release(fmt.Sprintf("%s took over", ev.Source))
	}
}

// advertToBackup is RFC 9568, section 6.4.2.
func (m *Machine) advertToBackup(now time.Time, ev Event) {
	own := m.Priority()
	// RFC 9568, section 6.1: the owner of the addresses preempts whatever Preempt_Mode says.
	preempt := m.cfg.Preempt || own == priorityOwner
	switch {
	case ev.Priority == priorityLeaving:
		m.base, m.zero, m.master = now, ev.Source, netip.Addr{}
		m.rearm()
	case !preempt || ev.Priority >= own:
		m.follow(now, ev.Interval)
		m.master = ev.Source
	default:
		m.lower = rival{ev.Source, ev.Priority}
		if !m.master.IsValid() {
			m.master = ev.Source
		}
	}
}

// advertToMaster is RFC 9568, section 6.4.3.
func (m *Machine) advertToMaster(now time.Time, ev Event) {
	own := m.Priority()
	switch {
	case ev.Priority == priorityLeaving:
		m.advertise(own)
		m.deadline = now.Add(m.cfg.AdvertInterval)
	case ev.Priority > own:
		m.yield(now, ev, fmt.Sprintf("higher priority %d heard from %s", ev.Priority, ev.Source))
	case ev.Priority == own && m.source.Less(ev.Source):
		m.yield(now, ev, fmt.Sprintf("equal priority %d and higher address heard from %s", ev.Priority, ev.Source))
	default:
		// Answered at once, to put the sender and learning bridges right.
		m.advertise(own)
	}
}

func (m *Machine) yield(now time.Time, ev Event, reason string) {
	m.holding, m.master = false, ev.Source
	m.follow(now, ev.Interval)
	m.transition(now, Backup, reason)
}

func (m *Machine) configure(now time.Time, c Config) {
	m.cfg = c
	switch m.state {
	case Backup:
		if !m.master.IsValid() && !m.zero.IsValid() {
			m.learned = c.AdvertInterval
		}
		m.rearm()
	case Master:
		if next := now.Add(c.AdvertInterval); next.Before(m.deadline) {
			m.deadline = next
		}
	}
}

// rearm works the Active_Down_Timer out anew after its ingredients changed.
func (m *Machine) rearm() {
	switch {
	case m.state != Backup:
	case m.zero.IsValid():
		m.deadline = m.base.Add(skew(m.Priority(), m.learned))
	default:
		m.deadline = m.base.Add(m.downInterval())
	}
}

// whyLead says why the Active_Down_Timer fired.
func (m *Machine) whyLead(now time.Time) string {
	silence := now.Sub(m.base).Round(time.Millisecond)
	switch {
	case m.zero.IsValid():
		return fmt.Sprintf("priority 0 heard from %s", m.zero)
	case m.lower.source.IsValid():
		return fmt.Sprintf("own priority %d is higher than %d of %s", m.Priority(), m.lower.priority, m.lower.source)
	case m.master.IsValid():
		return fmt.Sprintf("no advertisement for %s from %s", silence, m.master)
	default:
		return fmt.Sprintf("no advertisement for %s", silence)
	}
}

// skew is RFC 9568, section 6.1, Skew_Time: the higher the priority, the sooner.
func skew(priority uint8, interval time.Duration) time.Duration {
	return interval * time.Duration(256-int(priority)) / 256
}

// downInterval is RFC 9568, section 6.1, Active_Down_Interval.
func (m *Machine) downInterval() time.Duration {
	return 3*m.learned + skew(m.Priority(), m.learned)
}

func (m *Machine) handingOver() bool { return m.state == Initialize && m.holding }

// rest lets go of everything and waits for nothing.
func (m *Machine) rest() {
	m.holding, m.master, m.deadline = false, netip.Addr{}, time.Time{}
}

func (m *Machine) release(reason string) {
	m.rest()
	m.reason = reason
	m.actions = append(m.actions, Action{Kind: ActionRelease, Reason: reason})
}

func (m *Machine) advertise(priority uint8) {
	m.actions = append(m.actions, Action{Kind: ActionAdvertise, Priority: priority})
}

func (m *Machine) transition(now time.Time, to State, reason string) {
	m.actions = append(m.actions, Action{Kind: ActionTransition, From: m.state, To: to, Reason: reason})
	m.state, m.since, m.reason = to, now, reason
}
