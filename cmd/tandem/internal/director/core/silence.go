// SPDX-License-Identifier: Apache-2.0

package core

import (
	"net/netip"
	"slices"
	"time"

	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/vrrp"
)

// A silence is the time in which no real server answers in any way. It needs real servers on at least two machines. A refusal
// or a wrong status would be an answer.
//
// Meanwhile the director steps back: its peer may reach the servers. The weights depend on the cause of the silence:
//
//   - Another machine answers on the interfaces towards the servers, or this is not known yet: the servers are down. Their
//     weights are 0, and a sorry server serves.
//   - An interface has no carrier, or no machine answers: this director is cut off. It serves nobody, whatever its weights
//     are. But when its cable is plugged in again and it is master, it must not refuse clients until all servers have been
//     checked again. So the servers keep their weights until a check passes, or until the checks had enough time. A server
//     that refuses meanwhile has been checked again; a silent one has not.
//
// Weights are for new clients. Whether a silent server leaves the table, and ends its connections, is another question: see
// doubt.go.
type silence struct {
	on bool
	inquiry
	doubts []serverPlace // servers that have stopped answering: see doubt.go
	fault  bool          // an interface of a virtual router does not work
	whole  time.Time     // since when all of them work again

	connected time.Time // since when a neighbour answers

	cut    bool // it has been cut off in this silence
	cutOff bool // it is cut off, or the servers could not be checked again since
}

// An inquiry is what is known about the neighbours. They are asked in a silence, and while there are doubts.
type inquiry struct {
	asking   bool
	sequence uint64              // the number of the question
	again    bool                // something has happened that an earlier answer does not count for
	asked    bool                // it is known whether a neighbour answers
	answer   bool                // a neighbour answers
	reached  map[netip.Addr]bool // the servers in doubt of which it is known whether a neighbour answers on the way to them
}

// A Question is the order to ask, again and again, whether neighbours answer on the interfaces towards the real servers.
type Question struct {
	Silence uint64 // the number that answers carry; 0: stop asking
	Servers []netip.Addr
	Others  []netip.Addr // other machines that may answer: sorry servers, peers
	InDoubt []netip.Addr // the servers that have stopped answering
}

// Neighbours is the answer: whether any machine answers on the interfaces towards the real servers.
type Neighbours struct {
	Silence uint64
	Answer  bool
	// Reached are the servers in doubt for which a machine answers on their own interface. Unreached are the others, also those
	// without a route.
	Reached, Unreached []netip.Addr
	// Problem is why this cannot be found out. The director then assumes that it is connected: if it is cut off, its weights
	// do not matter.
	Problem string
}

// Equal reports whether two answers say the same.
func (ev Neighbours) Equal(other Neighbours) bool {
	return ev.Silence == other.Silence && ev.Answer == other.Answer && ev.Problem == other.Problem &&
		slices.Equal(ev.Reached, other.Reached) && slices.Equal(ev.Unreached, other.Unreached)
}

func (ev Neighbours) on(s *State) {
	q := &s.silence
	if !q.asking || ev.Silence != q.sequence {
		return
	}
	answer := ev.Answer || ev.Problem != ""
	if answer && (!q.answer || !q.asked) {
		q.connected = s.now
	}
	if !q.asked || answer != q.answer {
		q.asked, q.answer = true, answer
		switch {
		case q.on:
			s.log(Warn, "no real server answers", "neighbours-answer", ev.Answer, "problem", ev.Problem)
		case !answer:
			s.log(Warn, "a real server does not answer, nor does any neighbour: servers that do not answer stay in the table")
		}
	}
	q.reached = make(map[netip.Addr]bool)
	for _, addr := range ev.Reached {
		q.reached[addr] = true
	}
	for _, addr := range ev.Unreached {
		q.reached[addr] = false
	}
}

// seeSilence finds out whether all servers are silent, and whether this director is cut off from them.
func (s *State) seeSilence() {
	q := &s.silence
	is := s.census.checked > 0 && s.census.speaking == 0 && len(s.census.machines) > 1
	if is != q.on {
		was := *q
		*q = silence{on: is, inquiry: q.inquiry, doubts: q.doubts, fault: q.fault, whole: q.whole, cutOff: q.cutOff}
		switch {
		case is:
			q.again = true
		case was.cutOff:
			q.cut, q.connected = true, s.now
			if was.asked && was.answer && !s.linkFault() {
				q.connected = was.connected
			}
		}
		s.retrackAll()
		if !is {
			s.followRoles()
		}
	}
	s.inquire()
	s.judgeDoubts()
	if cutOff := s.isCutOff(); cutOff != q.cutOff {
		q.cutOff = cutOff
		s.touchAll()
	}
	s.inquire() // the last doubt may be over
	if s.ask {
		s.ask = false
		question := Question{Servers: s.machines(), Others: s.others(), InDoubt: s.inDoubt()}
		if q.asking {
			question.Silence = q.sequence
		}
		s.out.Question = &question
	}
}

// inquire begins and ends the inquiry, and begins a new one if the answer to the present one is too old. That no neighbour answers
// stays known until one does.
func (s *State) inquire() {
	q := &s.silence
	switch asking := q.on || len(q.doubts) > 0; {
	case asking && q.again && (!q.asking || q.asked && q.answer):
		q.inquiry, s.ask = inquiry{asking: true, sequence: q.sequence + 1}, true
	case !asking && q.asking:
		q.inquiry, s.ask = inquiry{sequence: q.sequence}, true
	}
	q.again = false
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

// linkFault reports whether an interface of a virtual router does not work. A cable between the directors, whose carrier is
// ignored, leads to no server.
func (s *State) linkFault() bool {
	for _, r := range s.cfg.Routers {
		if r.Carrier != vrrp.CarrierIgnore && s.report.Links[r.Interface] != "" {
			return true
		}
		for _, name := range r.VIPInterfaces {
			if s.report.Links[name] != "" {
				return true
			}
		}
	}
	return false
}

// detection returns the time that a server that works again needs to pass its checks.
func (s *State) detection() time.Duration {
	return s.longestCheck(func(c healthcheck.Config) int { return c.Rise })
}

// longestCheck returns the longest time that a check of any server needs for a number of results in a row.
func (s *State) longestCheck(results func(healthcheck.Config) int) (longest time.Duration) {
	for _, svc := range s.services {
		for _, srv := range svc.servers {
			for _, check := range srv.Checks {
				longest = max(longest, time.Duration(results(check)+1)*check.Longest()+check.Timeout)
			}
		}
	}
	return longest
}

// machines returns the addresses of the real servers that are checked, in order.
func (s *State) machines() []netip.Addr {
	all := make([]netip.Addr, 0, len(s.census.machines))
	for addr := range s.census.machines {
		all = append(all, addr)
	}
	slices.SortFunc(all, netip.Addr.Compare)
	return all
}

// others returns the addresses of the sorry servers and of the unicast peers.
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

// silenceEnds returns the time at which the meaning of a silence changes without an event. The zero time means never.
func (s *State) silenceEnds() time.Time {
	q := &s.silence
	if q.cutOff && (!q.on || q.asked && q.answer && !s.linkFault()) {
		return q.connected.Add(s.detection())
	}
	return time.Time{}
}
