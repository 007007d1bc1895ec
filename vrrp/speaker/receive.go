// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/vrrp"
)

// drain reads up to limit packets from each ready socket. It reports whether there were packets and none are left. Because
// of the limit a flood does not delay our advertisements, and a flood of one family does not delay the packets of the
// other.
func (l *Loop) drain(limit int) (all bool) {
	read, left := 0, false
	for at := range l.conns() {
		for which := range sockets {
			n := l.drainOne(at, which, limit)
			read, left = read+n, left || n >= limit
		}
	}
	return read > 0 && !left
}

func (l *Loop) drainOne(at, which, limit int) (read int) {
	for read < limit && at < l.conns() {
		c := l.connAt(at)
		if c == nil || !c.all[which].ready {
			break
		}
		n, err := c.receive(which, limit-read)
		now := l.now()
		if err != nil && err != unix.EAGAIN {
			l.broken(now, c, which, err)
		}
		for i := range n {
			if b, h := c.packet(which, i); which == socket6 {
				l.acceptOn(now, c.iface, h, b, 0)
			} else {
				l.receiveOn(now, c.iface, b)
			}
		}
		read += n
	}
	return read
}

// drainAll reads all packets that have arrived by now, also from sockets that were not polled.
func (l *Loop) drainAll() {
	for at := range l.conns() {
		c := l.connAt(at)
		for which := 0; c != nil && which < sockets; which++ {
			c.all[which].ready = c.all[which].fd >= 0
		}
	}
	l.drain(drainBacklog)
}

// broken closes a socket that failed. The next turn opens it again. The routers keep their roles.
func (l *Loop) broken(now time.Time, c *conn, which int, err error) {
	l.log.write(hclog.Warn, "VRRP socket failed, opening it again", "interface", c.iface, "error", err)
	if err := c.shut(which); err != nil {
		l.log.write(hclog.Warn, "failed to close VRRP socket", "interface", l.iface, "error", err)
	}
	l.reopen = now
}

// receiveOn handles an IPv4 packet, header included, from an interface or routedPaths.
func (l *Loop) receiveOn(now time.Time, iface string, b []byte) {
	h, msg, d := parseIPv4(b)
	l.acceptOn(now, iface, h, msg, d)
}

// acceptOn passes a message to the router of its VRID, or counts why it is dropped. If the reason to drop it is already known,
// d is that reason; otherwise it is 0. iface is the interface that the message came from, or routedPaths.
func (l *Loop) acceptOn(now time.Time, iface string, h vrrp.Header, msg []byte, d vrrp.Drop) {
	var r *router
	if len(msg) >= 2 {
		// In all versions the second octet is the VRID.
		r = l.byVRID[familyIndex(h.Source.Is6())][msg[1]]
	}
	if iface != l.iface && r == nil {
		return // a router that has just left
	}
	if r != nil && len(r.Config.Heartbeat) > 0 {
		path, ok := r.Config.PathOf(iface, h)
		if !ok {
			return
		}
		h.Path = uint8(path)
	} else if iface != l.iface {
		return
	}
	switch {
	case d != 0:
	case r != nil:
		d = r.Examine(l.wall(now), h, msg, &l.packet)
	default:
		if d = l.packet.Parse(msg, h.Source, h.Destination); d == 0 {
			d = vrrp.DropUnknownVRID
		}
	}
	if d != 0 {
		l.countDrop(now, r, h, d)
		if r != nil {
			if changed, s := r.DiagnoseDrop(now, h, msg, &l.packet, d); changed {
				l.reportWarnings(r, now, h, s)
			}
		}
		return
	}
	r.counters.received.Add(1)
	r.countReceived(h)
	if l.packet.Priority == vrrp.PriorityLeaving {
		r.counters.zeroReceived.Add(1)
	}
	r.keepSequences(now)
	was := r.Machine.State()
	l.step(r, now, vrrp.Event{Kind: vrrp.EventAdvert, Path: h.Path, Source: h.Source, Priority: l.packet.Priority, Interval: l.packet.Interval})
	r.counters.withheld.Store(r.Machine.Withheld())
	r.hearMaster(now)
	bothMaster := was == vrrp.Master && r.Machine.State() == vrrp.Master
	if changed, s := r.DiagnoseAdvert(now, h, &l.packet, bothMaster); changed {
		l.reportWarnings(r, now, h, s)
	}
}

// reportWarnings notifies the owner if the diagnosis of a packet has changed the warnings, and logs a new symptom.
func (l *Loop) reportWarnings(r *router, now time.Time, h vrrp.Header, s vrrp.Symptoms) {
	l.diagnosisDue = sooner(l.diagnosisDue, r.DiagnosisDue())
	l.tell(r)
	if s&vrrp.SymptomTwoMasters != 0 && l.log.allows(now, key{peer: h.Source, vrid: r.Config.VRID, why: "two masters"}) {
		l.log.write(hclog.Warn, "two masters", "router", r.Config.Name, "vrid", r.Config.VRID, "other", h.Source,
			"priority", l.packet.Priority, "own-priority", r.Machine.Priority())
	}
	if s&vrrp.SymptomVIPs != 0 && l.log.allows(now, key{peer: h.Source, vrid: r.Config.VRID, why: "vips"}) {
		l.log.write(hclog.Warn, "VIP lists differ", "router", r.Config.Name, "vrid", r.Config.VRID,
			"from", h.Source, "difference", r.VIPDifference())
	}
}

// tell notifies the owner of a router's status if anything has changed.
func (l *Loop) tell(r *router) {
	if s := r.refresh(); s != nil {
		l.notify(*s)
	}
}

// advanceDiagnosis ends the warnings whose cause has not been seen for long enough, and reports other masters that were
// heard.
func (l *Loop) advanceDiagnosis(now time.Time) {
	if l.diagnosisDue.IsZero() || now.Before(l.diagnosisDue) {
		return
	}
	l.diagnosisDue = time.Time{}
	for _, r := range l.routers {
		if r.AdvanceDiagnosis(now) {
			l.tell(r)
		}
		l.diagnosisDue = sooner(l.diagnosisDue, r.DiagnosisDue())
	}
}

// countDrop counts a dropped packet, and logs it once per sender, reason and minute.
func (l *Loop) countDrop(now time.Time, r *router, h vrrp.Header, d vrrp.Drop) {
	level, vrid := hclog.Debug, uint8(0)
	if r == nil {
		// Other virtual routers on the same segment are normal.
		l.stray[d].Add(1)
	} else {
		r.counters.drops[d].Add(1)
		r.refusals.note(now, h, d)
		level, vrid = hclog.Warn, r.Config.VRID
	}
	if l.log.allows(now, key{peer: h.Source, vrid: vrid, why: d.String()}) {
		l.log.write(level, "advertisement dropped", "interface", l.iface, "vrid", vrid, "from", h.Source, "reason", d.String())
	}
}
