// SPDX-License-Identifier: Apache-2.0

package simulation

import (
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
			d.post(core.Neighbours{Silence: q.Silence, Answer: d.neighbourAnswers()})
		}
		d.later(askPause, func() { d.askNeighbours(q, number) })
	})
}

// neighbourAnswers tells whether the peer, a client or a machine of a real server answers on the real servers' side.
func (d *director) neighbourAnswers() bool {
	h := d.host
	if !h.carrier[h.serverSide] {
		return false
	}
	if d.watch.scenario.Sorry && h.carrier[outside] && d.passes(outside, h.node, firstClient) && d.passes(outside, firstClient, h.node) {
		return true // the sorry server is beside the clients
	}
	nodes := []int{}
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
