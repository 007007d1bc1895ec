// SPDX-License-Identifier: Apache-2.0

package core

import (
	"net/netip"
	"slices"
	"time"
)

// A silence is the time in which no real server answers in any way: each of them, on two machines or more. A refusal would
// be an answer, and so would be a wrong status.
//
// In the election the director steps back meanwhile: its peer may reach the servers. What becomes of the weights depends on
// why the servers are silent:
//
//   - Somebody else answers on the interfaces towards the servers, or it is not known yet whether anybody does: the servers
//     are down. Their weights are 0, and a sorry server serves.
//   - An interface has no carrier, or nobody answers: this director is cut off. It serves nobody, whatever its weights. But
//     when its cable is plugged in again and it is master, it must not refuse its clients until it has checked all servers
//     anew. So the servers keep their weights until a check passes, or until the checks had the time for that. One that
//     refuses meanwhile has been checked anew; the silent ones have not.
type silence struct {
	on       bool
	sequence uint64 // of silences

	asked     bool      // whether a neighbour answers is known
	answer    bool      // one does
	connected time.Time // since when that is so

	cut    bool // it was cut off in this silence
	cutOff bool // it is, or the servers could not be checked anew since
}

// Question asks whether neighbours answer on the interfaces towards the real servers, again and again.
type Question struct {
	Silence uint64 // the answers name it; 0: none is asked for
	Servers []netip.Addr
	Others  []netip.Addr // that may answer as well: sorry servers, peers
}

// Neighbours say whether anybody answers on the interfaces towards the real servers.
type Neighbours struct {
	Silence uint64
	Answer  bool
	// Problem is why that cannot be known. A director that cannot know it takes itself for connected: the weights of one that
	// is cut off matter to nobody.
	Problem string
}

func (ev Neighbours) on(s *State) {
	q := &s.silence
	if !q.on || ev.Silence != q.sequence {
		return
	}
	answer := ev.Answer || ev.Problem != ""
	if answer && (!q.answer || !q.asked) {
		q.connected = s.now
	}
	if !q.asked || answer != q.answer {
		q.asked, q.answer = true, answer
		s.log(Warn, "no real server answers", "neighbours-answer", ev.Answer, "problem", ev.Problem)
	}
}

// seeSilence finds out whether all servers are silent, and whether this director is cut off from them.
func (s *State) seeSilence() {
	q := &s.silence
	is := s.census.checked > 0 && s.census.speaking == 0 && len(s.census.machines) > 1
	if is != q.on {
		was := *q
		*q = silence{on: is, sequence: q.sequence, cutOff: q.cutOff}
		switch {
		case is:
			q.sequence++
		case was.cutOff:
			q.cut, q.connected = true, s.now
			if was.asked && was.answer && !s.linkFault() {
				q.connected = was.connected
			}
		}
		s.retrackAll()
		s.ask = true
		if !is {
			s.followRoles()
		}
	}
	if cutOff := s.isCutOff(); cutOff != q.cutOff {
		q.cutOff = cutOff
		s.touchAll()
	}
	if s.ask {
		s.ask = false
		question := Question{Servers: s.machines(), Others: s.others()}
		if q.on {
			question.Silence = q.sequence
		}
		s.out.Question = &question
	}
}

func (s *State) isCutOff() bool {
	q := &s.silence
	switch {
	case !q.on:
		return q.cut && s.census.down == s.census.checked && s.now.Before(q.connected.Add(s.detection()))
	case s.linkFault() || q.asked && !q.answer:
		q.cut, q.connected = true, s.now
		return true
	case !q.asked:
		return q.cut
	}
	return q.cut && s.now.Before(q.connected.Add(s.detection()))
}

// linkFault tells whether an interface of a virtual router does not work.
func (s *State) linkFault() bool {
	for _, r := range s.cfg.Routers {
		if s.report.Links[r.Interface] != "" {
			return true
		}
	}
	return false
}

// detection is the time in which a server that is well again passes its checks.
func (s *State) detection() time.Duration {
	longest := time.Duration(0)
	for _, svc := range s.services {
		for _, srv := range svc.servers {
			for _, check := range srv.Checks {
				longest = max(longest, time.Duration(check.Rise+1)*check.Interval+check.Timeout)
			}
		}
	}
	return longest
}

// machines are the addresses of the real servers that are checked, in order.
func (s *State) machines() []netip.Addr {
	all := make([]netip.Addr, 0, len(s.census.machines))
	for addr := range s.census.machines {
		all = append(all, addr)
	}
	slices.SortFunc(all, netip.Addr.Compare)
	return all
}

// others are the sorry servers and the peers that are known by their addresses.
func (s *State) others() (all []netip.Addr) {
	for _, svc := range s.services {
		if svc.Sorry != nil {
			all = append(all, svc.Sorry.Addr)
		}
	}
	for _, r := range s.cfg.Routers {
		all = append(all, r.UnicastPeers...)
	}
	slices.SortFunc(all, netip.Addr.Compare)
	return slices.Compact(all)
}

// silenceEnds is when a silence changes its meaning by itself; zero: never.
func (s *State) silenceEnds() time.Time {
	q := &s.silence
	if q.cutOff && (!q.on || q.asked && q.answer && !s.linkFault()) {
		return q.connected.Add(s.detection())
	}
	return time.Time{}
}
