// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"fmt"
	"hash/maphash"
	"net/netip"
	"slices"
	"strings"
	"time"
)

const namedAddresses = 3 // of a list that differs

// Symptoms are the findings of one packet that should be logged.
type Symptoms uint8

// The symptoms.
const (
	SymptomTwoMasters Symptoms = 1 << iota // another router stays master beside this one
	SymptomVIPs                            // a peer advertises other VIPs
)

// A diagnosis is what other routers' packets show about the configuration of one virtual router.
type diagnosis struct {
	warnings warnings
	contest  contest

	rival  struct{ first, last time.Time } // when another master was heard that stayed master beside this router
	same   uint64                          // the hash of a list that has our VIPs in another order
	looked time.Time                       // when a list was last compared address by address

	difference string // of the last SymptomVIPs
}

// dropKinds are the drops that a wrong configuration is likely to cause.
var dropKinds = [drops]warningKind{
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
	DropForeignVIPs:      warnForeign,
	DropNoAddresses:      warnForeign,
	DropAuthTrailer:      warnSignature,
	DropUnsigned:         warnSignature,
	DropUnknownScheme:    warnSignature,
	DropUnknownKey:       warnSignature,
	DropStaleTime:        warnSignature,
	DropReplayed:         warnSignature,
	DropWrongHMAC:        warnSignature,
}

// DiagnoseDrop learns from a dropped message. It parses the message into p; it ignores a message that is damaged. It reports
// whether the Warnings or RivalHeard have changed, and new symptoms.
func (r *Router) DiagnoseDrop(now time.Time, h Header, msg []byte, p *Packet, d Drop) (changed bool, s Symptoms) {
	kind := dropKinds[d]
	if kind == 0 {
		return false, 0
	}
	if p.Parse(msg, h.Source, h.Destination) != 0 {
		return false, 0
	}
	if d == DropAddressOwner {
		return r.diagnoseRival(now, h, p)
	}
	// All values that the text depends on, besides the sender and our configuration.
	detail := uint64(p.Interval)<<24 ^ uint64(d)<<16 ^ uint64(h.TTL)<<8 ^ uint64(p.Priority)
	if d.IsHMAC() {
		detail = uint64(d)<<16 ^ uint64(p.Trailer.Scheme)<<8 ^ uint64(p.Trailer.KeyID)
	}
	return r.warn(now, p, kind, h.Source, detail, func() string { return r.explainDrop(h, p, d) }), 0
}

// explainDrop says what is wrong with p, and what to do.
func (r *Router) explainDrop(h Header, p *Packet, d Drop) string {
	c := &r.Config
	peer, vrid := h.Source, c.VRID
	switch d {
	case DropOwnPacket:
		return fmt.Sprintf("advertisements of priority %d (ours is %d) arrive from our own address %s: give each machine an address "+
			"of its own; if no other machine has this one, the network sends our frames back", p.Priority, r.Machine.Priority(), peer)
	case DropWrongDestination:
		return fmt.Sprintf("%s sends VRID %d to %s, we send to %s: set unicast_peers on both or on neither",
			peer, vrid, h.Destination, listed(r.Destinations()))
	case DropUnknownPeer:
		return fmt.Sprintf("%s sends VRID %d to us and is not among our unicast_peers (%s): add it there, or stop it",
			peer, vrid, listed(c.UnicastPeers))
	case DropLowTTL:
		if h.Path > 0 {
			return fmt.Sprintf("advertisements of %s for VRID %d arrive with TTL %d, below the ttl_min of their path in heartbeat: "+
				"lower ttl_min, or send with a higher TTL", peer, vrid, h.TTL)
		}
		return fmt.Sprintf("advertisements of %s for VRID %d arrive with TTL %d, below our unicast_ttl_min of %d: "+
			"lower unicast_ttl_min, or send with a higher TTL", peer, vrid, h.TTL, c.UnicastTTLMin)
	case DropWrongVersion:
		return fmt.Sprintf("%s sends VRRP version %d for VRID %d, we send version %d, so each ignores the other: "+
			"set the same version on both", peer, p.Version, vrid, c.Version)
	case DropWrongPassword:
		return fmt.Sprintf("%s sends another password than ours for VRID %d, so each ignores the other: set the same password on both",
			peer, vrid)
	case DropWrongInterval:
		return fmt.Sprintf("%s advertises VRID %d every %s, we every %s, so each ignores the other in version 2: "+
			"set the same advert_interval on both", peer, vrid, p.Interval, c.AdvertInterval)
	case DropAuthTrailer, DropUnsigned, DropUnknownScheme, DropUnknownKey, DropStaleTime, DropReplayed, DropWrongHMAC:
		return r.explainSignature(h, p, d)
	case DropNoAddresses:
		return fmt.Sprintf("%s sends VRID %d without VIPs, and we have some, so each ignores the other: if it belongs to another pair, "+
			"give one of the pairs another vrid; if it is our peer, set the same vips on both", peer, vrid)
	case DropForeignVIPs:
		if len(r.Packet.VIPs) == 0 {
			return fmt.Sprintf("%s sends VRID %d with VIPs (%s), and we have none, so each ignores the other: if it belongs to another "+
				"pair, give one of the pairs another vrid; if it is our peer, set the same vips on both", peer, vrid, listed(p.VIPs))
		}
		return fmt.Sprintf("%s sends VRID %d with none of our VIPs, so each ignores the other: if it belongs to another pair, give one "+
			"of the pairs another vrid; if it is our peer, set the same vips on both", peer, vrid)
	default: // DropWrongAuthType, DropAuthHeader
		return fmt.Sprintf("%s sends %s for VRID %d, we send %s, so each ignores the other: set the same password on both, or none",
			peer, p.Auth.Type, vrid, r.Packet.Auth.Type)
	}
}

// DiagnoseAdvert learns from a good advertisement, and ends the warnings that it disproves. bothMaster says that this router
// was master before the advertisement and is master after it. The results are those of DiagnoseDrop.
func (r *Router) DiagnoseAdvert(now time.Time, h Header, p *Packet, bothMaster bool) (changed bool, s Symptoms) {
	if len(r.diagnosis.warnings.active) > 0 {
		changed = r.diagnosis.warnings.remove(func(w warning) bool { return w.from == h.Source && w.kind < warnVIPs })
	}
	if r.Machine.Repeated() {
		return changed, 0
	}
	h.Source = r.Machine.identity(int(h.Path), h.Source).addr
	if bothMaster {
		rival, symptom := r.diagnoseRival(now, h, p)
		changed, s = changed || rival, symptom
	} else {
		r.diagnosis.rival.first = time.Time{}
	}
	changed = r.diagnoseInterval(now, h, p) || changed
	changed = r.diagnoseSignature(now, h, p) || changed
	lists, symptom := r.diagnoseVIPs(now, h, p)
	return changed || lists, s | symptom
}

// VIPDifference says how the lists differ, after SymptomVIPs.
func (r *Router) VIPDifference() string { return r.diagnosis.difference }

// diagnoseInterval learns that another router has another interval. A backup of version 3 accepts it (RFC 9568, section
// 6.4.2); version 2 drops the advertisement.
func (r *Router) diagnoseInterval(now time.Time, h Header, p *Packet) (changed bool) {
	if p.Interval == r.Config.AdvertInterval {
		return len(r.diagnosis.warnings.active) > 0 &&
			r.diagnosis.warnings.remove(func(w warning) bool { return w.kind == warnLearntInterval && w.from == h.Source })
	}
	return r.warn(now, p, warnLearntInterval, h.Source, uint64(p.Interval), func() string {
		return fmt.Sprintf("%s advertises VRID %d every %s, we every %s, so the time of a failover depends on which is master: "+
			"set the same advert_interval on both", h.Source, r.Config.VRID, p.Interval, r.Config.AdvertInterval)
	})
}

// givesWay tells whether an advertisement is the last one of the master that this router has just replaced: a router that
// gives way advertises once more.
func (r *Router) givesWay(now time.Time, from netip.Addr) bool {
	return r.Machine.Predecessor() == from && now.Sub(r.Machine.Since()) < r.Config.AdvertInterval
}

// diagnoseRival records another master. Two masters need one exchange of advertisements to decide who stays. If both continue
// after that, this is a fault. Priority 0 is the end of another master.
func (r *Router) diagnoseRival(now time.Time, h Header, p *Packet) (changed bool, s Symptoms) {
	if !r.Machine.HandingOver() {
		changed = r.diagnosis.contest.hear(now)
		if !r.givesWay(now, h.Source) {
			changed = r.diagnosis.contest.dispute(now, h.Source) || changed
		}
	}
	heard := &r.diagnosis.rival
	if p.Priority == PriorityLeaving {
		heard.first = time.Time{}
		return changed, 0
	}
	if heard.first.IsZero() || now.Sub(heard.last) > DownAdverts*p.Interval {
		heard.first = now
	}
	heard.last = now
	if now.Sub(heard.first) < 2*p.Interval {
		return changed, 0
	}
	fresh := r.warn(now, p, warnTwoMasters, h.Source, uint64(p.Priority), func() string {
		to := "the VRRP group"
		if len(r.Config.UnicastPeers) > 0 {
			to = "it"
		}
		return fmt.Sprintf("%s is master of VRID %d as well, at priority %d (ours is %d): it does not receive, or does not accept, "+
			"our advertisements; let protocol 112 to %s pass, and set the same version, password, hmac keys and unicast_peers on both",
			h.Source, r.Config.VRID, p.Priority, r.Machine.Priority(), to)
	})
	if fresh {
		return true, SymptomTwoMasters
	}
	return changed, 0
}

// listSeed makes the hash of a list of addresses hard to guess.
var listSeed = maphash.MakeSeed()

// diagnoseVIPs compares the lists of addresses. RFC 9568, section 7.1, allows a receiver to do this. The advertisement is
// accepted: see foreign.
func (r *Router) diagnoseVIPs(now time.Time, h Header, p *Packet) (changed bool, s Symptoms) {
	dg := &r.diagnosis
	ours, theirs := r.Packet.VIPs, p.VIPs
	if slices.Equal(ours, theirs) {
		return dg.endVIPs(h), 0
	}
	detail := hashAddrs(theirs)
	if detail == dg.same {
		return dg.endVIPs(h), 0
	}
	if dg.warnings.extend(now.Add(r.warningLasts(p)), warnVIPs, h.Source, detail) {
		return false, 0
	}
	// A sender of forged packets may send another list each time: lists are compared address by address once a second.
	if now.Sub(dg.looked) < WarningPause {
		return false, 0
	}
	dg.looked = now
	lacks, has := without(ours, theirs), without(theirs, ours)
	if len(lacks)+len(has) == 0 {
		dg.same = detail
		return dg.endVIPs(h), 0
	}
	difference := difference(lacks, has)
	fresh := r.warn(now, p, warnVIPs, h.Source, detail, func() string {
		return fmt.Sprintf("%s advertises other VIPs for VRID %d: %s; set the same vips on both", h.Source, r.Config.VRID, difference)
	})
	if !fresh {
		return false, 0
	}
	dg.difference = difference
	return true, SymptomVIPs
}

// endVIPs ends the warning that the lists differ, and reports whether there was one.
func (dg *diagnosis) endVIPs(h Header) bool {
	return len(dg.warnings.active) > 0 &&
		dg.warnings.remove(func(w warning) bool { return w.kind == warnVIPs && w.from == h.Source })
}

// warn keeps a warning while its cause lasts, and reports whether the text has changed.
func (r *Router) warn(now time.Time, p *Packet, kind warningKind, from netip.Addr, detail uint64, words func() string) bool {
	return r.diagnosis.warnings.put(now, now.Add(r.warningLasts(p)), kind, from, detail, words)
}

func (r *Router) warningLasts(p *Packet) time.Duration {
	return max(WarningLasts, DownAdverts*p.Interval, DownAdverts*r.Config.AdvertInterval)
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

// without returns the addresses that are in a but not in b, each once.
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

// difference says which addresses a list lacks and which it has besides.
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
