// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"cmp"
	"net/netip"
	"slices"
	"time"
)

// A Router is one virtual router without its sockets: its configuration, its Machine, the advertisement that it sends, and
// its diagnosis of the configuration of others.
type Router struct {
	Config  Config
	Machine *Machine
	// Packet is the router's own advertisement, complete except for the priority.
	Packet Packet

	vips      map[netip.Addr]bool // those of Packet
	guard     guard
	diagnosis diagnosis
}

// NewRouter returns a router in Initialize. The configuration must be valid.
func NewRouter(c Config) *Router {
	r := &Router{Machine: NewMachine(c)}
	r.SetConfig(c)
	return r
}

// SetConfig replaces the configuration. All warnings end, because the new configuration may have removed their causes. The
// caller also passes an EventConfig to the Machine.
func (r *Router) SetConfig(c Config) {
	r.Config = c
	r.diagnosis = diagnosis{contest: r.diagnosis.contest}
	r.Packet = Packet{Version: c.Version, VRID: c.VRID, Interval: c.AdvertInterval, Auth: textAuth(c.Password), Checksum: c.Checksum}
	r.guard.configure(c.HMAC, c.Silence())
	r.vips = make(map[netip.Addr]bool, len(c.VIPs))
	for _, vip := range c.VIPs {
		r.Packet.VIPs = append(r.Packet.VIPs, vip.Addr())
		r.vips[vip.Addr()] = true
	}
}

// Sign prepares Packet for the next advertisement at the time of the wall clock. Without keys, or in mode receive-only, it has
// no effect.
func (r *Router) Sign(wall time.Time) {
	if r.Packet.signer = r.guard.active; r.Packet.signer != nil {
		r.Packet.sequence = r.guard.next(&r.Config.HMAC, wall)
	}
}

// Sequences returns the present sequence numbers.
func (r *Router) Sequences() Sequences { return Sequences{r.guard.own, slices.Clone(r.guard.heard)} }

// Restore adds the sequence numbers of an earlier run. Of each sender the newer one counts.
func (r *Router) Restore(s Sequences) { r.guard.restore(&r.Config.HMAC, s) }

// Destinations returns the addresses that the router sends its advertisements to. The slice must not be changed.
func (r *Router) Destinations() []netip.Addr {
	switch {
	case len(r.Config.UnicastPeers) > 0:
		return r.Config.UnicastPeers
	case r.Config.Family() == 6:
		return groups6
	}
	return groups4
}

// Warnings returns a sentence for each problem that others' packets have shown. The slice is never changed.
func (r *Router) Warnings() []string { return r.diagnosis.warnings.words }

// RivalHeard is Status.RivalHeard.
func (r *Router) RivalHeard() time.Time { return r.diagnosis.contest.told }

// Contested is Status.Contested.
func (r *Router) Contested() time.Time { return r.diagnosis.contest.began }

// TwoMasters is Status.TwoMasters.
func (r *Router) TwoMasters() TwoMasters { return r.diagnosis.contest.twoMasters() }

// DiagnosisDue returns when to call AdvanceDiagnosis, the zero time if there is no need.
func (r *Router) DiagnosisDue() time.Time {
	due, end := r.diagnosis.contest.due(), r.diagnosis.warnings.firstEnd()
	if due.IsZero() || !end.IsZero() && end.Before(due) {
		return end
	}
	return due
}

// AdvanceDiagnosis ends the warnings whose cause has not been seen for long enough. If another master was heard in the pause
// after the last change of RivalHeard, it updates RivalHeard. It ends a moment with two masters that is over. It reports whether
// anything has changed.
func (r *Router) AdvanceDiagnosis(now time.Time) bool {
	c := &r.diagnosis.contest
	told := c.untold && !now.Before(c.told.Add(c.pause))
	if told {
		c.tell(now)
	}
	told = c.end(now) || told
	return r.diagnosis.warnings.remove(func(w warning) bool { return !now.Before(w.until) }) || told
}

// Examine reads a message into p and makes the checks of RFC 9568 and RFC 3768, section 7.1 of each. It checks first how the
// message arrived, then the message itself, then its signature at the time of the wall clock, then whether it fits the
// configuration.
func (r *Router) Examine(wall time.Time, h Header, msg []byte, p *Packet) Drop {
	if d := r.checkHeader(h); d != 0 {
		return d
	}
	if len(msg) == 0 {
		return DropTruncated
	}
	if msg[0]>>4 != r.Config.Version {
		return DropWrongVersion
	}
	if d := p.Parse(msg, h.Source, h.Destination); d != 0 {
		return d
	}
	// RFC 9568, section 5.2.5: an advertisement without addresses must be ignored. Only the peer of a router without VIPs has
	// a reason to send one.
	if len(p.VIPs) == 0 && len(r.Packet.VIPs) > 0 {
		return DropNoAddresses
	}
	if d := r.checkSignature(wall, h, msg, p); d != 0 {
		return d
	}
	return r.checkPacket(h, p)
}

// checkHeader checks where a packet is from and where it went.
func (r *Router) checkHeader(h Header) Drop {
	if h.Path > 0 {
		return r.checkPath(h, &r.Config.Heartbeat[h.Path-1])
	}
	unicast := len(r.Config.UnicastPeers) > 0
	switch {
	case h.Source == r.Machine.Source():
		return DropOwnPacket
	case h.Destination.IsMulticast() == unicast, !unicast && h.Destination != Group4 && h.Destination != Group6:
		return DropWrongDestination
	case !unicast && h.TTL != TTL:
		return DropWrongTTL
	case unicast && !slices.Contains(r.Config.UnicastPeers, h.Source):
		return DropUnknownPeer
	case unicast && h.TTL < r.Config.UnicastTTLMin:
		return DropLowTTL
	}
	return 0
}

// checkPath does the same for a path of the heartbeat. Config.PathOf has checked the destination and, for unicast, the sender.
func (r *Router) checkPath(h Header, p *Path) Drop {
	unicast := p.Peer.IsValid()
	switch {
	case h.Source == r.Machine.PathSource(int(h.Path)):
		return DropOwnPacket
	case !unicast && h.Destination != Group4 && h.Destination != Group6:
		return DropWrongDestination
	case !unicast && h.TTL != TTL:
		return DropWrongTTL
	case unicast && h.TTL < cmp.Or(p.TTLMin, TTL):
		return DropLowTTL
	}
	return 0
}

// checkSignature checks the trailer, or its absence.
func (r *Router) checkSignature(wall time.Time, h Header, msg []byte, p *Packet) Drop {
	switch {
	case r.Config.HMAC.On():
		return r.guard.check(&r.Config.HMAC, wall, r.sequenceOf(h), msg, p.Trailer, p.Priority == 0)
	case p.Trailer != (Trailer{}):
		return DropAuthTrailer
	}
	return 0
}

// checkPacket checks a sound advertisement of the right version.
func (r *Router) checkPacket(h Header, p *Packet) Drop {
	if p.Version == Version2 {
		if d := r.Packet.Auth.check(p.Auth); d != 0 {
			return d
		}
	}
	switch {
	case r.owns():
		return DropAddressOwner
	case p.Version == Version2 && p.Interval != r.Config.AdvertInterval:
		return DropWrongInterval
	case r.foreign(h, p):
		return DropForeignVIPs
	}
	return 0
}

// foreign reports whether an advertisement is from another pair that uses the same VRID: it has none of our VIPs. Yielding to
// its master would leave our VIPs to nobody.
//
// RFC 3768, section 7.1, lets a receiver compare the lists of addresses. If they differ, the receiver drops the packet, unless its
// sender owns the addresses (priority 255). RFC 9568, section 7.1, also allows the comparison. Here one VIP in common is enough, so
// that a VIP can be added to one router after the other. A configured unicast peer is never foreign. Neither is a router without
// VIPs if this one has none either.
func (r *Router) foreign(h Header, p *Packet) bool {
	ours, theirs := r.Packet.VIPs, p.VIPs
	configured := h.Path == 0 && len(r.Config.UnicastPeers) > 0 || h.Path > 0 && r.Config.Heartbeat[h.Path-1].Peer.IsValid()
	if configured || slices.Equal(ours, theirs) {
		return false
	}
	return !slices.ContainsFunc(theirs, func(a netip.Addr) bool { return r.vips[a] })
}

// owns reports whether no advertisement may overrule the router (RFC 9568, section 7.1). A router that hands over
// listens for its successor.
func (r *Router) owns() bool {
	return r.Machine.State() == Master && r.Machine.Priority() == PriorityOwner && !r.Machine.HandingOver()
}
