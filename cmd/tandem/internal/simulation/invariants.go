// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/core"
	"github.com/tandem-lvs/tandem/lvs"
	"github.com/tandem-lvs/tandem/vrrp"
)

// A Broken is an invariant that did not hold.
type Broken struct {
	Kind string
	At   time.Duration
	What string
}

// String says it in a line.
func (b *Broken) String() string {
	return fmt.Sprintf("%s at %.3f s: %s", b.Kind, b.At.Seconds(), b.What)
}

// A since is the time since which a condition holds. The zero value: it does not hold.
type since struct{ time.Time }

// is records whether the condition holds now, and returns for how long.
func (s *since) is(so bool, now time.Time) time.Duration {
	switch {
	case !so:
		s.Time = time.Time{}
		return 0
	case s.IsZero():
		s.Time = now
		return 0
	}
	return now.Sub(s.Time)
}

// A monitor checks the invariants. The bounds are those of RFC 9568 and of the configuration, plus slack for delays of
// milliseconds.
type monitor struct {
	scenario *Scenario
	broken   *Broken
	faults   [kinds]int

	both     [segments]since // both directors have the VIP
	none     [segments]since // no director has it
	handed   [segments]bool  // while both had it, one of them handed over
	offered  [segments]bool  // … both of them offered it at the same time
	hear     [segments]since // the directors run, and hear each other
	together [segments]since // … and hear what the other one announces there
	capable  [2]since        // a director runs, and can serve
	reached  [2]since        // … and clients, servers and the peer reach it
	listened [2]since        // a director's loop runs
	serves   [2]since        // a director that clients and servers reach has a healthy server in its table

	lossy       time.Time // when a wire to a client last lost a packet
	split       bool      // both directors had the VIP while they did not hear each other, and they have not heard each other since
	holds       [2]since  // a director has the VIP
	undisturbed [2]since  // a kernel runs, and its wires are clean

	orders     int
	remembered [2]map[string]remembered // orders of drains, by server, and of standby, with an empty name

	guards [2]guarded

	mustBeQuiet bool
	muted       bool // a test measures what the invariants forbid
}

func newMonitor(s *Scenario) monitor {
	return monitor{scenario: s, remembered: [2]map[string]remembered{make(map[string]remembered), make(map[string]remembered)}}
}

const slack = 250 * time.Millisecond

// down returns the longest Active_Down_Interval: three intervals, and the skew time of priority 1. The members of a sync group
// wait for one that offers its place. A fenced router waits for its hook.
func (m *monitor) down() time.Duration {
	i := m.scenario.Interval
	down := vrrp.DownAdverts*i + vrrp.Skew(1, i)
	if m.scenario.Group {
		down = (&vrrp.Config{AdvertInterval: i}).OfferTime() + vrrp.Skew(1, i)
	}
	if m.scenario.Fence {
		down += fenceTakes
	}
	return down
}

// detection is how long checks take to find a dead server, recovery how long to find one that is back.
const (
	detection = checkFall*checkInterval + checkTimeout + checkInterval + slack
	recovery  = checkRise*checkInterval + checkTimeout + checkInterval + slack
)

// broke records the first invariant that does not hold.
func (m *monitor) broke(w *world, kind, format string, args ...any) {
	if m.broken == nil && !m.muted {
		m.broken = &Broken{kind, w.now.Sub(epoch), fmt.Sprintf(format, args...)}
		w.say("BROKEN", "%s: %s", kind, m.broken.What)
	}
}

// rests checks that a director's loop has nothing to do at once when it has done everything.
func (m *monitor) rests(w *world, name string, now, next time.Time) {
	if !next.IsZero() && !next.After(now) {
		m.broke(w, "restless", "%s would run again at once: its next tick was due %s ago", name, now.Sub(next))
	}
}

// look checks the invariants that must hold at any time.
func (m *monitor) look(w *world) {
	for i, h := range w.hosts {
		m.lookAt(w, i, h)
		if !w.clear[i] {
			m.lossy = w.now
		}
	}
	for segment, v := range [...]netip.Addr{vip, insideVIP} {
		if segment == inside && !m.scenario.Group {
			break
		}
		holders := 0
		for _, h := range w.hosts {
			if h.kernelRuns() && h.kernel.addrs[slot(v)] {
				holders++
			}
		}
		m.lookAtHolders(w, segment, v, holders)
		able := max(m.capable[0].since(w.now), m.capable[1].since(w.now))
		for i, h := range w.hosts { // the members of a group change together
			if m.scenario.Group && h.kernelRuns() && (h.kernel.addrs[outside] || h.kernel.addrs[inside]) {
				able = min(able, m.capable[i].since(w.now))
			}
		}
		none := min(able, m.none[segment].is(holders == 0, w.now))
		if bound := m.down() + slack; none > bound {
			m.broke(w, "no holder", "nobody has had %s for %s, while a director could; the bound is %s", v, none, bound)
		}
	}
}

func (s since) since(now time.Time) time.Duration {
	if s.IsZero() {
		return 0
	}
	return now.Sub(s.Time)
}

// takesPart reports whether a director's election runs together with its director.
func (h *host) takesPart() bool {
	if h.other {
		return h.kernelRuns() && h.peer != nil && h.peer.runs() && !h.peer.due.IsZero()
	}
	e, d := h.election(), h.director
	return h.kernelRuns() && d != nil && d.runs() && !d.leaving && e != nil && e.runs() && e.obeyed && e.director == d && !e.ending
}

// lookAt checks one director.
func (m *monitor) lookAt(w *world, i int, h *host) {
	m.lookAtGuards(w, i, h)
	able := h.takesPart() && h.carrier[outside] && h.carrier[h.serverSide] && !h.kernel.refuses && m.canTakeOver(w, i)
	m.capable[i].is(able, w.now)
	m.listened[i].is(h.director != nil && h.director.runs() && h.director.ready && !h.director.leaving, w.now)
	clear := m.waysAreClean(w, h)
	reached := able && clear && m.peerIsClear(w, h)
	m.reached[i].is(reached, w.now)
	m.undisturbed[i].is(h.kernelRuns() && !h.kernel.refuses && clear, w.now)
	m.serves[i].is(reached && m.hasServer(w, h), w.now)
	if d := h.director; d != nil && d.runs() {
		for _, n := range sortedRequests(d.asked) {
			if q := d.asked[n]; m.listened[i].since(w.now) > 30*time.Second && w.now.Sub(q.at) > 30*time.Second {
				m.broke(w, "answers", "%s has not answered %q for %s", h.name, q.what, w.now.Sub(q.at))
			}
		}
	}
}

func sortedRequests(m map[core.Request]question) []core.Request {
	if len(m) == 0 {
		return nil
	}
	var all []core.Request
	for n := range m {
		all = append(all, n)
	}
	slices.Sort(all)
	return all
}

// peerIsClear reports whether the other director cannot be master beside this one: it is off, or the two hear each other.
func (m *monitor) peerIsClear(w *world, h *host) bool {
	other := h.opposite()
	if !other.kernelRuns() {
		return !m.split // otherwise clients may have the other director's address, and nobody can know it
	}
	segments := 1
	if m.scenario.Group {
		segments = 2
	}
	for s := range segments {
		if !w.cleanBothWays(s, 0, 1) || !other.carrier[s] {
			return false
		}
	}
	if other.takesPart() {
		return m.waysAreClean(w, other) && !other.kernel.refuses
	}
	return !m.split && other.election() == nil && other.peer == nil && !other.kernel.addrs[slot(vip)]
}

// waysAreClean reports whether clients and real servers are reached from a director without loss.
func (m *monitor) waysAreClean(w *world, h *host) bool {
	return w.clear[h.node] && h.carrier[outside] && h.carrier[h.serverSide]
}

// hasServer reports whether a kernel has a weight for a real server that answers.
func (m *monitor) hasServer(w *world, h *host) bool {
	for _, is := range h.kernel.table[www].Servers {
		for _, s := range w.servers {
			if s.addr == is.Addr && s.is == serving && is.Weight > 0 {
				return true
			}
		}
	}
	return false
}

// hasDrained reports whether an operator has drained or disabled a server at a director.
func (m *monitor) hasDrained(h *host) bool {
	return len(h.disk.ordered) > 0 || len(h.cfg.Services[0].Servers) < m.scenario.Servers
}

// lookAtTables checks the kernels' tables.
func (m *monitor) lookAtTables(w *world) {
	for i, h := range w.hosts {
		if h.kernelRuns() && !isForeign(h.kernel.table[foreign.ServiceID]) {
			m.broke(w, "foreign", "somebody else's service was changed on %s", h.name)
		}
		if len(m.remembered[i]) == 0 || m.listened[i].since(w.now) < 2*time.Second || h.kernel.refuses || h.kernel.lies > 0 {
			continue
		}
		for _, is := range h.kernel.table[www].Servers {
			if o := m.remembered[i][is.ServerID.String()]; o.is && is.Weight > 0 && w.now.Sub(o.since) > time.Second {
				m.broke(w, "remembered", "%s has weight %d on %s, which has said that it is drained, and remembered so", is.ServerID, is.Weight, h.name)
			}
		}
		if o, d := m.remembered[i][""], h.director; o.is && w.now.Sub(o.since) > time.Second && d.child != nil && len(d.asked) == 0 {
			for _, r := range d.order.Routers {
				if !r.Standby {
					m.broke(w, "remembered", "%s takes part with %s, though it has said that it stands by, and remembered so", h.name, r.Name)
				}
			}
		}
	}
}

// isForeign reports whether an entry is as the other program made it.
func isForeign(e lvs.Entry) bool {
	return e.Service == foreign.Service && slices.Equal(e.Servers, foreign.Servers)
}

// A remembered is an order that was acknowledged, without a warning that a restart would forget it.
type remembered struct {
	order int
	is    bool
	since time.Time
}

// activity records an event that does not happen in a quiet pair.
func (m *monitor) activity(w *world, what string) {
	if m.mustBeQuiet {
		m.broke(w, "quiet", "%s, long after the last fault", what)
	}
}

// asks records an order of an operator about a server, or, without a name, about standby. It returns the handler of the
// answer. Only the latest order about a thing counts, and only if the answer has no warning.
func (m *monitor) asks(h *host, server string) func(core.Reply) {
	m.orders++
	order := m.orders
	m.remembered[h.node][server] = remembered{order: order}
	return func(r core.Reply) {
		is := m.remembered[h.node][server]
		if is.order == order && r.Err == nil && r.NotRemembered == "" && (server != "" || len(r.Routers) > 0) {
			m.remembered[h.node][server] = remembered{order, true, h.now}
		}
	}
}

// expectWanted checks the state after all faults.
func (m *monitor) expectWanted(w *world) {
	if m.broken != nil {
		return
	}
	vips := []netip.Addr{vip}
	if m.scenario.Group {
		vips = append(vips, insideVIP)
	}
	for _, v := range vips {
		var holders []string
		for _, h := range w.hosts {
			if h.kernel.addrs[slot(v)] {
				holders = append(holders, h.name)
			}
		}
		if len(holders) != 1 || m.scenario.Preempt && holders[0] != "lb1" {
			m.broke(w, "wanted", "%s is at %v at last, wanted at lb1", v, holders)
		}
	}
	for _, h := range w.hosts {
		if h.other {
			continue
		}
		if h.director == nil || h.director.child == nil {
			m.broke(w, "wanted", "%s does not run at last", h.name)
			return
		}
		holder := h.kernel.addrs[slot(vip)]
		is := h.kernel.table[www]
		if got := serversOf(is); (holder || !m.scenario.Master) && got != m.wantedServers() {
			m.broke(w, "wanted", "the table of %s has %s at last, wanted %s", h.name, got, m.wantedServers())
		}
		if !h.director.inLine() {
			m.broke(w, "wanted", "the table of %s is not as its director wants it", h.name)
		}
	}
}

func serversOf(e lvs.Entry) string {
	var all []string
	for _, s := range lvs.SortServers(slices.Clone(e.Servers)) {
		all = append(all, fmt.Sprintf("%s=%d", s.ServerID, s.Weight))
	}
	return fmt.Sprint(all)
}

func (m *monitor) wantedServers() string {
	side := outside
	if m.scenario.Group {
		side = inside
	}
	var all []string
	for i := range m.scenario.Servers {
		all = append(all, fmt.Sprintf("%s:80=1", serverAddr(side, i)))
	}
	return fmt.Sprint(all)
}
