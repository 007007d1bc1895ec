// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"time"

	"github.com/tandem-lvs/tandem/garp"
	"github.com/tandem-lvs/tandem/vrrp"
)

// A datagram is a received advertisement.
type datagram struct {
	header  vrrp.Header
	message []byte
	segment int
}

// segmentOf returns the segment of an interface.
func segmentOf(iface string) int {
	if iface == "eth1" {
		return inside
	}
	return outside
}

// sendDatagram sends an advertisement to the other director.
func (h *host) sendDatagram(d datagram) {
	other := h.opposite()
	h.send(d.segment, h.node, other.node, func() { other.hear(d) })
}

// hear puts an advertisement into the socket of the election.
func (h *host) hear(d datagram) {
	e := h.election()
	if o := h.peer; o != nil && h.kernelRuns() && h.carrier[d.segment] {
		o.later(h.between(10*time.Microsecond, 300*time.Microsecond), func() { o.hear(d) })
	}
	if !h.kernelRuns() || !h.carrier[d.segment] || e == nil || e.links[d.segment] == nil {
		return
	}
	e.inbox = append(e.inbox, d)
	e.do(func() {
		e.referrals[d.segment].ObserveRouter(e.now, garp.Observation{Router: d.header.Source, From: hardware(h.opposite())})
	})
	if !e.stopped {
		e.later(h.between(10*time.Microsecond, 300*time.Microsecond), e.turn)
	}
}
