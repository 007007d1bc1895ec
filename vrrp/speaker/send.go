// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"net/netip"
	"slices"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lvs/tandem/vrrp"
)

// send sends an advertisement to the group, or to each unicast peer, and by the paths of the heartbeat. It reports
// whether it was sent to any.
func (l *Loop) send(r *router, now time.Time, priority uint8) bool {
	here := l.conn != nil && (l.usable || l.up && r.Config.Carrier == vrrp.CarrierIgnore)
	if !here && len(r.paths) == 0 {
		return false
	}
	src, sent := r.Machine.Source(), false
	r.Packet.Priority = priority
	r.Sign(l.wall(now))
	for _, to := range r.Destinations() {
		// An unreachable peer must not keep us from sending to the others.
		sent = here && l.sendTo(r, now, src, to) || sent
	}
	if sent && len(r.paths) > 0 {
		r.onInterface.sent.Add(1)
	}
	sent = l.sendByPaths(r, now) || sent
	if !sent {
		return false
	}
	r.counters.sent.Add(1)
	r.keepSequences(now)
	if priority == vrrp.PriorityLeaving {
		r.counters.zeroSent.Add(1)
	}
	return true
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
	if len(r.paths) > 0 {
		r.onInterface.sendErrors.Add(1)
	}
	if why := err.Error(); l.log.allows(now, key{peer: dst, vrid: r.Config.VRID, why: why}) {
		l.log.write(hclog.Error, "failed to send advertisement",
			"router", r.Config.Name, "vrid", r.Config.VRID, "to", dst, "error", why)
	}
	return false
}

// sources are the addresses of a link that advertisements may be sent from, without the VIPs. The first of each kind is the one
// to start with: of the widest scope, and of those the oldest.
type sources struct {
	ipv4, linkLocal, ipv6 []netip.Addr
}

func sourcesOf(link vrrp.Link, isVIP func(netip.Addr) bool) (s sources) {
	for _, p := range link.Addrs {
		switch a := p.Addr(); {
		case isVIP(a):
		case a.Is4():
			s.ipv4 = append(s.ipv4, a)
		case a.IsLinkLocalUnicast():
			s.linkLocal = append(s.linkLocal, a)
		default:
			s.ipv6 = append(s.ipv6, a)
		}
	}
	// The kernel lists the oldest IPv4 address first, but the oldest IPv6 address of each scope last.
	slices.Reverse(s.linkLocal)
	slices.Reverse(s.ipv6)
	return s
}

// of returns the source address for a router; if there is none, missing says so. Over IPv6 it is the link-local
// address (RFC 9568, section 5.1.2.1), unless there are unicast peers of a wider scope. The present one stays while the link has
// it: peers know the router by it, and at equal priorities it decides who is master.
func (s sources) of(c *vrrp.Config, link vrrp.Link, present netip.Addr) (src netip.Addr, missing string) {
	if a := c.Source; a.IsValid() {
		for _, p := range link.Addrs {
			if p.Addr() == a {
				return a, ""
			}
		}
		return netip.Addr{}, "interface " + c.Interface + " does not have the source " + a.String()
	}
	all, kind := s.linkLocal, "IPv6 link-local"
	switch {
	case c.Family() == 4:
		all, kind = s.ipv4, "IPv4"
	case len(c.UnicastPeers) > 0 && !c.UnicastPeers[0].IsLinkLocalUnicast():
		all, kind = s.ipv6, "global IPv6"
	}
	switch {
	case len(all) == 0:
		return netip.Addr{}, "interface " + c.Interface + " has no " + kind + " address besides the VIPs"
	case slices.Contains(all, present):
		return present, ""
	}
	return all[0], ""
}
