// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sys/unix"
)

// drain reads up to limit packets, as many as there are.
func (l *Loop) drain(limit int) {
	for ; l.conn != nil && limit > 0; limit-- {
		n, err := l.conn.read(l.in[:])
		switch {
		case err == unix.EAGAIN:
			return
		case err != nil:
			l.broken(time.Now(), err)
			return
		}
		l.receive(time.Now(), l.in[:n])
	}
}

// broken replaces a socket that failed, keeping the roles.
func (l *Loop) broken(now time.Time, err error) {
	l.notes.add(hclog.Warn, "VRRP socket failed, will be made anew", "error", err)
	if err := l.disconnect(); err != nil {
		l.notes.add(hclog.Warn, "failed VRRP socket", "error", err)
	}
	l.reopen = now
}

// receive tells the router whose VRID the packet b bears, or counts why it does not.
func (l *Loop) receive(now time.Time, b []byte) {
	h, msg, d := parseIPv4(b)
	var r *router
	if len(msg) >= 2 {
		// Wherever the rest may be wrong, the second octet has been the VRID in all versions.
		r = l.byVRID[msg[1]]
	}
	if d == 0 {
		d = l.packet.Parse(msg, h.src, h.dst)
	}
	if d == 0 {
		d = r.refuses(h)
	}
	if d != 0 {
		l.drop(now, r, h, d)
		return
	}
	r.counters.received.Add(1)
	if l.packet.Priority == priorityLeaving {
		r.counters.zeroReceived.Add(1)
	}
	l.step(r, now, Event{Kind: EventAdvert, Source: h.src, Priority: l.packet.Priority, Interval: l.packet.Interval})
}

// refuses makes the checks of RFC 9568, section 7.1, that depend on the receiver; a nil router is none of ours.
func (r *router) refuses(h ipv4Header) Drop {
	switch {
	case r == nil:
		return DropUnknownVRID
	case h.src == r.machine.Source():
		return DropOwnPacket
	case r.owns():
		return DropAddressOwner
	}
	return 0
}

func (l *Loop) drop(now time.Time, r *router, h ipv4Header, d Drop) {
	level, vrid := hclog.Debug, uint8(0)
	if r == nil {
		// Other people's virtual routers on the same segment are no news.
		l.stray[d].Add(1)
	} else {
		r.counters.drops[d].Add(1)
		level, vrid = hclog.Warn, r.cfg.VRID
	}
	if l.notes.first(now, occasion{peer: h.src, vrid: vrid, why: d.String()}) {
		l.notes.add(level, "advertisement dropped", "interface", l.iface, "vrid", vrid, "from", h.src, "reason", d.String())
	}
}
