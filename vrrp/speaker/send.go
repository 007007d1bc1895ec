// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"net/netip"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lvs/tandem/vrrp"
)

// send advertises a router to the group, or to each of its unicast peers.
func (l *Loop) send(r *router, now time.Time, priority uint8) {
	if l.conn == nil || !l.usable {
		return
	}
	src, sent := r.Machine.Source(), false
	r.Packet.Priority = priority
	for _, to := range r.Destinations() {
		// One that cannot be reached must not keep the others from hearing us.
		sent = l.sendTo(r, now, src, to) || sent
	}
	if !sent {
		return
	}
	r.counters.sent.Add(1)
	if priority == vrrp.PriorityLeaving {
		r.counters.zeroSent.Add(1)
	}
}

func (l *Loop) sendTo(r *router, now time.Time, src, dst netip.Addr) bool {
	var err error
	if r.Config.VirtualMAC && dst.IsMulticast() {
		err = l.conn.sendFrame(l.out, &r.Packet, src, dst, r.hardware)
	} else {
		err = l.conn.send(l.out, &r.Packet, src, dst)
	}
	if err == nil {
		return true
	}
	r.counters.sendErrors.Add(1)
	if why := err.Error(); l.notes.first(now, key{peer: dst, vrid: r.Config.VRID, why: why}) {
		l.notes.add(hclog.Error, "advertisement could not be sent", "router", r.Config.Name, "vrid", r.Config.VRID, "to", dst, "error", why)
	}
	return false
}

// sources are the addresses of a link that advertisements may leave from, each the oldest of its kind, so that another
// one added changes nothing; VIPs left out; the zero Addr where there is none.
type sources struct {
	ipv4, linkLocal, ipv6 netip.Addr
}

func sourcesOf(link vrrp.Link, isVIP func(netip.Addr) bool) (s sources) {
	for _, p := range link.Addrs {
		a, kind := p.Addr(), &s.ipv6
		switch {
		case a.Is4():
			kind = &s.ipv4
		case a.IsLinkLocalUnicast():
			kind = &s.linkLocal
		}
		// The kernel has the oldest IPv4 address first, the oldest IPv6 address of each scope last.
		if (!kind.IsValid() || a.Is6()) && !isVIP(a) {
			*kind = a
		}
	}
	return s
}

// of returns the source for a router; why says what is missing when there is none. Over IPv6 it is the link-local
// address (RFC 9568, section 5.1.2.1), unless the peers are unicast ones of a wider scope.
func (s sources) of(c *vrrp.Config, link vrrp.Link) (src netip.Addr, why string) {
	if a := c.UnicastSource; a.IsValid() {
		for _, p := range link.Addrs {
			if p.Addr() == a {
				return a, ""
			}
		}
		return netip.Addr{}, "interface " + c.Interface + " does not have the unicast source " + a.String()
	}
	kind := "IPv4"
	switch {
	case c.Family() == 4:
		src = s.ipv4
	case len(c.UnicastPeers) > 0 && !c.UnicastPeers[0].IsLinkLocalUnicast():
		src, kind = s.ipv6, "global IPv6"
	default:
		src, kind = s.linkLocal, "IPv6 link-local"
	}
	if !src.IsValid() {
		why = "interface " + c.Interface + " has no " + kind + " address besides the VIPs"
	}
	return src, why
}
