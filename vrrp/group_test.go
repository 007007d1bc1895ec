// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"
)

// grouped returns two routers of one sync group, on two interfaces, and one without a group.
func grouped(priority uint8) (inside, outside, alone Config) {
	inside, outside, alone = testConfig(priority), testConfig(priority), testConfig(priority)
	inside.Name, inside.Interface, inside.SyncGroup = "inside", "eth0", "pair"
	outside.Name, outside.Interface, outside.SyncGroup = "outside", "eth1", "pair"
	alone.Name, alone.Interface = "alone", "eth2"
	return inside, outside, alone
}

func TestGroupsDecide(t *testing.T) {
	inside, outside, alone := grouped(100)
	g := NewGroups([]Config{inside, outside, alone})
	was := Counters{BecameMaster: 1}
	const up, member = `sync group "pair": every member can be master`, `sync group "pair": `
	for _, tt := range []struct {
		name            string
		inside, outside Status
		own             map[string]Tracking
		want            string // what is unusual
	}{
		{"nothing known yet", Status{}, Status{}, nil, ""},
		{"both backup", Status{State: Backup}, Status{State: Backup, Counters: was}, nil, ""},
		{"one ready", Status{State: Backup, Ready: true}, Status{State: Backup}, nil, ""},
		{"one ready, one not started", Status{State: Backup, Ready: true}, Status{State: Initialize}, nil, ""},
		{"both ready", Status{State: Backup, Ready: true}, Status{State: Backup, Ready: true}, nil,
			"eth0 inside master: " + up + "; eth1 outside master: " + up},
		{"one master, one ready", Status{State: Master}, Status{State: Backup, Ready: true, Counters: was}, nil, "eth1 outside master: " + up},
		{"one gives way, one ready", Status{State: Master, HandingOver: true}, Status{State: Backup, Ready: true, Counters: was}, nil, ""},
		{"both master", Status{State: Master}, Status{State: Master}, nil, ""},
		{"one gave way", Status{State: Backup, Counters: was}, Status{State: Master}, nil, "eth1 outside backup: " + member + "inside is backup"},
		{"one gave way, the other is in standby", Status{State: Backup, Counters: was}, Status{State: Master, HandingOver: true, Cause: Cause{Kind: CauseStandby}}, nil,
			"eth1 outside backup: " + member + "inside is backup"},
		{"one gave way, the other does because of that", Status{State: Backup, Counters: was},
			Status{State: Master, HandingOver: true, Cause: Cause{Kind: CauseGroupBackup}}, nil, ""},
		{"one is new", Status{State: Backup}, Status{State: Master, Counters: was}, nil, ""},
		{"one at fault", Status{State: Fault, Cause: Cause{Kind: FaultLinkDown, Text: "eth0"}}, Status{State: Master}, nil,
			"outside fault " + member + "inside: interface eth0 is down"},
		{"one at fault, the other for it", Status{State: Fault, Cause: Cause{Kind: FaultLinkDown, Text: "eth0"}},
			Status{State: Fault, Cause: Cause{Kind: FaultGroup, Text: member + "inside: interface eth0 is down"}}, nil, "outside fault " + member + "inside: interface eth0 is down"},
		{"the fault is over", Status{State: Backup, Counters: was}, Status{State: Fault, Cause: Cause{Kind: FaultGroup, Text: member + "inside: interface eth0 is down"}}, nil, ""},
		{"each for the other's former fault", Status{State: Fault, Cause: Cause{Kind: FaultGroup, Text: member + "outside: x"}}, Status{State: Fault, Cause: Cause{Kind: FaultGroup, Text: member + "inside: x"}}, nil, ""},
		{"both at fault", Status{State: Fault, Cause: Cause{Kind: FaultLinkDown, Text: "eth0"}}, Status{State: Fault, Cause: Cause{Kind: FaultLinkDown, Text: "eth1"}}, nil,
			"inside fault " + member + "outside: interface eth1 is down; outside fault " + member + "inside: interface eth0 is down"},
		{"what one tracks fails", Status{State: Master}, Status{State: Master}, map[string]Tracking{"inside": {Fault: "script /x: exit code 1"}},
			"inside fault script /x: exit code 1; outside fault " + member + "inside: script /x: exit code 1"},
		{"what both track fails", Status{State: Master}, Status{State: Master}, map[string]Tracking{"inside": {Fault: "a"}, "outside": {Fault: "b"}},
			"inside fault a; outside fault b"},
		{"a script fails, and no master is heard on one side", Status{State: Fault, Ready: true, Cause: Cause{Kind: FaultTracked}},
			Status{State: Fault, Master: addrA, Cause: Cause{Kind: FaultGroup}}, map[string]Tracking{"inside": {Fault: "a", LastResort: true}},
			"inside fault a; outside fault " + member + "inside: a"},
		{"a script fails, and no master is heard", Status{State: Fault, Ready: true, Cause: Cause{Kind: FaultTracked}},
			Status{State: Fault, Ready: true, Cause: Cause{Kind: FaultGroup}}, map[string]Tracking{"inside": {Fault: "a", LastResort: true}},
			"inside fault a; outside fault " + member + "inside: a; eth0 inside master: " + up + "; eth1 outside master: " + up},
		{"the last resort heard a master", Status{State: Fault, Master: addrA, Cause: Cause{Kind: FaultTracked}, Counters: was},
			Status{State: Master, Counters: was}, map[string]Tracking{"inside": {Fault: "a", LastResort: true}},
			"inside fault a; outside fault " + member + "inside: a; eth1 outside backup: " + member + "inside is backup"},
		{"a script fails, and an interface", Status{State: Fault, Ready: true, Cause: Cause{Kind: FaultTracked}},
			Status{State: Fault, Cause: Cause{Kind: FaultLinkDown, Text: "eth1"}}, map[string]Tracking{"inside": {Fault: "a", LastResort: true}},
			"inside fault a; outside fault " + member + "inside: a"},
		{"a script fails, and another thing", Status{State: Fault, Ready: true, Cause: Cause{Kind: FaultTracked}},
			Status{State: Fault, Ready: true, Cause: Cause{Kind: FaultTracked}}, map[string]Tracking{"inside": {Fault: "a", LastResort: true}, "outside": {Fault: "b"}},
			"inside fault a; outside fault b"},
		{"weights add up", Status{State: Master}, Status{State: Master}, map[string]Tracking{"inside": {Delta: -50}, "outside": {Delta: 20}},
			"inside -30; outside -30"},
		{"one is unsynced", Status{State: Backup, Held: true, Preempts: true}, Status{State: Backup, Preempts: true}, map[string]Tracking{"inside": {Unsynced: true}},
			"inside unsynced; outside unsynced"},
		{"one is unsynced, and the other preempts", Status{State: Backup, Held: true, Preempts: true}, Status{State: Backup, Ready: true, Preempts: true},
			map[string]Tracking{"inside": {Unsynced: true}}, "inside unsynced; outside unsynced"},
		{"one is unsynced, and the other hears no master", Status{State: Backup, Held: true, Preempts: true}, Status{State: Backup, Ready: true},
			map[string]Tracking{"inside": {Unsynced: true}, "outside": {Unsynced: true}}, ""},
		{"others are left alone", Status{State: Master}, Status{State: Master}, map[string]Tracking{"alone": {Delta: -5, Fault: "x"}},
			"alone -5; alone fault x"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			states := map[string]Status{"inside": tt.inside, "outside": tt.outside, "alone": {State: Backup, Ready: true, Counters: was}}
			tracking, joins := g.Decide(states, tt.own)
			var got []string
			for _, c := range []Config{inside, outside, alone} {
				told := tracking[c.Name]
				if told.Delta != 0 {
					got = append(got, fmt.Sprintf("%s %d", c.Name, told.Delta))
				}
				if told.Unsynced {
					got = append(got, c.Name+" unsynced")
				}
				if told.Fault != "" {
					got = append(got, c.Name+" fault "+told.Fault)
				}
			}
			for _, j := range joins {
				got = append(got, fmt.Sprintf("%s %s %s: %s", j.Interface, j.Name, j.To, j.Cause))
			}
			if s := strings.Join(got, "; "); s != tt.want || len(tracking) != 3 {
				t.Errorf("got  %s\nwant %s", s, tt.want)
			}
		})
	}
}

// A site is a director with a member of a sync group on each of two wires.
type site struct {
	w        *wire
	groups   *Groups
	nodes    map[string]*node // by name of the router
	own      map[string]Tracking
	hard     map[string]string   // faults of the links
	told     map[string]Tracking // as the loops were told last
	deciding bool
}

// The two wires of the sites. In the simulation they are sides of one wire.
const (
	insideWire = iota
	outsideWire
	cutOff
)

// site adds a director whose members have the priorities given.
func (w *wire) site(name string, c ...Config) *site {
	s := &site{w: w, groups: NewGroups(c), nodes: map[string]*node{}, own: map[string]Tracking{}, hard: map[string]string{}, told: map[string]Tracking{}}
	for i, c := range c {
		n := w.addTo(insideWire+i, name+" "+c.Name, c)
		s.nodes[c.Name], n.changed = n, s.changed
	}
	return s
}

// changed makes the groups decide a little later, as another goroutine would.
func (s *site) changed() {
	if s.deciding {
		return
	}
	s.deciding = true
	s.w.at(s.w.now.Add(s.w.upTo(2*time.Millisecond)), s.decide)
}

func (s *site) decide() {
	s.deciding = false
	states := make(map[string]Status)
	for name, n := range s.nodes {
		m := n.machine
		states[name] = Status{
			State: m.State(), Holding: m.Holding(), HandingOver: m.HandingOver(), Ready: m.Ready(), Cause: m.Cause(),
			Counters: Counters{BecameMaster: uint64(n.becameMaster)},
		}
	}
	tracking, joins := s.groups.Decide(states, s.own)
	for name, n := range s.nodes {
		s.tell(name, n, tracking[name])
	}
	for _, j := range joins {
		s.w.step(s.nodes[j.Name], Event{Kind: EventJoin, To: j.To, Cause: &j.Cause})
	}
}

// tell passes a link's state and the tracking results to a node, as Loop.assess does.
func (s *site) tell(name string, n *node, t Tracking) {
	if t.Delta != s.told[name].Delta {
		s.w.step(n, Event{Kind: EventTracking, Delta: t.Delta})
	}
	s.told[name] = t
	s.assess(name)
}

func (s *site) assess(name string) {
	n, hard, soft := s.nodes[name], s.hard[name], s.told[name].Cause()
	switch {
	case hard != "":
		s.w.step(n, Event{Kind: EventFault, Cause: &Cause{Kind: FaultTracked, Text: hard}})
	case soft.Kind != 0:
		s.w.step(n, Event{Kind: EventFault, Cause: &soft, Gentle: true})
	case n.machine.State() == Fault:
		s.w.step(n, Event{Kind: EventUp, Source: n.addr})
	}
}

// link cuts or mends the cable of a member.
func (s *site) link(name string, works bool) {
	n := s.nodes[name]
	if works {
		n.side = insideWire
		if name == "outside" {
			n.side = outsideWire
		}
		delete(s.hard, name)
	} else {
		n.side, s.hard[name] = cutOff, "interface of "+name+" has no carrier"
	}
	s.assess(name)
}

func (s *site) state() string {
	return fmt.Sprintf("%s/%s", s.nodes["inside"].machine.State(), s.nodes["outside"].machine.State())
}

func (s *site) moves() int { return len(s.nodes["inside"].log) + len(s.nodes["outside"].log) }

func (s *site) want(state string) {
	s.w.t.Helper()
	if got := s.state(); got != state {
		for name, n := range maps.All(s.nodes) {
			s.w.t.Logf("%s: %q", name, n.log)
		}
		s.w.t.Fatalf("%s after %s: %s, want %s", s.nodes["inside"].name, s.w.now.Sub(epoch), got, state)
	}
}

// twoSites returns two directors with the priorities 150 and 100, of which the first is master.
func twoSites(w *wire) (a, b *site) {
	in, out, _ := grouped(150)
	a = w.site("a", in, out)
	in, out, _ = grouped(100)
	b = w.site("b", in, out)
	w.run(10*time.Second, nil)
	a.want("master/master")
	b.want("backup/backup")
	return a, b
}

func TestGroupMovesTogether(t *testing.T) {
	const down = 3*time.Second + skewOf100
	for _, tt := range []struct {
		name  string
		cause func(a, b *site)
		bound time.Duration // for b to be master of both
		a     string
		mend  func(a, b *site)
	}{
		{"one cable of the master is cut", func(a, _ *site) { a.link("inside", false) }, down, "fault/fault",
			func(a, _ *site) { a.link("inside", true) }},
		{"both are", func(a, _ *site) { a.link("inside", false); a.link("outside", false) }, down, "fault/fault",
			func(a, _ *site) { a.link("inside", true); a.link("outside", true) }},
		{"what one member tracks fails", func(a, _ *site) { a.own["outside"] = Tracking{Fault: "x"}; a.changed() }, skewOf100, "fault/fault",
			func(a, _ *site) { delete(a.own, "outside"); a.changed() }},
		{"what one member tracks lowers it", func(a, _ *site) { a.own["outside"] = Tracking{Delta: -100}; a.changed() }, down, "backup/backup",
			func(a, _ *site) { delete(a.own, "outside"); a.changed() }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			seeds(t, 100, func(t *testing.T, w *wire) {
				a, b := twoSites(w)
				w.run(w.upTo(time.Second), nil)
				tt.cause(a, b)
				w.run(tt.bound+10*time.Millisecond, nil)
				a.want(tt.a)
				b.want("master/master")
				moves := a.moves() + b.moves()
				w.run(time.Minute, nil)
				if n := a.moves() + b.moves(); n != moves {
					t.Errorf("%d moves after they had settled", n-moves)
				}
				tt.mend(a, b)
				w.run(10*time.Second, nil)
				a.want("master/master")
				b.want("backup/backup")
			})
		})
	}
}

// TestGroupStaysWhereOneWireIsCut: on one of two wires the directors do not hear each other. The master stays master, and the
// other director does not try to become master.
func TestGroupStaysWhereOneWireIsCut(t *testing.T) {
	seeds(t, 100, func(t *testing.T, w *wire) {
		a, b := twoSites(w)
		b.nodes["outside"].side = cutOff // beyond a switch: no carrier is lost
		moves := a.moves() + b.moves()
		w.run(time.Minute, nil)
		if n := a.moves() + b.moves(); n != moves {
			t.Errorf("%d moves", n-moves)
		}
		if !b.nodes["outside"].machine.Ready() || b.nodes["inside"].machine.Ready() {
			t.Error("b is not ready outside alone")
		}
		b.nodes["outside"].side = outsideWire
		w.run(time.Second+w.delay, nil)
		if b.nodes["outside"].machine.Ready() {
			t.Error("ready beside a living master")
		}
	})
}

func TestGroupOnALossyWire(t *testing.T) {
	seeds(t, 200, func(t *testing.T, w *wire) {
		in, out, _ := grouped(150)
		a := w.site("a", in, out)
		in, out, _ = grouped(100)
		b := w.site("b", in, out)
		w.loss, w.delay, w.jitter = 0.4, 300*time.Millisecond, 500*time.Millisecond
		w.run(time.Minute, nil)
		w.loss, w.delay, w.jitter = 0, time.Millisecond, 0
		w.run(15*time.Second, nil)
		a.want("master/master")
		b.want("backup/backup")
		moves := a.moves() + b.moves()
		w.run(time.Minute, nil)
		if n := a.moves() + b.moves(); n != moves {
			t.Errorf("%d moves on a quiet wire", n-moves)
		}
	})
}

// TestGroupComesBackAlone: the other director is dead, and a cable of the master is pulled for a moment. The member whose
// cable works has not offered its place, so the group waits once, not twice.
func TestGroupComesBackAlone(t *testing.T) {
	seeds(t, 100, func(t *testing.T, w *wire) {
		a, b := twoSites(w)
		for _, n := range b.nodes {
			n.side += 100 // b dies
		}
		w.run(time.Second+w.upTo(time.Second), nil)
		a.link("inside", false)
		w.run(w.upTo(3*time.Second), nil)
		a.link("inside", true)
		w.run(3*time.Second+Skew(priorityStandby, time.Second)+Skew(150, time.Second)+200*time.Millisecond, nil)
		a.want("master/master")
		w.run(10*time.Second, nil)
		a.want("master/master")
	})
}

// TestGroupGivesWayOnce: one member hears a better master once and never again. The group gives way, becomes master again, and
// then stays master.
func TestGroupGivesWayOnce(t *testing.T) {
	seeds(t, 100, func(t *testing.T, w *wire) {
		a, b := twoSites(w)
		for _, n := range b.nodes {
			n.side += 100 // b dies
		}
		w.run(time.Second+w.upTo(time.Second), nil)
		w.step(a.nodes["inside"], Event{Kind: EventAdvert, Source: addrC, Priority: 200, Interval: time.Second / 4})
		w.run(10*time.Second, nil)
		a.want("master/master")
		moves := a.moves()
		w.run(time.Minute, nil)
		if n := a.moves(); n != moves {
			t.Errorf("%d moves after it had come back", n-moves)
		}
	})
}

// TestGroupHandsOver: every member goes into standby. At every moment one director holds each address.
func TestGroupHandsOver(t *testing.T) {
	seeds(t, 100, func(t *testing.T, w *wire) {
		a, b := twoSites(w)
		w.run(w.upTo(time.Second), nil)
		for _, n := range a.nodes {
			w.step(n, Event{Kind: EventStandby, On: true})
		}
		w.run(10*time.Second, func() {
			for name, n := range a.nodes {
				if !n.machine.Holding() && !b.nodes[name].machine.Holding() {
					t.Fatalf("nobody holds %s", name)
				}
			}
		})
		a.want("backup/backup")
		b.want("master/master")
		for _, n := range b.nodes {
			n.side += 100 // b dies
		}
		w.run(5*time.Second, nil)
		a.want("master/master")
	})
}

// TestReadyMemberHearsItsRivalLeave: the other director leaves because it has heard another member of the group. A member that
// was ready before takes over all the same when the group's decision arrives.
func TestReadyMemberHearsItsRivalLeave(t *testing.T) {
	c := testConfig(150)
	c.SyncGroup = "pair"
	m := NewMachine(c)
	m.Step(epoch, Event{Kind: EventUp, Source: addrB})
	for now := epoch.Add(time.Second); !m.Ready(); now = now.Add(time.Second) {
		if now.After(epoch.Add(10 * time.Second)) {
			t.Fatal("it is not ready to preempt")
		}
		m.Step(now, hear(addrA, 100))
		if due := m.Deadline(); !due.After(now.Add(time.Second)) {
			m.Step(due, Event{Kind: EventTimer})
		}
	}
	at := epoch.Add(11 * time.Second)
	m.Step(at, hear(addrA, PriorityLeaving))
	m.Step(at, Event{Kind: EventJoin, To: Master, Cause: &Cause{Kind: CauseGroupReady, Group: "pair"}})
	if m.State() != Master {
		t.Errorf("it is %s, want master", m.State())
	}
}
