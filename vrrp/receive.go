// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"slices"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sys/unix"
)

// drain reads up to limit packets from each socket that may have some, and reports whether there were any and none are
// left. The limit keeps a flood from delaying what this end has to say, and one family's flood from delaying the
// other's packets.
func (l *Loop) drain(limit int) (all bool) {
	read, left := 0, false
	for which := range sockets {
		n := l.drainOne(which, limit)
		read, left = read+n, left || n >= limit
	}
	return read > 0 && !left
}

func (l *Loop) drainOne(which, limit int) (read int) {
	for read < limit && l.conn != nil && l.conn.all[which].ready {
		n, err := l.conn.receive(which, limit-read)
		now := time.Now()
		if err != nil && err != unix.EAGAIN {
			l.broken(now, which, err)
		}
		for i := range n {
			if b, h := l.conn.packet(which, i); which == socket6 {
				l.accept(now, h, b, 0)
			} else {
				l.receive(now, b)
			}
		}
		read += n
	}
	return read
}

// drainAll reads what has arrived by now, whether or not it has been waited for.
func (l *Loop) drainAll() {
	if l.conn == nil {
		return
	}
	for which := range l.conn.all {
		l.conn.all[which].ready = l.conn.all[which].fd >= 0
	}
	l.drain(drainBacklog)
}

// broken replaces a socket that failed, keeping the roles.
func (l *Loop) broken(now time.Time, which int, err error) {
	l.notes.add(hclog.Warn, "VRRP socket failed, will be made anew", "interface", l.iface, "error", err)
	if err := l.conn.shut(which); err != nil {
		l.notes.add(hclog.Warn, "failed VRRP socket", "interface", l.iface, "error", err)
	}
	l.reopen = now
}

// receive takes an IPv4 packet with its header.
func (l *Loop) receive(now time.Time, b []byte) {
	h, msg, d := parseIPv4(b)
	l.accept(now, h, msg, d)
}

// accept tells the router whose VRID the message bears, or counts why it does not. What is wrong already is d.
func (l *Loop) accept(now time.Time, h header, msg []byte, d Drop) {
	var r *router
	if len(msg) >= 2 {
		// Wherever the rest may be wrong, the second octet has been the VRID in all versions.
		r = l.byVRID[familyIndex(h.src.Is6())][msg[1]]
	}
	if d == 0 {
		d = l.examine(r, h, msg)
	}
	if d != 0 {
		l.drop(now, r, h, d)
		if r != nil {
			l.suspect(r, now, h, msg, d)
		}
		return
	}
	r.counters.received.Add(1)
	if l.packet.Priority == priorityLeaving {
		r.counters.zeroReceived.Add(1)
	}
	was := r.machine.State()
	l.step(r, now, Event{Kind: EventAdvert, Source: h.src, Priority: l.packet.Priority, Interval: l.packet.Interval})
	l.compare(r, now, h, was == Master && r.machine.State() == Master)
}

// examine reads a message into l.packet and makes the checks of RFC 9568 and RFC 3768, section 7.1 of each: first how
// the packet came, then its own, then those against the configuration.
func (l *Loop) examine(r *router, h header, msg []byte) Drop {
	if r == nil {
		if d := l.packet.Parse(msg, h.src, h.dst); d != 0 {
			return d
		}
		return DropUnknownVRID
	}
	if d := r.refusesHeader(h); d != 0 {
		return d
	}
	if msg[0]>>4 != r.cfg.Version {
		return DropWrongVersion
	}
	if d := l.packet.Parse(msg, h.src, h.dst); d != 0 {
		return d
	}
	return r.refuses(&l.packet)
}

// refusesHeader judges where a packet is from and where it went.
func (r *router) refusesHeader(h header) Drop {
	unicast := len(r.cfg.UnicastPeers) > 0
	switch {
	case h.src == r.machine.Source():
		return DropOwnPacket
	case h.dst.IsMulticast() == unicast, !unicast && h.dst != group4 && h.dst != group6:
		return DropWrongDestination
	case !unicast && h.ttl != ttl:
		return DropWrongTTL
	case unicast && !slices.Contains(r.cfg.UnicastPeers, h.src):
		return DropUnknownPeer
	case unicast && h.ttl < r.cfg.UnicastTTLMin:
		return DropLowTTL
	}
	return 0
}

// refuses judges what a sound advertisement of the right version says.
func (r *router) refuses(p *Packet) Drop {
	if p.Version == version2 {
		if d := r.packet.Auth.refuses(p.Auth); d != 0 {
			return d
		}
	}
	switch {
	case r.owns():
		return DropAddressOwner
	case p.Version == version2 && p.Interval != r.cfg.AdvertInterval:
		return DropWrongInterval
	}
	return 0
}

func (l *Loop) drop(now time.Time, r *router, h header, d Drop) {
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
