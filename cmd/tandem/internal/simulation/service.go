// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"net/netip"
	"time"

	"github.com/tandem-lvs/tandem/garp"
)

// sawRequest checks the result of a client's request.
func (m *monitor) sawRequest(c *client, r result) {
	w := c.world
	if c.strict { // one of the two is enough
		m.lookAtTables(w)
	}
	if r.ok || m.broken != nil {
		return
	}
	if !m.scenario.Sorry && !m.anyServer(w) {
		return
	}
	able := max(m.reached[0].since(w.now), m.reached[1].since(w.now))
	// An election, and for a strict client the time in which it refuses an update, with the announcement after that.
	bound := m.down() + slack
	if c.entry != nil && c.entry.other {
		bound += checkInterval // it looks at its servers that often
	}
	if c.strict {
		bound += lockTime + 200*time.Millisecond
	}
	switch r.kind {
	case deadEnd: // other requests of this client may have been answered meanwhile
		bound += detection
		able = min(able, w.now.Sub(r.server.since))
		if both := m.both[outside].since(w.now); both > 0 { // a client may have learned the address of the master that is about to give way
			able = min(able, both)
		}
		if m.scenario.Master { // it begins to check when it becomes master
			able = min(able, m.holds[c.entry.node].since(w.now))
		}
	case stale, frozen:
		if m.scenario.Other > 0 {
			return // the other make gives way without a word, and announces only when it becomes master
		}
		if w.now.Sub(m.lossy) < garp.ReferralTime+bound {
			bound += garp.ReferralTime / 2 // a lost announcement is repeated after that time at most
		}
		if g := &m.guards[c.entry.node]; m.scenario.Release && w.now.Sub(g.ended) < witnessTakes+bound {
			bound += witnessTakes // a director that has let go hears no master, and announces for none, until its fault is over
		}
		able = min(able, w.now.Sub(c.failing))
	case empty:
		if m.hasDrained(c.entry) {
			return
		}
		able, bound = m.allowsEmpty(c, able, bound)
	default:
		able = min(able, w.now.Sub(c.failing))
	}
	if able > bound {
		m.broke(w, string(r.kind), "%s: %s; that has gone on for %s while it could be served, the bound is %s", c.name(), r.why, able, bound)
	}
}

// allowsEmpty returns since when a master whose table leads nowhere could have served, and how long that may last.
func (m *monitor) allowsEmpty(c *client, able, bound time.Duration) (since, most time.Duration) {
	w := c.world
	for _, s := range w.servers {
		able = min(able, w.now.Sub(s.since))
	}
	wiped, failing := w.now.Sub(c.entry.kernel.wiped), w.now.Sub(c.failing)
	if lasting := min(able, wiped, m.undisturbed[c.entry.node].since(w.now)); lasting > recovery+detection {
		return max(lasting, 1), 0 // the table was good, and nothing has happened to the servers
	}
	if wiped < bound+lookPause {
		return min(able, failing), bound + lookPause // nobody tells who flushes a table
	}
	if serves := m.serves[1-c.entry.node].since(w.now); serves > bound && m.scenario.Preempt {
		// The peer may be able to. A master steps back when its peer has had the time to find the servers unhealthy as well.
		return min(serves, failing), bound + detection + time.Second
	}
	return min(able, failing), bound + max(detection, recovery)
}

// anyServer reports whether a real server answers that no operator has drained.
func (m *monitor) anyServer(w *world) bool {
	for _, s := range w.servers {
		drained := false
		for _, h := range w.hosts {
			if o, ok := h.disk.ordered["www/"+netip.AddrPortFrom(s.addr, 80).String()]; ok && o.Drained {
				drained = true
			}
		}
		if s.is == serving && !drained {
			return true
		}
	}
	return false
}
