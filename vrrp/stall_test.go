// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

// settled returns a pair with the priorities 150 and 100. The first one is master.
func (w *wire) settled(change func(*Config)) (a, b *node) {
	strong, weak := testConfig(150), testConfig(100)
	change(&strong)
	change(&weak)
	a, b = w.add("a", strong), w.add("b", weak)
	w.run(5*time.Second+w.upTo(5*time.Second), nil)
	w.want("a")
	return a, b
}

// TestStalledMaster: a master that stood still does not compete with the router that took over.
func TestStalledMaster(t *testing.T) {
	for _, preempt := range []bool{true, false} {
		t.Run(fmt.Sprintf("preempt %t", preempt), func(t *testing.T) {
			seeds(t, 500, func(t *testing.T, w *wire) {
				a, b := w.settled(func(c *Config) { c.Preempt = preempt })
				a.asleep = true
				w.run(w.upTo(10*time.Second), nil)
				replaced := b.machine.State() == Master
				flights, moves := len(w.flights), len(a.log)+len(b.log)
				w.wake(a)
				if replaced {
					w.want("b")
					if w.holders() != 1 || len(w.flights) > flights {
						t.Fatalf("%d hold the VIPs, the loser sent %d", w.holders(), len(w.flights)-flights)
					}
				}
				woke := w.now
				w.run(time.Minute, func() {
					if w.now.Sub(woke) > w.delay+Linger && w.now.Sub(woke) < 3*time.Second && w.holders() > 1 {
						t.Fatalf("two hold the VIPs %s after the wake-up", w.now.Sub(woke))
					}
				})
				switch moved := len(a.log) + len(b.log) - moves; {
				case !replaced && moved > 0:
					t.Errorf("a stall that nobody noticed: %q, %q", a.log, b.log)
				case replaced && preempt && moved != 3: // a backup, a master, b backup
					t.Errorf("%d moves: %q, %q", moved, a.log, b.log)
				case replaced && !preempt && moved != 1:
					t.Errorf("%d moves: %q, %q", moved, a.log, b.log)
				}
			})
		})
	}
}

// TestPausedMaster: a master stands still, and the packets for it are lost, as when its machine is paused. It gives up the VIPs
// at once, and listens before it advertises. If a router has taken over, it becomes backup of this router. If none has, it is
// master again after an interval and its skew time.
func TestPausedMaster(t *testing.T) {
	for _, preempt := range []bool{true, false} {
		t.Run(fmt.Sprintf("preempt %t", preempt), func(t *testing.T) {
			seeds(t, 300, func(t *testing.T, w *wire) {
				a, b := w.settled(func(c *Config) { c.Preempt = preempt })
				alone := w.rand.IntN(4) == 0
				if alone {
					b.side += 100
				}
				a.asleep = true
				w.run(5*time.Second+w.upTo(4*time.Second), nil)
				a.inbox = nil
				flights := len(w.flights)
				w.wake(a)
				if a.machine.Holding() || len(w.flights) > flights {
					t.Fatalf("it has heard nobody yet: it holds the VIPs: %t, and sent %d", a.machine.Holding(), len(w.flights)-flights)
				}
				woke, listen := w.now, time.Second+Skew(150, time.Second)
				w.run(2*time.Second+2*w.delay, func() {
					switch since := w.now.Sub(woke); {
					case !alone && w.holders() > 1:
						t.Fatalf("%d hold the VIPs %s after the wake-up", w.holders(), since)
					case alone && !a.machine.Holding() && since > listen:
						t.Fatalf("nobody is there, and it does not hold the VIPs %s after the wake-up", since)
					}
				})
				switch {
				case alone && (a.machine.State() != Master || a.machine.Cause().Kind != CauseStoodStill):
					t.Fatalf("nobody is there, and it is %s: %s", a.machine.State(), a.machine.Cause())
				case !alone:
					w.want("b")
					if w.holders() != 1 {
						t.Fatalf("%d hold the VIPs", w.holders())
					}
				}
				w.run(5*time.Second, nil)
				switch {
				case alone:
				case preempt:
					w.want("a")
				default:
					w.want("b")
				}
			})
		})
	}
}

// TestPausedBackup: a backup that heard nothing while its machine was paused does not take over from a living master.
func TestPausedBackup(t *testing.T) {
	for _, priority := range []uint8{100, 200} {
		seeds(t, 300, func(t *testing.T, w *wire) {
			b := w.add("b", testConfig(150))
			w.run(5*time.Second, nil)
			w.want("b")
			c := testConfig(priority)
			c.Preempt = false
			a := w.add("a", c)
			w.run(5*time.Second+w.upTo(time.Second), nil)
			a.asleep = true
			w.run(7*time.Second+w.upTo(4*time.Second), nil)
			a.inbox = nil
			w.wake(a)
			w.run(10*time.Second, nil)
			w.want("b")
			if len(a.log) != 1 || len(b.log) != 2 {
				t.Errorf("%q, %q", a.log, b.log)
			}
		})
	}
}

func TestStalledBackup(t *testing.T) {
	seeds(t, 300, func(t *testing.T, w *wire) {
		_, b := w.settled(func(*Config) {})
		b.asleep = true
		w.run(w.upTo(20*time.Second), nil)
		w.wake(b)
		w.run(10*time.Second, nil)
		w.want("a")
		if len(b.log) != 1 {
			t.Errorf("b: %q", b.log)
		}
	})
}

// TestPreemptionLeavesNoGap: during a preemption, the VIPs are held at every moment. Both routers hold them only as long as the
// successor needs to add them.
func TestPreemptionLeavesNoGap(t *testing.T) {
	seeds(t, 300, func(t *testing.T, w *wire) {
		b := w.add("b", testConfig(100))
		w.run(5*time.Second+w.upTo(time.Second), nil)
		w.want("b")
		a := w.add("a", testConfig(150))
		w.run(10*time.Second, func() {
			switch since := w.now.Sub(a.machine.Since()); {
			case w.holders() == 0:
				t.Fatal("nobody holds the VIPs")
			case w.holders() == 2 && since > Linger+2*w.delay:
				t.Fatalf("two hold the VIPs for %s", since)
			}
		})
		w.want("a")
		if len(b.log) != 3 {
			t.Errorf("b: %q", b.log)
		}
	})
}

// TestLateSuccessor: the successor takes up to 900 ms to add its addresses. Somebody has them at every moment. When the successor
// has announced them, the former master removes its own within 50 ms. If it is quiet, the former master does so within an
// interval and 50 ms.
func TestLateSuccessor(t *testing.T) {
	seeds(t, 300, func(t *testing.T, w *wire) {
		w.adds = 900 * time.Millisecond
		a, b := w.settled(func(*Config) {})
		quiet := w.rand.IntN(4) == 0
		w.step(a, Event{Kind: EventStandby, On: true})
		w.run(10*time.Second, func() {
			if quiet {
				w.flights = slices.DeleteFunc(w.flights, func(f flight) bool { return f.ev.Kind == EventAnnounced })
			}
			end := b.added.Add(Linger)
			if quiet {
				end = b.machine.Since().Add(time.Second + Linger)
			}
			switch {
			case !w.served():
				t.Fatal("nobody has the VIPs")
			case w.holders() == 2 && w.now.After(end.Add(w.delay)):
				t.Fatalf("two hold the VIPs %s after the successor announced them", w.now.Sub(b.added))
			}
		})
		w.want("b")
	})
}

// TestStandbyOnTheWire: a hand-over on command, the death of the successor, its return, and the end of standby.
func TestStandbyOnTheWire(t *testing.T) {
	seeds(t, 300, func(t *testing.T, w *wire) {
		a, b := w.settled(func(*Config) {})
		w.step(a, Event{Kind: EventStandby, On: true})
		if w.rand.IntN(2) == 0 {
			w.flights = nil // the first offer is lost
		}
		held := func() {
			if w.holders() == 0 {
				t.Fatal("nobody holds the VIPs")
			}
		}
		w.run(time.Minute, held)
		w.want("b")
		if !a.machine.Standby() {
			t.Error("a is not in standby")
		}
		w.step(b, Event{Kind: EventFault, Cause: &Cause{Kind: FaultTracked, Text: "no carrier"}})
		w.run(5*time.Second, nil)
		w.want("a")
		w.step(b, Event{Kind: EventUp, Source: b.addr})
		w.run(5*time.Second, held)
		w.want("b")
		w.step(a, Event{Kind: EventStandby})
		w.run(5*time.Second, held)
		w.want("a")
		if last := a.log[len(a.log)-1]; last != "master: own priority 150 is higher than 100 of 192.0.2.2" {
			t.Errorf("a: %q", a.log)
		}
	})
}

func TestStandbyWithoutAPeer(t *testing.T) {
	seeds(t, 100, func(t *testing.T, w *wire) {
		a, b := w.settled(func(*Config) {})
		w.step(b, Event{Kind: EventFault, Cause: &Cause{Kind: FaultTracked, Text: "no carrier"}})
		moves := len(a.log)
		w.step(a, Event{Kind: EventStandby, On: true})
		w.run(time.Minute, func() {
			if !a.machine.Holding() {
				t.Fatal("a let go")
			}
		})
		if a.machine.Standby() || a.machine.Cause().String() != "nobody took over" || len(a.log) != moves {
			t.Errorf("standby %t, %q, %q", a.machine.Standby(), a.machine.Cause().String(), a.log)
		}
	})
}

// TestBothInStandby: when both routers are in standby, the one that is master stays master.
func TestBothInStandby(t *testing.T) {
	seeds(t, 100, func(t *testing.T, w *wire) {
		a, b := w.settled(func(*Config) {})
		w.step(b, Event{Kind: EventStandby, On: true})
		w.run(w.upTo(time.Second), nil)
		w.step(a, Event{Kind: EventStandby, On: true})
		w.run(10*time.Second, nil)
		w.want("b")
		moves := len(a.log) + len(b.log)
		w.run(time.Minute, nil)
		if len(a.log)+len(b.log) != moves {
			t.Errorf("%q, %q", a.log, b.log)
		}
	})
}

// TestResumeIsNotNoticed: the process of a master is killed and comes back before its peers take over.
func TestResumeIsNotNoticed(t *testing.T) {
	seeds(t, 200, func(t *testing.T, w *wire) {
		a, b := w.settled(func(*Config) {})
		spoke := a.machine.Deadline().Add(-time.Second)
		a.machine = NewMachine(testConfig(150))
		w.run(spoke.Add(3*time.Second).Sub(w.now)-time.Millisecond, nil)
		w.step(a, Event{Kind: EventResume, Source: a.addr})
		w.run(time.Minute, nil)
		w.want("a")
		if len(b.log) != 1 {
			t.Errorf("b: %q", b.log)
		}
	})
}

// TestSoftFaultHandsOver: a master with a gentle fault keeps the VIPs until the other router has them.
func TestSoftFaultHandsOver(t *testing.T) {
	seeds(t, 200, func(t *testing.T, w *wire) {
		a, b := w.settled(func(*Config) {})
		w.step(a, Event{Kind: EventFault, Cause: &Cause{Kind: FaultTracked, Text: "service www: 0 of 3 servers healthy, 1 needed"}, Gentle: true})
		w.run(10*time.Second, func() {
			if w.holders() == 0 {
				t.Fatal("nobody holds the VIPs")
			}
		})
		w.want("b")
		if a.machine.Holding() || !slices.ContainsFunc(b.log, func(s string) bool { return strings.HasPrefix(s, "master: priority 0") }) {
			t.Errorf("%q, %q", a.log, b.log)
		}
	})
}

// TestPausedMasterIsCalledAway: a master that listens after a pause is told to leave, to go into standby, or to follow its
// group. It has no place to offer.
func TestPausedMasterIsCalledAway(t *testing.T) {
	fault := &Cause{Kind: FaultTracked, Text: "service www: 0 of 3 servers healthy, 1 needed"}
	for _, tt := range []struct {
		name  string
		event Event
		then  State
	}{
		{"stop", Event{Kind: EventStop, Cause: &Cause{Kind: CauseShutdown}}, Initialize},
		{"standby", Event{Kind: EventStandby, On: true}, Backup},
		{"gentle fault", Event{Kind: EventFault, Cause: fault, Gentle: true}, Fault},
		{"fault", Event{Kind: EventFault, Cause: fault}, Fault},
		{"group", Event{Kind: EventJoin, To: Backup, Cause: &Cause{Kind: CauseGroupBackup, Group: "pair"}}, Backup},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := NewMachine(testConfig(100))
			m.Step(epoch, Event{Kind: EventResume, Source: netip.MustParseAddr("192.0.2.1")})
			woke := epoch.Add(time.Minute)
			m.Step(woke, Event{Kind: EventTimer})
			if !m.Listening() {
				t.Fatal("it does not listen")
			}
			for _, a := range m.Step(woke.Add(time.Millisecond), tt.event) {
				if a.Kind == ActionAdvertise {
					t.Errorf("it sent priority %d", a.Priority)
				}
			}
			if m.State() != tt.then || m.Holding() || m.HandingOver() || m.Listening() {
				t.Errorf("%s, holding %t, handing over %t, listening %t", m.State(), m.Holding(), m.HandingOver(), m.Listening())
			}
			if due := m.Deadline(); tt.then == Backup && due.After(woke.Add(2*time.Second)) {
				t.Errorf("alone, it takes over %s after the wake-up", due.Sub(woke))
			}
		})
	}
}
