// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"maps"
	"slices"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/core"
)

const (
	askPause = time.Second            // between two questions to the neighbours
	askWait  = 300 * time.Millisecond // for their answers
)

// askNeighbours asks whether anybody answers on the real servers' side, until there is another question.
func (d *director) askNeighbours(q core.Question, number int) {
	if q.Silence == 0 || number != d.question {
		return
	}
	d.later(askWait, func() {
		if number == d.question {
			is := core.Neighbours{Silence: q.Silence, Answer: d.neighbourAnswers(), Unreached: q.InDoubt}
			if is.Answer { // all servers are on one interface
				is.Reached, is.Unreached = q.InDoubt, nil
			}
			d.post(is)
		}
		d.later(askPause, func() { d.askNeighbours(q, number) })
	})
}

// neighbourAnswers reports whether the peer, a client or a machine of a real server answers on the real servers' side.
func (d *director) neighbourAnswers() bool {
	h := d.host
	if !h.carrier[h.serverSide] {
		return false
	}
	if d.watch.scenario.Sorry && h.carrier[outside] && d.passes(outside, h.node, firstClient) && d.passes(outside, firstClient, h.node) {
		return true // the sorry server is beside the clients
	}
	nodes := []int{}
	for _, s := range d.servers {
		if s.is != silent {
			nodes = append(nodes, s.node)
		}
	}
	if h.opposite().powered && h.opposite().carrier[h.serverSide] {
		nodes = append(nodes, h.opposite().node)
	}
	if h.serverSide == outside {
		for _, c := range d.clients {
			nodes = append(nodes, c.node)
		}
	}
	return slices.ContainsFunc(nodes, func(n int) bool {
		return d.passes(h.serverSide, h.node, n) && d.passes(h.serverSide, n, h.node)
	})
}

// askSegments asks whether other machines answer on the interfaces, until there are others to ask about. before has the results
// that the director knows.
func (d *director) askSegments(q core.Segments, number int, before map[string]core.Reach) {
	if len(q) == 0 || number != d.segments {
		return
	}
	d.later(askWait, func() {
		if number != d.segments {
			return
		}
		now := make(map[string]core.Reach)
		for _, iface := range slices.Sorted(maps.Keys(q)) {
			now[iface] = d.reach(segmentOf(iface))
			if was, known := before[iface]; !known || was != now[iface] {
				d.post(core.SegmentAnswer{Interface: iface, Reach: now[iface]})
			}
		}
		d.later(askPause, func() { d.askSegments(q, number, now) })
	})
}

// reach reports whether any other machine of a segment answers.
func (d *director) reach(segment int) core.Reach {
	h := d.host
	if !h.carrier[segment] {
		return core.ReachUnknown
	}
	var there []int
	if other := h.opposite(); other.powered && other.carrier[segment] {
		there = append(there, other.node)
	}
	for _, c := range d.clients {
		if segment == outside {
			there = append(there, c.node)
		}
	}
	for _, s := range d.servers {
		if segment == h.serverSide && s.is != silent {
			there = append(there, s.node)
		}
	}
	for range 3 { // it asks three times
		if slices.ContainsFunc(there, func(n int) bool { return d.passes(segment, h.node, n) && d.passes(segment, n, h.node) }) {
			return core.Reached
		}
	}
	return core.Isolated
}
