// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"net/netip"
	"testing"
	"time"
)

// fuzzEvent makes an event, and the time since the one before, out of two octets.
func fuzzEvent(kind, arg byte) (Event, time.Duration) {
	sources := [...]netip.Addr{addrA, addrB, addrC}
	c := testConfig(max(1, arg))
	c.AdvertInterval = time.Duration(1+int(arg)%7) * 100 * time.Millisecond
	c.Preempt = arg&1 == 0
	return Event{
		Kind:     EventKind(kind%7 + 1),
		Priority: arg,
		Interval: time.Duration(1+int(arg)*16) * centisecond,
		Source:   sources[int(arg)%len(sources)],
		Reason:   "fault",
		Config:   &c,
	}, time.Duration(kind/7) * 100 * time.Millisecond
}

// FuzzMachine holds what must be true of a machine whatever happens to it.
func FuzzMachine(f *testing.F) {
	f.Add(byte(100), []byte{0, 1, 3 + 7*36, 0, 3 + 7*2, 0, 2, 0, 3 + 7*20, 0})
	f.Add(byte(255), []byte{0, 1, 4, 200, 1, 0, 0, 1, 2, 0, 4, 7})
	f.Add(byte(1), []byte{0, 1, 4, 0, 3 + 7*10, 0, 6, 90, 5, 3, 4, 250, 1, 0, 4, 0})
	f.Fuzz(func(t *testing.T, priority byte, script []byte) {
		m := NewMachine(testConfig(max(1, priority)))
		now := epoch
		for ; len(script) >= 2; script = script[2:] {
			ev, pause := fuzzEvent(script[0], script[1])
			now = now.Add(pause)
			checkStep(t, m, now, ev)
		}
	})
}

func checkStep(t *testing.T, m *Machine, now time.Time, ev Event) {
	t.Helper()
	from, held := m.State(), m.Holding()
	stopped := m.stopped
	actions := m.Step(now, ev)
	state := from
	for _, a := range actions {
		switch a.Kind {
		case ActionTransition:
			if a.From != state || a.To == state || a.Reason == "" {
				t.Fatalf("%s in %s: transition %+v", ev.Kind, state, a)
			}
			state = a.To
		case ActionAdvertise:
			if leaving := ev.Kind == EventStop || ev.Kind == EventFault || stopped && ev.Kind != EventUp; leaving != (a.Priority == 0) {
				t.Fatalf("%s in %s: advertised priority %d", ev.Kind, from, a.Priority)
			}
			if from != Master && state != Master && m.State() != Master && !held {
				t.Fatalf("%s: advertised in %s", ev.Kind, m.State())
			}
		case ActionRelease:
			if !held || m.Holding() {
				t.Fatalf("%s: released, held %t, holds %t", ev.Kind, held, m.Holding())
			}
		}
	}
	if state != m.State() {
		t.Fatalf("%s: in %s, the transitions told %s", ev.Kind, m.State(), state)
	}
	switch handing := m.State() == Initialize && m.Holding(); {
	case m.Holding() != (m.State() == Master) && !handing:
		t.Fatalf("%s: holding %t in %s", ev.Kind, m.Holding(), m.State())
	case ev.Kind == EventFault && (m.State() == Master || m.Holding()):
		t.Fatalf("%s with a fault, holding %t", m.State(), m.Holding())
	case m.Deadline().IsZero() == (m.State() == Backup || m.State() == Master || handing):
		t.Fatalf("%s: deadline %s in %s", ev.Kind, m.Deadline(), m.State())
	case ev.Kind == EventTimer && !m.Deadline().IsZero() && !m.Deadline().After(now):
		t.Fatalf("timer left the deadline %s in the past of %s", m.Deadline(), now)
	case !m.Deadline().IsZero() && m.Deadline().After(now.Add(4*maxAdvertInterval)):
		t.Fatalf("%s: deadline %s, far beyond %s", ev.Kind, m.Deadline(), now)
	case (ev.Kind == EventAdvert || ev.Kind == EventTimer) && from == Fault && len(actions) > 0:
		t.Fatalf("%s moved a faulty machine: %s", ev.Kind, spell(actions))
	}
}
