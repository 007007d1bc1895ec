// SPDX-License-Identifier: Apache-2.0

package core

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/vrrp"
)

// A sync group with members on several interfaces must move when one of the interfaces reaches nobody, although its carrier
// stays: a broken switch, a wrong VLAN. The peer cannot take over by itself. It hears nothing on that interface, but it still
// hears this director on the others.
//
// So a director looks whether it reaches another machine on each interface of such a group: it hears a master there, or a
// machine answers ARP or neighbour solicitations. If nobody does, the director steps back. If the peer reaches nobody either,
// both run at priority 1, and the present master stays master.

// isolationHold is the time, added to one advertisement interval, for which new evidence must contradict the state of an
// interface before this state changes.
const isolationHold = 2 * time.Second

// A Reach says whether a director reaches other machines on an interface.
type Reach uint8

const (
	// ReachUnknown: no other machine is known there that could be asked.
	ReachUnknown Reach = iota
	// Reached: a machine has answered.
	Reached
	// Isolated: machines are known there, and none has answered.
	Isolated
)

// Segments are the interfaces on which to ask, each with the machines that may answer beside those that the kernel knows.
type Segments map[string][]netip.Addr

// A SegmentAnswer is the latest result for an interface. A director that cannot ask reports Reached: it must not step back for
// this.
type SegmentAnswer struct {
	Interface string
	Reach     Reach
}

// A segment is the state of an interface of a sync group.
type segment struct {
	answer   Reach
	known    Reach
	contrary time.Time // since when the evidence contradicts known; zero: it does not
	hold     time.Duration
	peers    []netip.Addr // masters that were heard there, and unicast peers
}

// maxPeers is the maximum number of a segment's peers.
const maxPeers = 4

func (ev SegmentAnswer) on(s *State) {
	if _, asked := s.asked[ev.Interface]; asked {
		s.segments[ev.Interface].answer = ev.Reach
	}
}

// adoptSegments finds the interfaces of the sync groups that have several. What is known about an interface stays.
func (s *State) adoptSegments() {
	before := s.segments
	s.segments, s.asked = make(map[string]*segment), nil
	for _, r := range s.cfg.Routers {
		// A router that ignores its carrier has only its peer on its cable.
		if !s.spansInterfaces(r.SyncGroup) || r.Carrier == vrrp.CarrierIgnore {
			continue
		}
		seg := s.segments[r.Interface]
		if seg == nil {
			seg = &segment{}
			if was := before[r.Interface]; was != nil {
				seg.known, seg.contrary, seg.peers = was.known, was.contrary, was.peers
			}
			s.segments[r.Interface] = seg
		}
		seg.hold = max(seg.hold, isolationHold+r.AdvertInterval)
		for _, peer := range r.UnicastPeers {
			seg.met(peer)
		}
	}
	s.askSegments = len(before)+len(s.segments) > 0
}

// spansInterfaces reports whether the members of a sync group are on several interfaces.
func (s *State) spansInterfaces(group string) bool {
	first := ""
	return group != "" && slices.ContainsFunc(s.cfg.Routers, func(r configs.Router) bool {
		if r.SyncGroup == group && first == "" {
			first = r.Interface
		}
		return r.SyncGroup == group && r.Interface != first
	})
}

func (seg *segment) met(peer netip.Addr) {
	if !slices.Contains(seg.peers, peer) {
		seg.peers = append(slices.Clone(seg.peers[max(0, len(seg.peers)+1-maxPeers):]), peer)
	}
}

// seeSegments finds out on which interfaces this director reaches nobody, and which ones must be asked about.
func (s *State) seeSegments() {
	asked := make(Segments)
	for name, seg := range s.segments {
		heard := s.hearsMaster(name, seg)
		faulty := s.report.Links[name] != ""
		if !heard && !faulty {
			asked[name] = seg.peers
		} else {
			seg.answer = ReachUnknown
		}
		evidence := seg.answer
		if heard {
			evidence = Reached
		}
		known := seg.weigh(s.now, evidence)
		if faulty {
			// The fault itself takes the group out of service. What was known is old when the fault is over.
			known, seg.contrary = ReachUnknown, time.Time{}
		}
		if known != seg.known {
			switch {
			case known == Isolated:
				s.log(Warn, "no other machine answers on an interface of a sync group", "interface", name)
			case known == Reached && seg.known == Isolated:
				s.log(Info, "another machine answers again", "interface", name)
			}
			seg.known = known
			s.retrackAll()
		}
	}
	if s.askSegments || !maps.EqualFunc(asked, s.asked, slices.Equal) {
		s.askSegments, s.asked = false, asked
		s.out.Segments = asked
	}
}

// weigh returns what is known with the present evidence. The first evidence that somebody is there counts at once.
func (seg *segment) weigh(now time.Time, evidence Reach) Reach {
	switch {
	case evidence == ReachUnknown || evidence == seg.known:
		seg.contrary = time.Time{}
		return seg.known
	case seg.known == ReachUnknown && evidence == Reached:
		seg.contrary = time.Time{}
		return Reached
	case seg.contrary.IsZero():
		seg.contrary = now
	}
	if now.Before(seg.contrary.Add(seg.hold)) {
		return seg.known
	}
	seg.contrary = time.Time{}
	return evidence
}

// hearsMaster reports whether a virtual router on an interface is backup and hears its master.
func (s *State) hearsMaster(iface string, seg *segment) (heard bool) {
	for _, r := range s.report.Routers {
		if r.Interface == iface && r.State == vrrp.Backup && r.Master.IsValid() {
			seg.met(r.Master)
			heard = heard || !r.Ready
		}
	}
	return heard
}

// addIsolation adds the step-back of a director that reaches nobody on an interface of a router's sync group. While nothing is
// known about an interface, a backup does not preempt.
func (s *State) addIsolation(name string, t vrrp.Tracking) vrrp.Tracking {
	i := slices.IndexFunc(s.cfg.Routers, func(r configs.Router) bool { return r.Name == name })
	if i < 0 || !s.spansInterfaces(s.cfg.Routers[i].SyncGroup) {
		return t
	}
	for _, r := range s.cfg.Routers {
		if r.SyncGroup != s.cfg.Routers[i].SyncGroup {
			continue
		}
		seg := s.segments[r.Interface]
		if seg == nil {
			continue
		}
		switch seg.known {
		case ReachUnknown:
			t.Unclear = true
		case Isolated:
			t.Delta += stepBackDelta
			return t
		}
	}
	return t
}

// isolated returns the interfaces on which this director reaches nobody, in order.
func (s *State) isolated() (names []string) {
	for name, seg := range s.segments {
		if seg.known == Isolated {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// segmentEnds returns the time at which the state of an interface changes without an event. The zero time means never.
func (s *State) segmentEnds() (next time.Time) {
	for _, seg := range s.segments {
		if seg.contrary.IsZero() {
			continue
		}
		if at := seg.contrary.Add(seg.hold); next.IsZero() || at.Before(next) {
			next = at
		}
	}
	return next
}
