// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"net/netip"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lvs/tandem/vrrp"
)

// send sends an advertisement to the group, or to each unicast peer.
func (l *Loop) send(r *router, now time.Time, priority uint8) {
	if l.conn == nil || !l.usable {
		return
	}
	src, sent := r.Machine.Source(), false
	r.Packet.Priority = priority
	for _, to := range r.Destinations() {
		// An unreachable peer must not keep us from sending to the others.
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
	if why := err.Error(); l.log.allows(now, key{peer: dst, vrid: r.Config.VRID, why: why}) {
		l.log.write(hclog.Error, "failed to send advertisement",
			"router", r.Config.Name, "vrid", r.Config.VRID, "to", dst, "error", why)
	}
	return false
}

// sources are the addresses of a link that advertisements may be sent from, without the VIPs. Each is the oldest of its
// kind, so that an added address changes nothing; the zero Addr: there is none.
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
		// The kernel lists the oldest IPv4 address first, but the oldest IPv6 address of each scope last.
		if (!kind.IsValid() || a.Is6()) && !isVIP(a) {
			*kind = a
		}
	}
	return s
}

// of returns the source address for a router; if there is none, missing says so. Over IPv6 it is the link-local
// address (RFC 9568, section 5.1.2.1), unless there are unicast peers of a wider scope.
func (s sources) of(c *vrrp.Config, link vrrp.Link) (src netip.Addr, missing string) {
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
		missing = "interface " + c.Interface + " has no " + kind + " address besides the VIPs"
	}
	return src, missing
}
