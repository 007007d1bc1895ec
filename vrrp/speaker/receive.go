// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/vrrp"
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
func (l *Loop) accept(now time.Time, h vrrp.Header, msg []byte, d vrrp.Drop) {
	var r *router
	if len(msg) >= 2 {
		// Wherever the rest may be wrong, the second octet has been the VRID in all versions.
		r = l.byVRID[familyIndex(h.Source.Is6())][msg[1]]
	}
	switch {
	case d != 0:
	case r != nil:
		d = r.Examine(h, msg, &l.packet)
	default:
		if d = l.packet.Parse(msg, h.Source, h.Destination); d == 0 {
			d = vrrp.DropUnknownVRID
		}
	}
	if d != 0 {
		l.drop(now, r, h, d)
		if r != nil {
			l.publishNews(r, now, h, r.DiagnoseDrop(now, h, msg, &l.packet, d))
		}
		return
	}
	r.counters.received.Add(1)
	if l.packet.Priority == vrrp.PriorityLeaving {
		r.counters.zeroReceived.Add(1)
	}
	was := r.Machine.State()
	l.step(r, now, vrrp.Event{Kind: vrrp.EventAdvert, Source: h.Source, Priority: l.packet.Priority, Interval: l.packet.Interval})
	bothMaster := was == vrrp.Master && r.Machine.State() == vrrp.Master
	l.publishNews(r, now, h, r.DiagnoseAdvert(now, h, &l.packet, bothMaster))
}

// publishNews tells the owner what the diagnosis of a packet has changed.
func (l *Loop) publishNews(r *router, now time.Time, h vrrp.Header, news vrrp.News) {
	if !news.Changed {
		return
	}
	l.warningsEnd = sooner(l.warningsEnd, r.WarningsEnd())
	l.tell(r)
	switch news.Symptom {
	case vrrp.SymptomTwoMasters:
		if l.notes.first(now, key{peer: h.Source, vrid: r.Config.VRID, why: "two masters"}) {
			l.notes.add(hclog.Warn, "two masters", "router", r.Config.Name, "vrid", r.Config.VRID, "other", h.Source,
				"priority", l.packet.Priority, "own-priority", r.Machine.Priority())
		}
	case vrrp.SymptomVIPs:
		if l.notes.first(now, key{peer: h.Source, vrid: r.Config.VRID, why: "vips"}) {
			l.notes.add(hclog.Warn, "VIP lists differ", "router", r.Config.Name, "vrid", r.Config.VRID, "from", h.Source, "difference", news.Difference)
		}
	}
}

// tell tells the owner a router's status if anything has changed.
func (l *Loop) tell(r *router) {
	if s := r.refresh(); s != nil {
		l.notify(*s)
	}
}

// endWarnings ends the warnings whose cause has not been seen for long enough.
func (l *Loop) endWarnings(now time.Time) {
	if l.warningsEnd.IsZero() || now.Before(l.warningsEnd) {
		return
	}
	l.warningsEnd = time.Time{}
	for _, r := range l.routers {
		if r.EndWarnings(now) {
			l.tell(r)
		}
		l.warningsEnd = sooner(l.warningsEnd, r.WarningsEnd())
	}
}

func (l *Loop) drop(now time.Time, r *router, h vrrp.Header, d vrrp.Drop) {
	level, vrid := hclog.Debug, uint8(0)
	if r == nil {
		// Other people's virtual routers on the same segment are no news.
		l.stray[d].Add(1)
	} else {
		r.counters.drops[d].Add(1)
		level, vrid = hclog.Warn, r.Config.VRID
	}
	if l.notes.first(now, key{peer: h.Source, vrid: vrid, why: d.String()}) {
		l.notes.add(level, "advertisement dropped", "interface", l.iface, "vrid", vrid, "from", h.Source, "reason", d.String())
	}
}
