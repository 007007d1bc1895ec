// SPDX-License-Identifier: Apache-2.0

package core

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/lvs"
	"github.com/tandem-lvs/tandem/lvs/traffic"
	"github.com/tandem-lvs/tandem/vrrp"
)

// A server may pass its checks and still not answer clients: it lacks the VIP, or its web server listens on its own address
// only. The kernel's connection table shows this, so a master compares the servers of each TCP service by it (lvs/traffic). With
// UDP it compares the counters of servers with method nat: see counters.go.
//
// A server that does not answer is named in the status. With [service.outlier] action = "weight-zero" it also gets no new
// clients for a while. Then it is tried again: clients' connections are the only proof that it answers.

const (
	// firstPenalty is how long a server gets no new clients at the first time. Each time that follows within traffic.Memory
	// lasts twice as long, up to maxPenalty.
	firstPenalty = 30 * time.Second
	maxPenalty   = time.Hour
)

// Traffic is what became of clients' new connections.
type Traffic struct{ Outcomes []traffic.Outcome }

// An Unanswered says that a real server does not answer clients.
type Unanswered struct {
	traffic.Finding
	Checked bool // its checks pass
	// Out says that it gets no new clients until then.
	Out   bool
	Until time.Time
}

// An outlier is what clients' connections say about a server.
type outlier struct {
	named   *Unanswered // nil: nothing is wrong. What it points to is not changed.
	serves  time.Time   // since when it gets new clients; zero: it gets none
	penalty time.Duration
	ended   time.Time // the end of the last penalty
}

// watchable finds the services whose servers can be compared.
func (s *State) watchable() {
	s.clients, s.markClients = make(map[netip.AddrPort]*service), make(map[netip.Addr]*service)
	s.counted = nil
	for _, svc := range s.services {
		if len(svc.servers) < 2 {
			continue
		}
		s.askCounters(svc)
		for _, v := range svc.Virtuals {
			switch {
			case v.FWMark != 0:
				for _, srv := range svc.servers {
					if other, ok := s.markClients[srv.Addr]; ok && other != svc {
						s.markClients[srv.Addr] = nil // it is not known which mark a connection had
					} else {
						s.markClients[srv.Addr] = svc
					}
				}
			case v.Protocol == lvs.TCP:
				s.clients[netip.AddrPortFrom(v.Addr, v.Port)] = svc
			}
		}
	}
}

// watching tells whether clients' connections are looked at. A backup has none of its own.
func (s *State) watching() bool {
	if len(s.clients)+len(s.markClients)+len(s.counted) == 0 {
		return false
	}
	if len(s.cfg.Routers) == 0 {
		return true
	}
	for _, state := range s.roles {
		if state == vrrp.Master {
			return true
		}
	}
	return false
}

// seeTraffic starts and ends the looks at clients' connections.
func (s *State) seeTraffic() {
	is := s.watching()
	if s.watched && !is {
		for _, svc := range s.services {
			for _, srv := range svc.servers {
				s.clearOutlier(svc, srv)
			}
			svc.judge, svc.replies = nil, nil
		}
	}
	s.watched, s.out.Watch, s.out.Count = is, is && len(s.clients)+len(s.markClients) > 0, nil
	if is {
		s.out.Count = s.counted
	}
	if end := s.outliersEnd(); end.IsZero() || s.now.Before(end) {
		return
	}
	for _, srv := range slices.SortedFunc(maps.Keys(s.outliers), func(a, b *server) int { return strings.Compare(a.id, b.id) }) {
		if !s.now.Before(srv.outlier.named.Until) {
			s.tryAgain(s.outliers[srv], srv)
		}
	}
}

func (ev Traffic) on(s *State) {
	if !s.watched {
		return
	}
	var seen []*service
	for _, o := range ev.Outcomes {
		svc, srv := s.serverOf(o)
		if srv == nil {
			continue
		}
		if svc.judge == nil {
			svc.judge = new(traffic.Judge)
		}
		if !slices.Contains(seen, svc) {
			seen = append(seen, svc)
		}
		// A director sees no packet of a server with the methods dr and tunnel: the reset was the client's, after an answer.
		reset := o.State == traffic.Closed && srv.Method != lvs.NAT
		svc.judge.Add(srv.id, o, o.State == traffic.Answered || reset)
	}
	for _, svc := range seen {
		s.judgeTraffic(svc, svc.judge)
	}
}

// serverOf returns the real server of a connection. nil: it is not one that is compared with others.
func (s *State) serverOf(o traffic.Outcome) (*service, *server) {
	svc := s.clients[o.Virtual]
	if svc == nil {
		svc = s.clients[netip.AddrPortFrom(o.Virtual.Addr(), 0)]
	}
	if svc == nil {
		svc = s.markClients[o.Server.Addr()]
	}
	if svc == nil {
		return nil, nil
	}
	for _, srv := range svc.servers {
		if srv.Addr == o.Server.Addr() && (!srv.Mapped || srv.Port == o.Server.Port() || srv.Port == 0) {
			return svc, srv
		}
	}
	return nil, nil
}

// A comparison is what is known of the servers of a service from clients' connections.
type comparison interface {
	Answers(server string, since time.Time) bool
	Suspect(now time.Time, server traffic.Peer, others []traffic.Peer) (traffic.Finding, bool)
}

// judgeTraffic compares the servers of a service.
func (s *State) judgeTraffic(svc *service, by comparison) {
	var peers []traffic.Peer
	for _, srv := range svc.servers {
		if !srv.outlier.serves.IsZero() {
			peers = append(peers, traffic.Peer{Name: srv.id, Weight: svc.weight(srv)})
		}
	}
	for _, srv := range svc.servers {
		o := &srv.outlier
		switch {
		case o.serves.IsZero():
			continue
		case o.named != nil && by.Answers(srv.id, later(o.named.Since, o.serves)):
			s.log(Info, "server answers clients again", "server", srv.id)
			s.recordServer(api.EventVerdict, srv.id, "answers clients again", "")
			s.clearOutlier(svc, srv)
			continue
		}
		i := slices.IndexFunc(peers, func(p traffic.Peer) bool { return p.Name == srv.id })
		others := slices.Delete(slices.Clone(peers), i, i+1)
		f, suspect := by.Suspect(s.now, peers[i], others)
		if suspect && !s.now.Before(f.Since.Add(srv.failsWithin())) {
			s.nameOutlier(svc, srv, f)
		}
	}
}

// nameOutlier says that a server does not answer clients.
func (s *State) nameOutlier(svc *service, srv *server, f traffic.Finding) {
	o := &srv.outlier
	first := o.named == nil
	again := !first && o.named.Since.Before(o.serves) // it has been tried again
	if !first && !again {
		f.Since = o.named.Since
	}
	o.named, svc.shown = &Unanswered{Finding: f, Checked: svc.checks(srv)}, nil
	if first {
		s.sayUnanswered(srv, o.named)
	}
	if (first || again) && svc.Outlier == configs.OutlierWeightZero && s.expendable(svc, srv) {
		o.penalty = min(max(firstPenalty, 2*o.penalty), maxPenalty)
		if !o.ended.IsZero() && s.now.Sub(o.ended) > traffic.Memory {
			o.penalty = firstPenalty
		}
		o.named.Out, o.named.Until = true, s.now.Add(o.penalty)
		s.outliers[srv] = svc
		s.log(Warn, "server gets no new clients for a while", "server", srv.id, "for", o.penalty)
		s.recordServer(api.EventVerdict, srv.id, "gets no new clients for "+o.penalty.String(), "it does not answer clients")
		s.touch(svc)
	}
}

// sayUnanswered logs and records that a server does not answer clients, and what the other director says of it.
func (s *State) sayUnanswered(srv *server, is *Unanswered) {
	args := []any{"server", srv.id, "unanswered-connections", is.Unanswered, "others-answered-percent", is.OthersPercent, "checked", is.Checked}
	cause := fmt.Sprintf("%d connections without an answer, while the other servers answered %d %%", is.Unanswered, is.OthersPercent)
	if there := s.showPeer().Sees(srv.id).Words(is.Checked); there != "" {
		args, cause = append(args, "peer", there), cause+"; "+there
	}
	s.log(Warn, "server does not answer clients", args...)
	s.recordServer(api.EventVerdict, srv.id, "does not answer clients", cause)
}

// expendable tells whether a service can do without the new clients of one more server. The limit is a share of the servers in
// service: those that get new clients, and those that would get them if they had not been taken out. A server that is away for
// another reason serves nobody, so it does not raise the limit.
func (s *State) expendable(svc *service, srv *server) bool {
	out, inService, others := 1, 1, 0
	for _, other := range svc.servers {
		switch o := other.outlier; {
		case other == srv:
		case o.named != nil && o.named.Out:
			out++
			if weight, _ := lvs.Weight(s.weightInput(svc, other, 0)); weight > 0 {
				inService++
			}
		case !o.serves.IsZero():
			inService++
			others++
		}
	}
	if others == 0 || out*configs.MinOutlierServers > inService {
		return false
	}
	in := s.poolInput(svc, 0, svc.pool.State)
	for i, m := range svc.servers {
		if m == srv {
			in.Members[i].Input.Draining = true
		}
	}
	return lvs.Pool(in).State.QuorumLost == svc.pool.State.QuorumLost
}

// tryAgain gives new clients to a server that had none for a while.
func (s *State) tryAgain(svc *service, srv *server) {
	s.endPenalty(srv)
	s.log(Info, "server gets new clients again, to see whether it answers them", "server", srv.id)
	s.recordServer(api.EventVerdict, srv.id, "gets new clients again", "to see whether it answers them")
	s.touch(svc)
}

func (s *State) endPenalty(srv *server) {
	o := &srv.outlier
	tried := *o.named
	tried.Out, tried.Until = false, time.Time{}
	o.named, o.ended, srv.released = &tried, s.now, s.now
	delete(s.outliers, srv)
}

// keepLast gives new clients to the servers that had none for a while, if no other server is left. The checks of the others have
// failed meanwhile, or somebody has taken them out.
func (s *State) keepLast(svc *service) {
	var out []*server
	for _, srv := range svc.servers {
		if n := srv.outlier.named; n != nil && n.Out {
			out = append(out, srv)
		}
	}
	if len(out) == 0 {
		return
	}
	for _, is := range lvs.Pool(s.poolInput(svc, 0, svc.pool.State)).Servers {
		if is.Weight > 0 {
			return
		}
	}
	for _, srv := range out {
		s.endPenalty(srv)
		s.log(Warn, "server gets new clients again: no other server of the service is left", "server", srv.id)
		s.recordServer(api.EventVerdict, srv.id, "gets new clients again", "no other server of the service is left")
	}
}

// clearOutlier forgets that a server does not answer clients.
func (s *State) clearOutlier(svc *service, srv *server) {
	if srv.outlier.named == nil {
		return
	}
	if srv.outlier.named.Out {
		s.touch(svc)
	}
	srv.outlier.named, svc.shown = nil, nil
	delete(s.outliers, srv)
}

// followOutliers stores, after a plan, which servers get new clients. A server that is taken out for any other reason than its
// traffic is no outlier any more.
func (s *State) followOutliers(svc *service) {
	if len(svc.servers) < 2 {
		return
	}
	for _, srv := range svc.servers {
		o := &srv.outlier
		switch serves := svc.weight(srv) > 0; {
		case serves && o.serves.IsZero():
			o.serves = s.now
			if svc.judge != nil {
				svc.judge.Forget(srv.id)
			}
			if svc.replies != nil {
				svc.replies.Forget(srv.id)
			}
		case !serves:
			o.serves = time.Time{}
			if o.named != nil && !o.named.Out {
				s.clearOutlier(svc, srv)
			}
		}
	}
}

// weight is the weight of a server in the first virtual of its service.
func (svc *service) weight(srv *server) int {
	for _, is := range svc.pool.Servers {
		if is.ServerID == srv.ServerID {
			return is.Weight
		}
	}
	return 0
}

// failsWithin is the time in which the checks of a server find that it has failed. Until then it is not said that they pass.
func (srv *server) failsWithin() time.Duration {
	longest := time.Duration(0)
	for _, check := range srv.Checks {
		longest = max(longest, time.Duration(max(1, check.Fall))*check.Longest()+check.Timeout)
	}
	return longest
}

// outliersEnd is when the next server is tried again.
func (s *State) outliersEnd() (next time.Time) {
	for srv := range s.outliers {
		if until := srv.outlier.named.Until; next.IsZero() || until.Before(next) {
			next = until
		}
	}
	return next
}
