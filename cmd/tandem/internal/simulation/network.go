// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"net/netip"
	"slices"
	"time"

	"github.com/tandem-lvs/tandem/garp"
	"github.com/tandem-lvs/tandem/lvs"
)

// A segment is one Ethernet: clients are on the outside; the real servers on the inside, if there is one.
const (
	outside = iota
	inside
	segments
)

// A node is a machine's place in the network: the two directors, then the clients, then the real servers.
const (
	firstClient = 2
	firstServer = 4
	witnessNode = nodes - 1
	nodes       = 8
)

// A wire is the connection from one node to another. The zero wire delivers everything at once.
type wire struct {
	cut    bool
	loss   float64
	twice  float64 // probability of a duplicate
	delay  time.Duration
	jitter time.Duration
}

// clean reports whether the wire loses nothing and delays almost nothing.
func (r wire) clean() bool { return !r.cut && r.loss == 0 && r.delay+r.jitter < 5*time.Millisecond }

// cleanBothWays reports whether two nodes hear each other.
func (w *world) cleanBothWays(segment, a, b int) bool {
	return w.wires[segment][a][b].clean() && w.wires[segment][b][a].clean()
}

// and returns a wire with the damage of both.
func (r wire) and(o wire) wire {
	return wire{
		cut: r.cut || o.cut, loss: 1 - (1-r.loss)*(1-o.loss), twice: 1 - (1-r.twice)*(1-o.twice),
		delay: r.delay + o.delay, jitter: r.jitter + o.jitter,
	}
}

// A damage is what one fault does to the network. A wire has the damage of all faults that are not over.
type damage struct {
	segment int
	ways    [][2]int // from a node, and to a node
	is      wire
	off     *host // it has no carrier there; nil: none loses it
}

// damaged begins a damage, and returns its end.
func (w *world) damaged(d damage) (mend func()) {
	mine := &d
	w.damages = append(w.damages, mine)
	w.rewired()
	return func() {
		w.damages = slices.DeleteFunc(w.damages, func(o *damage) bool { return o == mine })
		w.rewired()
	}
}

// bothWays returns the ways between a node and others.
func bothWays(node int, others ...int) (all [][2]int) {
	for _, o := range others {
		all = append(all, [2]int{node, o}, [2]int{o, node})
	}
	return all
}

// rewired updates the wires and carriers after a change.
func (w *world) rewired() {
	w.wires = [segments][nodes][nodes]wire{}
	var off [segments][2]bool
	for _, d := range w.damages {
		for _, way := range d.ways {
			r := &w.wires[d.segment][way[0]][way[1]]
			*r = r.and(d.is)
		}
		if d.off != nil {
			off[d.segment][d.off.node] = true
		}
	}
	for i, h := range w.hosts {
		for s := range segments {
			h.setCarrier(s, !off[s][i])
		}
		w.clear[i] = true
		for _, c := range w.clients {
			w.clear[i] = w.clear[i] && w.cleanBothWays(outside, h.node, c.node)
		}
		for _, s := range w.servers {
			w.clear[i] = w.clear[i] && w.cleanBothWays(h.serverSide, h.node, s.node)
		}
	}
}

// joined reports whether the two directors hear each other's advertisements about the addresses of a segment. With two paths, one is
// enough.
func (w *world) joined(segment int) bool {
	for s := range segments {
		if (s == segment || w.watch.scenario.Paths) && w.joinedOn(s) {
			return true
		}
	}
	return false
}

// joinedOn reports whether a segment connects the two directors.
func (w *world) joinedOn(segment int) bool {
	return w.cleanBothWays(segment, 0, 1) && w.hosts[0].carrier[segment] && w.hosts[1].carrier[segment]
}

// passes reports whether one packet arrives.
func (w *world) passes(segment, from, to int) bool {
	r := &w.wires[segment][from][to]
	return !r.cut && !w.chance(r.loss)
}

// send delivers a frame, or loses it.
func (w *world) send(segment, from, to int, arrive func()) {
	if !w.passes(segment, from, to) {
		return
	}
	r := &w.wires[segment][from][to]
	flight := w.between(30*time.Microsecond, 250*time.Microsecond) + r.delay
	if r.jitter > 0 {
		flight += w.between(0, r.jitter)
	}
	w.after(flight, arrive)
	if w.chance(r.twice) {
		w.after(flight+w.between(0, 2*time.Millisecond), arrive)
	}
}

// broadcast sends an announcement of a director to all others of a segment.
func (w *world) broadcast(segment int, from *host, o garp.Observation) {
	for _, c := range w.clients {
		if segment == outside {
			w.send(segment, from.node, c.node, func() { c.learn(c.hosts[o.From[5]-1]) })
		}
	}
	other := from.opposite()
	w.send(segment, from.node, other.node, func() { other.hearARP(segment, o) })
}

// A server is a real server.
type server struct {
	node  int
	addr  netip.Addr
	is    condition
	since time.Time
}

// A condition is how a real server treats a request.
type condition uint8

const (
	serving  condition = iota + 1
	refusing           // its program is down
	silent             // it is switched off
)

func (c condition) String() string { return [...]string{"?", "serves", "refuses", "is off"}[c] }

// A client sends requests to the VIP again and again. It has a neighbour entry for the VIP, like a Linux machine. A strict
// client refuses an update within a second after another one, even a gratuitous one.
type client struct {
	*world
	node   int
	strict bool

	entry     *host // nil: none
	updated   time.Time
	confirmed time.Time
	failing   time.Time // when the first of the requests that failed in this way was sent; zero: the last one was answered
	way       failure
}

const (
	pause     = 50 * time.Millisecond // between two requests of a client
	lockTime  = time.Second           // Linux: locktime
	reachable = 30 * time.Second      // base_reachable_time
	probing   = 8 * time.Second       // delay_first_probe_time, and three unicast probes a second apart
)

// learn handles an announcement. It makes no new entry.
func (c *client) learn(from *host) {
	if c.entry == nil || c.strict && c.now.Sub(c.updated) < lockTime {
		return
	}
	if c.entry != from {
		c.say(c.name(), "sends to %s from now on", from.name)
	}
	c.entry, c.updated, c.confirmed = from, c.now, c.now
}

func (c *client) name() string {
	if c.strict {
		return "client2"
	}
	return "client1"
}

// resolve asks who has the VIP, unless the entry is valid.
func (c *client) resolve() {
	if c.entry != nil && c.now.Sub(c.confirmed) < reachable {
		return
	}
	if c.entry != nil && c.answersARP(c.entry) && c.now.Sub(c.confirmed) < reachable+probing {
		c.confirmed = c.now
		return
	}
	if c.entry != nil && c.now.Sub(c.confirmed) < reachable+probing {
		return // it still believes the entry
	}
	c.entry = nil
	first := c.rand.IntN(2)
	for i := range c.hosts {
		if h := c.hosts[(first+i)%2]; c.answersARP(h) {
			c.entry, c.updated, c.confirmed = h, c.now, c.now
			c.say(c.name(), "finds the VIP at %s", h.name)
			return
		}
	}
}

func (c *client) answersARP(h *host) bool {
	return h.kernelRuns() && h.kernel.addrs[slot(vip)] && c.passes(outside, c.node, h.node) && c.passes(outside, h.node, c.node)
}

// A result is the result of a request.
type result struct {
	ok     bool
	kind   failure
	why    string
	server *server // that did not answer
}

// A failure is the reason why a request failed.
type failure string

const (
	nobody  failure = "service: nobody has the VIP"
	wayCut  failure = "service: the way is cut"
	frozen  failure = "service: the machine stands still"
	stale   failure = "service: sent to the wrong director"
	empty   failure = "service: the table is empty"
	deadEnd failure = "service: sent to a dead server"
)

// ask makes one request, and plans the next.
func (c *client) ask() {
	c.after(pause, c.ask)
	c.resolve()
	r := c.request()
	if r.ok {
		c.confirmed, c.failing = c.now, time.Time{}
	} else if c.failing.IsZero() || c.way != r.kind {
		c.failing, c.way = c.now, r.kind
	}
	c.watch.sawRequest(c, r)
}

func (c *client) request() result {
	h := c.entry
	switch {
	case h == nil:
		return result{kind: nobody, why: "nobody has the VIP"}
	case !c.passes(outside, c.node, h.node):
		return result{kind: wayCut, why: "the way to " + h.name + " is cut"}
	case !h.kernelRuns():
		return result{kind: frozen, why: h.name + " stands still"}
	case !h.kernel.addrs[slot(vip)]:
		return result{kind: stale, why: h.name + " does not have the VIP any more"}
	}
	to, ok := h.kernel.schedule(c.world, www)
	if !ok {
		return result{kind: empty, why: "IPVS of " + h.name + " has no server"}
	}
	for _, s := range c.servers {
		if s.addr != to.Addr {
			continue
		}
		if s.is != serving || !c.passes(h.serverSide, h.node, s.node) {
			return result{kind: deadEnd, why: h.name + " sends it to " + s.addr.String() + ", which does not answer", server: s}
		}
		return result{ok: true}
	}
	return result{ok: true} // the sorry server
}

var (
	vip       = netip.MustParseAddr("192.0.2.100")
	insideVIP = netip.MustParseAddr("198.51.100.100")
	www       = lvs.ServiceID{Protocol: lvs.TCP, Addr: vip, Port: 80}
)
