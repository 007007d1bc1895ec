// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"fmt"
	"hash/maphash"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
)

const namedAddresses = 3 // of a list that differs

// suspect says what a dropped packet tells about its sender, if it is sound in itself.
func (l *Loop) suspect(r *router, now time.Time, h header, msg []byte, d Drop) {
	kind := suspicions[d]
	if kind == 0 || l.packet.Parse(msg, h.src, h.dst) != 0 {
		return
	}
	if d == DropAddressOwner {
		l.rival(r, now, h)
		return
	}
	l.warn(r, now, kind, h.src, l.detail(h, d), func() string { return l.complain(r, h, d) })
}

// suspicions are the drops whose cause is likely to be a configuration.
var suspicions = [drops]warningKind{
	DropOwnPacket:        warnOwnAddress,
	DropAddressOwner:     warnTwoMasters,
	DropWrongDestination: warnDestination,
	DropUnknownPeer:      warnPeer,
	DropLowTTL:           warnTTL,
	DropWrongVersion:     warnVersion,
	DropWrongAuthType:    warnAuth,
	DropAuthHeader:       warnAuth,
	DropWrongPassword:    warnAuth,
	DropWrongInterval:    warnInterval,
}

// detail is what the words of complain depend on beside the sender and our configuration.
func (l *Loop) detail(h header, d Drop) uint64 {
	p := &l.packet
	return uint64(p.Interval)<<24 ^ uint64(d)<<16 ^ uint64(h.ttl)<<8 ^ uint64(p.Priority)
}

// complain says what is wrong with l.packet, and how to mend it.
func (l *Loop) complain(r *router, h header, d Drop) string {
	p, c := &l.packet, &r.cfg
	switch d {
	case DropOwnPacket:
		return fmt.Sprintf("advertisements with our own address %s come in, of priority %d (ours is %d): give each machine an address of its own; "+
			"if none has it twice, the segment sends our frames back", h.src, p.Priority, r.machine.Priority())
	case DropWrongDestination:
		return fmt.Sprintf("%s sends VRID %d to %s, we send to %s: set unicast_peers on both or on neither", h.src, c.VRID, h.dst, listed(r.destinations()))
	case DropUnknownPeer:
		return fmt.Sprintf("%s sends VRID %d to us and is not among our unicast_peers (%s): add it, or stop it", h.src, c.VRID, listed(c.UnicastPeers))
	case DropLowTTL:
		return fmt.Sprintf("what %s sends for VRID %d arrives with TTL %d, and our unicast_ttl_min is %d: let it send with more, or lower that",
			h.src, c.VRID, h.ttl, c.UnicastTTLMin)
	case DropWrongVersion:
		return fmt.Sprintf("%s speaks VRRP version %d for VRID %d, we speak %d, and neither hears the other: set the same version on both",
			h.src, p.Version, c.VRID, c.Version)
	case DropWrongPassword:
		return fmt.Sprintf("%s sends another password than ours for VRID %d, and neither accepts the other: set the same on both", h.src, c.VRID)
	case DropWrongInterval:
		return fmt.Sprintf("%s advertises VRID %d every %s, we every %s, and version 2 has each refuse the other: set the same advert_interval on both",
			h.src, c.VRID, p.Interval, c.AdvertInterval)
	default: // DropWrongAuthType, DropAuthHeader
		return fmt.Sprintf("%s sends %s for VRID %d, we send %s, and neither accepts the other: set the same password on both, or none",
			h.src, p.Auth.Type, c.VRID, r.packet.Auth.Type)
	}
}

// compare says what a good advertisement tells about its sender, and takes back what is true no more. bothMaster tells
// that it has not ended our own mastership.
func (l *Loop) compare(r *router, now time.Time, h header, bothMaster bool) {
	p := &l.packet
	if len(r.warnings.active) > 0 {
		mended := func(w warning) bool { return w.from == h.src && w.kind < warnVIPs }
		if r.warnings.drop(mended) {
			l.tell(r)
		}
	}
	if bothMaster && p.Priority != priorityLeaving {
		l.rival(r, now, h)
	} else {
		r.warnings.rival.first = time.Time{}
	}
	l.compareVIPs(r, now, h)
}

// rivalPause is the least time between two changes of Status.RivalHeard: whoever forges advertisements must not keep its
// readers busy.
const rivalPause = time.Second

// rival notes another master. One exchange of advertisements is how two masters agree; what goes on after
// that is a fault.
func (l *Loop) rival(r *router, now time.Time, h header) {
	p, seen := &l.packet, &r.warnings.rival
	if seen.first.IsZero() || now.Sub(seen.last) > 3*p.Interval {
		seen.first = now
	}
	seen.last = now
	if !r.machine.HandingOver() && now.Sub(r.rivalHeard) >= rivalPause {
		r.rivalHeard = now
		l.tell(r)
	}
	if now.Sub(seen.first) < 2*p.Interval {
		return
	}
	own := r.machine.Priority()
	fresh := l.warn(r, now, warnTwoMasters, h.src, uint64(p.Priority), func() string {
		to := "the VRRP group"
		if len(r.cfg.UnicastPeers) > 0 {
			to = "it"
		}
		return fmt.Sprintf("%s is master of VRID %d as well, at priority %d (ours is %d): it does not get or does not accept what we send; "+
			"let protocol 112 to %s pass, and set the same version, password and unicast_peers on both", h.src, r.cfg.VRID, p.Priority, own, to)
	})
	if fresh && l.notes.first(now, occasion{peer: h.src, vrid: r.cfg.VRID, why: "two masters"}) {
		l.notes.add(hclog.Warn, "two masters", "router", r.cfg.Name, "vrid", r.cfg.VRID, "other", h.src, "priority", p.Priority, "own-priority", own)
	}
}

// listSeed makes the hash of a list of addresses hard to guess.
var listSeed = maphash.MakeSeed()

// compareVIPs compares the list of addresses. RFC 9568, section 7.1, lets a receiver do that and asks it to go
// on all the same.
func (l *Loop) compareVIPs(r *router, now time.Time, h header) {
	ours, theirs := r.packet.VIPs, l.packet.VIPs
	if slices.Equal(ours, theirs) {
		l.agree(r, h)
		return
	}
	detail := hashAddrs(theirs)
	if detail == r.warnings.same {
		l.agree(r, h)
		return
	}
	if r.warnings.extend(now.Add(r.warningLasts(&l.packet)), warnVIPs, h.src, detail) {
		return
	}
	// A forger may send another list each time; what it costs to tell them apart is spent once a second.
	if now.Sub(r.warnings.asked) < warningPause {
		return
	}
	r.warnings.asked = now
	lacks, has := without(ours, theirs), without(theirs, ours)
	if len(lacks)+len(has) == 0 {
		r.warnings.same = detail
		l.agree(r, h)
		return
	}
	difference := difference(lacks, has)
	fresh := l.warn(r, now, warnVIPs, h.src, detail, func() string {
		return fmt.Sprintf("%s advertises other VIPs for VRID %d: %s; set the same vips on both", h.src, r.cfg.VRID, difference)
	})
	if fresh && l.notes.first(now, occasion{peer: h.src, vrid: r.cfg.VRID, why: "vips"}) {
		l.notes.add(hclog.Warn, "VIP lists differ", "router", r.cfg.Name, "vrid", r.cfg.VRID, "from", h.src, "difference", difference)
	}
}

// agree takes back that the lists differ.
func (l *Loop) agree(r *router, h header) {
	if len(r.warnings.active) > 0 && r.warnings.drop(func(w warning) bool { return w.kind == warnVIPs && w.from == h.src }) {
		l.tell(r)
	}
}

func hashAddrs(all []netip.Addr) uint64 {
	var h maphash.Hash
	h.SetSeed(listSeed)
	for _, a := range all {
		b := a.As16()
		_, _ = h.Write(b[:]) // it never fails
	}
	return h.Sum64()
}

// without returns what is in a and not in b, each address once.
func without(a, b []netip.Addr) []netip.Addr {
	in := make(map[netip.Addr]bool, len(b))
	for _, addr := range b {
		in[addr] = true
	}
	var out []netip.Addr
	for _, addr := range a {
		if !in[addr] {
			in[addr] = true
			out = append(out, addr)
		}
	}
	return out
}

// difference says what a list lacks and what it has besides.
func difference(lacks, has []netip.Addr) string {
	var parts []string
	if len(lacks) > 0 {
		parts = append(parts, "it lacks "+listed(lacks))
	}
	if len(has) > 0 {
		parts = append(parts, "it has "+listed(has)+" besides")
	}
	return strings.Join(parts, " and ")
}

// listed names the first of the addresses.
func listed(all []netip.Addr) string {
	var names []string
	for _, a := range all[:min(len(all), namedAddresses)] {
		names = append(names, a.String())
	}
	out := strings.Join(names, ", ")
	if more := len(all) - len(names); more > 0 {
		out += fmt.Sprintf(" and %d more", more)
	}
	return out
}
