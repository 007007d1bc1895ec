// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"
)

// events is the number of kinds of events.
const events = int(EventConfig)

// fuzzEvent makes an event from two octets, and the time since the event before it.
func fuzzEvent(kind, arg byte) (Event, time.Duration) {
	sources := [...]netip.Addr{addrA, addrB, addrC}
	c := testConfig(max(1, arg))
	c.AdvertInterval = time.Duration(1+int(arg)%7) * 100 * time.Millisecond
	c.Preempt = arg&1 == 0
	if arg&2 == 0 {
		c.SyncGroup = "inside and outside"
	}
	if arg&4 == 0 {
		c.PreemptDelay, c.StartupDelay = time.Duration(arg%5)*time.Second, time.Duration(arg%3)*time.Second
	}
	return Event{
		Kind:     EventKind(int(kind)%events + 1),
		Priority: arg,
		Delta:    int(int8(arg)),
		Interval: time.Duration(1+int(arg)*16) * centisecond,
		Source:   sources[int(arg)%len(sources)],
		Gentle:   arg&1 == 0, LastResort: arg&8 == 0,
		Unsynced: arg&16 == 0,
		On:       arg&1 == 0,
		To:       State(2 + arg&1),
		Cause:    &Cause{Kind: FaultTracked, Text: "for a reason"},
		Config:   &c,
	}, time.Duration(int(kind)/events) * 100 * time.Millisecond
}

// FuzzMachine checks the properties that a machine always has, after any events.
func FuzzMachine(f *testing.F) {
	event := func(k EventKind, after, arg byte) []byte { return []byte{byte(k) - 1 + after*byte(events), arg} }
	script := func(all ...[]byte) (s []byte) {
		for _, b := range all {
			s = append(s, b...)
		}
		return s
	}
	up, timer := event(EventUp, 0, 1), event(EventTimer, 24, 0)
	f.Add(byte(100), script(up, timer, timer, event(EventStop, 1, 0), event(EventAdvert, 2, 200), timer))
	f.Add(byte(100), script(up, timer, timer, event(EventStandby, 1, 0), timer, timer, event(EventStandby, 0, 1)))
	f.Add(byte(255), script(up, event(EventFault, 2, 0), event(EventAdvert, 3, 7), up, event(EventFault, 0, 1)))
	f.Add(byte(200), script(event(EventConfig, 0, 200), up, timer, timer, event(EventJoin, 0, 1), event(EventJoin, 1, 0), timer, timer))
	f.Add(byte(1), script(event(EventResume, 0, 1), event(EventAdvert, 20, 0), event(EventTracking, 1, 90), event(EventAdvert, 0, 250)))
	f.Fuzz(play)
}

// TestMachineInvariants runs FuzzMachine's checks on random scripts in every test run.
func TestMachineInvariants(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 0))
	script := make([]byte, 200)
	for range 5000 {
		for i := range script {
			script[i] = byte(r.Uint32())
		}
		play(t, byte(r.Uint32()), script)
	}
}

func play(t *testing.T, priority byte, script []byte) {
	m := NewMachine(testConfig(max(1, priority)))
	now, w := epoch, witness{}
	for ; len(script) >= 2; script = script[2:] {
		ev, pause := fuzzEvent(script[0], script[1])
		now = now.Add(pause)
		from := m.State()
		checkStep(t, m, now, ev)
		w.check(t, m, from, now, ev)
		w.checkFault(t, m, ev)
	}
}

// A witness stores the last advertisement that a backup heard, and whether there is a fault.
type witness struct {
	heard  Event
	at     time.Time
	faulty bool
}

// checkFault checks that no router is master with a fault, unless it is leaving, or unfit.
func (w *witness) checkFault(t *testing.T, m *Machine, ev Event) {
	t.Helper()
	switch ev.Kind {
	case EventFault:
		w.faulty = !ev.Gentle || !ev.LastResort
	case EventUp, EventResume:
		w.faulty = false
	}
	if w.faulty && m.State() == Master && !m.Leaving() {
		t.Fatalf("%s made a master with a fault", ev.Kind)
	}
}

// check checks that no router takes over from a live master that it must not preempt.
func (w *witness) check(t *testing.T, m *Machine, from State, now time.Time, ev Event) {
	t.Helper()
	switch {
	case ev.Kind == EventAdvert && m.State() == Backup:
		w.heard, w.at = ev, now
	case from != Backup && m.State() == Backup:
		w.heard, w.at = Event{}, time.Time{}
	case ev.Kind == EventTimer && m.State() == Master && from == Backup && w.heard.Priority != PriorityLeaving:
		if silence := now.Sub(w.at); !m.preempts(w.heard.Priority) && silence < 3*w.heard.Interval {
			t.Fatalf("took over from a master of priority %d that spoke %s ago at %s, standby %t, own priority %d, unsynced %t",
				w.heard.Priority, silence, w.heard.Interval, m.Standby(), m.Priority(), m.unsynced)
		}
	}
}

func checkStep(t *testing.T, m *Machine, now time.Time, ev Event) {
	t.Helper()
	from, held, offered, due := m.State(), m.Holding(), m.offering(), m.Deadline()
	actions := m.Step(now, ev)
	if latest := later(now.Add(m.downInterval(m.held.interval)), m.earliest); m.Held() && (m.Deadline().IsZero() || m.Deadline().After(latest)) {
		t.Fatalf("%s: a router that is held back waits for longer than a backup: until %s, not %s", ev.Kind, m.Deadline(), latest)
	}
	state := from
	for _, a := range actions {
		switch a.Kind {
		case ActionTransition:
			if a.From != state || a.To == state || a.Cause == (Cause{}) {
				t.Fatalf("%s in %s: transition %+v", ev.Kind, state, a)
			}
			state = a.To
		case ActionAdvertise:
			if !held && !m.Holding() {
				t.Fatalf("%s: a router that holds nothing advertised %d in %s", ev.Kind, a.Priority, m.State())
			}
			gaveWay := ev.Kind == EventAdvert && from == Master && m.isUnfit()
			if leaving := m.offering() || m.State() == Fault && !gaveWay; leaving != (a.Priority == 0) {
				t.Fatalf("%s in %s: advertised priority %d, then %s", ev.Kind, from, a.Priority, m.State())
			}
		case ActionRemark:
			if a.Cause == (Cause{}) || a.Cause != m.Cause() {
				t.Fatalf("%s in %s: remark %+v, reason %q", ev.Kind, state, a, m.Cause())
			}
		case ActionRelease:
			if !held {
				t.Fatalf("%s: released what was not held", ev.Kind)
			}
		}
	}
	if state != m.State() {
		t.Fatalf("%s: in %s, the transitions told %s", ev.Kind, m.State(), state)
	}
	checkHolding(t, m, ev, actions)
	checkRole(t, m, from, offered, due, now, ev)
	checkDeadline(t, m, now, ev)
	if (ev.Kind == EventAdvert || ev.Kind == EventTimer) && from == Fault && !held && !m.isUnfit() && len(actions) > 0 {
		t.Fatalf("%s moved a faulty machine: %s", ev.Kind, spell(actions))
	}
}

func checkHolding(t *testing.T, m *Machine, ev Event, actions []Action) {
	t.Helper()
	switch {
	case m.Listening() && (m.State() != Master || m.HandingOver()):
		t.Fatalf("%s: listens in %s, handing over %t", ev.Kind, m.State(), m.HandingOver())
	case m.Holding() != (m.State() == Master && !m.Listening() || m.HandingOver()):
		t.Fatalf("%s: holding %t in %s, handing over %t: %s", ev.Kind, m.Holding(), m.State(), m.HandingOver(), spell(actions))
	case m.offering() && m.lingering():
		t.Fatalf("%s: offers what it has given up", ev.Kind)
	case m.offering() && m.State() != Master && m.State() != Fault, m.lingering() && m.State() == Master:
		t.Fatalf("%s: hands over in %s, offering %t", ev.Kind, m.State(), m.offering())
	case ev.Kind == EventFault && m.State() == Master && !m.Leaving() && !m.LastResort():
		t.Fatal("master with a fault")
	case ev.Kind == EventFault && !ev.Gentle && m.Holding():
		t.Fatalf("%s: holds the VIPs of an interface that is gone", m.State())
	}
}

// checkRole checks which router may become master, and when.
func checkRole(t *testing.T, m *Machine, from State, offered bool, due, now time.Time, ev Event) {
	t.Helper()
	if waits := m.State() == Backup || m.State() == Fault && m.isUnfit(); m.Ready() && (!waits || m.cfg.SyncGroup == "") {
		t.Fatalf("%s: ready in %s of group %q", ev.Kind, m.State(), m.cfg.SyncGroup)
	}
	if m.Standby() && m.Priority() != priorityStandby {
		t.Fatalf("%s: priority %d in standby", ev.Kind, m.Priority())
	}
	if m.LastResort() && (m.State() != Master || m.Priority() != priorityStandby) {
		t.Fatalf("%s: the last resort is %s at priority %d", ev.Kind, m.State(), m.Priority())
	}
	if m.State() != Master || from == Master {
		return
	}
	owner := m.Priority() == PriorityOwner
	switch {
	case offered: // told to stay
	case ev.Kind == EventResume, ev.Kind == EventUp && owner, ev.Kind == EventJoin && ev.To == Master:
	case ev.Kind == EventTimer && (from == Backup || from == Fault && m.LastResort()) && m.cfg.SyncGroup == "" && !due.IsZero() && !now.Before(due):
		if now.Before(m.earliest) {
			t.Fatalf("master %s before the startup delay has passed", m.earliest.Sub(now))
		}
	default:
		t.Fatalf("%s made a master of %s", ev.Kind, from)
	}
}

func checkDeadline(t *testing.T, m *Machine, now time.Time, ev Event) {
	t.Helper()
	waits := (m.State() == Backup || m.State() == Fault && m.isUnfit()) && !m.Ready() || m.State() == Master || m.HandingOver()
	switch due := m.Deadline(); {
	case due.IsZero() == waits:
		t.Fatalf("%s: deadline %s in %s", ev.Kind, due, m.State())
	case ev.Kind == EventTimer && !due.IsZero() && !due.After(now):
		t.Fatalf("timer left the deadline %s in the past of %s", due, now)
	case due.After(now.Add(4*MaxAdvertInterval + 10*time.Second)):
		t.Fatalf("%s: deadline %s, far beyond %s", ev.Kind, due, now)
	}
}
