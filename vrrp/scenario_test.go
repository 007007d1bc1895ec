// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"
)

// A wire connects machines in simulated time. Its delays, losses and partitions come from one seed.
type wire struct {
	t       *testing.T
	rand    *rand.Rand
	now     time.Time
	nodes   []*node
	flights []flight
	agenda  []appointment
	loss    float64
	delay   time.Duration // the longest
	jitter  time.Duration // how late a node may act on its timer, at most
	adds    time.Duration // how long a node takes to add its addresses, at most; it announces them after that
}

type node struct {
	name    string
	machine *Machine
	addr    netip.Addr
	side    int // nodes of different sides do not hear each other
	late    time.Duration
	log     []string
	changed func() // called after each step that changed more than a deadline, if there is one

	becameMaster int
	added        time.Time // when it has its addresses, if it holds them

	asleep bool // it does nothing, neither for timers nor for packets
	inbox  []Event
}

type appointment struct {
	at time.Time
	do func()
}

type flight struct {
	at   time.Time
	to   *node
	from *node
	ev   Event
}

func newWire(t *testing.T, seed uint64) *wire {
	return &wire{t: t, rand: rand.New(rand.NewPCG(seed, 0)), now: epoch, delay: time.Millisecond}
}

func (w *wire) add(name string, c Config) *node { return w.addTo(0, name, c) }

func (w *wire) addTo(side int, name string, c Config) *node {
	n := &node{name: name, machine: NewMachine(c), side: side, addr: netip.AddrFrom4([4]byte{192, 0, 2, byte(len(w.nodes) + 1)})}
	w.nodes = append(w.nodes, n)
	w.step(n, Event{Kind: EventUp, Source: n.addr})
	return n
}

func (w *wire) upTo(limit time.Duration) time.Duration {
	if limit <= 0 {
		return 0
	}
	return time.Duration(w.rand.Int64N(int64(limit)))
}

func (w *wire) step(n *node, ev Event) {
	ready, reason := n.machine.Ready(), n.machine.Cause().String()
	actions := n.machine.Step(w.now, ev)
	changed := n.machine.Ready() != ready || n.machine.Cause().String() != reason
	for _, a := range actions {
		changed = changed || a.Kind != ActionAdvertise
		if a.Kind == ActionTransition {
			n.log = append(n.log, fmt.Sprintf("%s: %s", a.To, a.Cause.String()))
			if a.To == Master {
				n.becameMaster++
				n.added = w.now.Add(w.upTo(w.adds))
				w.announce(n)
			}
		}
		if a.Kind != ActionAdvertise {
			continue
		}
		for _, to := range w.nodes {
			if to == n || to.side != n.side || w.rand.Float64() < w.loss {
				continue
			}
			heard := Event{Kind: EventAdvert, Source: n.addr, Priority: a.Priority, Interval: n.machine.cfg.AdvertInterval}
			w.flights = append(w.flights, flight{w.now.Add(w.upTo(w.delay)), to, n, heard})
		}
	}
	if ev.Kind == EventAdvert && n.machine.State() == Master && len(actions) > 0 {
		w.announce(n) // it has heard another master
	}
	n.late = w.upTo(w.jitter)
	if n.changed != nil && changed {
		n.changed()
	}
}

// announce lets the others hear that a master announces its addresses, after it has added them.
func (w *wire) announce(n *node) {
	for _, to := range w.nodes {
		if to != n && to.side == n.side {
			w.flights = append(w.flights, flight{later(w.now, n.added).Add(w.upTo(w.delay)), to, n, Event{Kind: EventAnnounced}})
		}
	}
}

// at schedules a call at a simulated time.
func (w *wire) at(t time.Time, do func()) {
	w.agenda = append(w.agenda, appointment{t, do})
	slices.SortStableFunc(w.agenda, func(a, b appointment) int { return a.at.Compare(b.at) })
}

// wake lets a sleeping node continue. As a Loop does, it reads the packets that arrived before it handles its timer.
func (w *wire) wake(n *node) {
	n.asleep = false
	for _, ev := range n.inbox {
		w.step(n, ev)
	}
	n.inbox = nil
	if due := n.machine.Deadline(); !due.IsZero() && due.Before(w.now) {
		w.step(n, Event{Kind: EventTimer}) // now, not when it was due
	}
}

// run lets the time d pass, calling check after each event.
func (w *wire) run(d time.Duration, check func()) {
	end := w.now.Add(d)
	for {
		var next *node
		at := end
		for _, n := range w.nodes {
			if due := n.machine.Deadline(); !n.asleep && !due.IsZero() && due.Add(n.late).Before(at) {
				next, at = n, due.Add(n.late)
			}
		}
		slices.SortStableFunc(w.flights, func(a, b flight) int { return a.at.Compare(b.at) })
		if len(w.agenda) > 0 && !w.agenda[0].at.After(at) && (len(w.flights) == 0 || !w.flights[0].at.Before(w.agenda[0].at)) {
			a := w.agenda[0]
			w.agenda, w.now = w.agenda[1:], a.at
			a.do()
			continue
		}
		if len(w.flights) > 0 && !w.flights[0].at.After(at) {
			f := w.flights[0]
			w.flights = w.flights[1:]
			w.now = f.at
			switch {
			case f.from.side != f.to.side:
			case f.ev.Kind == EventAnnounced && (f.from.machine.State() != Master || !f.to.machine.Successor().IsValid()):
			case f.to.asleep:
				f.to.inbox = append(f.to.inbox, f.ev)
			default:
				w.step(f.to, f.ev)
			}
		} else if w.now = at; next == nil {
			return
		} else {
			w.step(next, Event{Kind: EventTimer})
		}
		if check != nil {
			check()
		}
	}
}

func (w *wire) masters() (names []string) {
	for _, n := range w.nodes {
		if n.machine.State() == Master {
			names = append(names, n.name)
		}
	}
	return names
}

func (w *wire) holders() (n int) {
	for _, o := range w.nodes {
		if o.machine.Holding() {
			n++
		}
	}
	return n
}

// served reports whether a node has the addresses by now.
func (w *wire) served() bool {
	return slices.ContainsFunc(w.nodes, func(n *node) bool { return n.machine.Holding() && !w.now.Before(n.added) })
}

func (w *wire) want(masters ...string) {
	w.t.Helper()
	if got := w.masters(); !slices.Equal(got, masters) {
		for _, n := range w.nodes {
			w.t.Logf("%s: %q", n.name, n.log)
		}
		w.t.Fatalf("after %s: masters %q, want %q", w.now.Sub(epoch), got, masters)
	}
}

// seeds runs a scenario under many seeds.
func seeds(t *testing.T, n uint64, scenario func(t *testing.T, w *wire)) {
	for seed := range n {
		if !t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) { scenario(t, newWire(t, seed)) }) {
			return
		}
	}
}

func TestPairElectsTheHigherPriority(t *testing.T) {
	w := newWire(t, 1)
	a, b := w.add("a", testConfig(150)), w.add("b", testConfig(100))
	w.run(10*time.Second, func() {
		if w.holders() > 1 {
			t.Errorf("two hold the VIPs after %s", w.now.Sub(epoch))
		}
	})
	w.want("a")
	if want := []string{"backup: startup", "master: no advertisement for 3.414s"}; !slices.Equal(a.log, want) {
		t.Errorf("a: %q, want %q", a.log, want)
	}
	if want := []string{"backup: startup"}; !slices.Equal(b.log, want) {
		t.Errorf("b: %q, want %q", b.log, want)
	}
}

func TestTakeOverWithinBound(t *testing.T) {
	seeds(t, 300, func(t *testing.T, w *wire) {
		a, b := w.add("a", testConfig(150)), w.add("b", testConfig(100))
		w.run(5*time.Second+w.upTo(5*time.Second), nil)
		w.want("a")
		cut := w.now
		a.side = 1
		w.step(a, Event{Kind: EventFault, Cause: &Cause{Kind: FaultTracked, Text: "interface eth0 has no carrier"}})
		w.run(10*time.Second, nil)
		w.want("b")
		// The cable was cut after the last advert, so this is an upper bound.
		if took, bound := b.machine.Since().Sub(cut), 3*time.Second+skewOf100+w.delay; took > bound {
			t.Errorf("took over after %s, more than %s", took, bound)
		}
		a.side = 0
		w.step(a, Event{Kind: EventUp, Source: a.addr})
		w.run(5*time.Second, nil)
		w.want("a")
		if want := "backup: higher priority 150 heard from 192.0.2.1"; b.log[len(b.log)-1] != want {
			t.Errorf("b: %q, want %q last", b.log, want)
		}
	})
}

func TestNoPreemptLeavesTheMaster(t *testing.T) {
	w := newWire(t, 1)
	stay := testConfig(150)
	stay.Preempt = false
	a := w.add("a", stay)
	w.add("b", testConfig(100))
	w.run(10*time.Second, nil)
	w.want("a")
	w.step(a, Event{Kind: EventFault, Cause: &Cause{Kind: FaultTracked, Text: "interface eth0 is down"}})
	w.run(10*time.Second, nil)
	w.step(a, Event{Kind: EventUp, Source: a.addr})
	w.run(time.Minute, nil)
	w.want("b")
}

func TestEqualPrioritiesAgree(t *testing.T) {
	seeds(t, 300, func(t *testing.T, w *wire) {
		for _, name := range []string{"a", "b", "c"} {
			w.add(name, testConfig(100))
		}
		w.run(20*time.Second, nil)
		if len(w.masters()) != 1 {
			w.want("one of them")
		}
		// All start and become master at the same moment: the highest address stays.
		w.want("c")
	})
}

// TestHandOverLeavesNoGap: during a planned stop, the VIPs are held at every moment.
func TestHandOverLeavesNoGap(t *testing.T) {
	seeds(t, 300, func(t *testing.T, w *wire) {
		a := w.add("a", testConfig(150))
		priority := uint8(1 + w.rand.IntN(149))
		b := w.add("b", testConfig(priority))
		w.run(5*time.Second+w.upTo(time.Second), nil)
		w.want("a")
		stopped := w.now
		w.step(a, Event{Kind: EventStop, Cause: &Cause{Kind: CauseShutdown}})
		if seed := w.rand.IntN(2); seed == 0 {
			w.flights = nil // the first offer is lost; the second must do
		}
		w.run(5*time.Second, func() {
			if w.holders() == 0 {
				t.Fatalf("nobody holds the VIPs %s after the stop, b at priority %d", w.now.Sub(stopped), priority)
			}
		})
		w.want("b")
		if a.machine.Holding() || a.machine.State() != Initialize {
			t.Error("a did not let go")
		}
		if want := "master: priority 0 heard from 192.0.2.1"; b.log[len(b.log)-1] != want {
			t.Errorf("b: %q, want %q last", b.log, want)
		}
	})
}

// TestPartitionHeals: there are two masters while the wire is cut in two, and one within an interval after that.
func TestPartitionHeals(t *testing.T) {
	seeds(t, 300, func(t *testing.T, w *wire) {
		a, _, c := w.add("a", testConfig(150)), w.add("b", testConfig(100)), w.add("c", testConfig(50))
		w.run(5*time.Second, nil)
		w.want("a")
		a.side = 1
		w.run(5*time.Second+w.upTo(5*time.Second), nil)
		w.want("a", "b")
		a.side = 0
		w.run(time.Second+2*w.delay, nil)
		w.want("a")
		if len(c.log) != 1 {
			t.Errorf("the bystander moved: %q", c.log)
		}
	})
}

// TestLossyWireSettles: when loss, delay and lateness end, the right router is the only master.
func TestLossyWireSettles(t *testing.T) {
	seeds(t, 500, func(t *testing.T, w *wire) {
		w.loss, w.delay, w.jitter = 0.4, 300*time.Millisecond, 500*time.Millisecond
		priorities := []uint8{150, 100, 50}
		w.rand.Shuffle(3, func(i, j int) { priorities[i], priorities[j] = priorities[j], priorities[i] })
		for i, name := range []string{"a", "b", "c"} {
			w.add(name, testConfig(priorities[i]))
		}
		w.run(time.Minute, nil)
		w.loss, w.delay, w.jitter = 0, time.Millisecond, 0
		w.run(5*time.Second, nil)
		best := slices.MaxFunc(w.nodes, func(m, n *node) int { return cmp.Compare(m.machine.Priority(), n.machine.Priority()) })
		w.want(best.name)
		before := fmt.Sprint(w.nodes[0].log, w.nodes[1].log, w.nodes[2].log)
		w.run(time.Minute, nil)
		if after := fmt.Sprint(w.nodes[0].log, w.nodes[1].log, w.nodes[2].log); after != before {
			t.Errorf("somebody moved on a quiet wire: %s, before %s", after, before)
		}
	})
}

// TestIntervalsDiffer: backups follow the interval of the master, not their own.
func TestIntervalsDiffer(t *testing.T) {
	w := newWire(t, 1)
	slow, fast := testConfig(150), testConfig(100)
	slow.AdvertInterval, fast.AdvertInterval = 10*time.Second, 10*time.Millisecond
	w.add("a", slow)
	b := w.add("b", fast)
	w.run(41*time.Second, nil)
	w.want("a")
	moves := len(b.log)
	w.run(time.Hour, nil)
	w.want("a")
	if len(b.log) != moves {
		t.Errorf("b: %q", b.log)
	}
}
