// SPDX-License-Identifier: Apache-2.0

package core

import (
	"cmp"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/peer/message"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/healthcheck"
)

const (
	// peerGrace is how long the channel may be lost before the status warns: a restart of the other director takes less.
	peerGrace = 10 * time.Second
	// peerAnswer is how long a command waits for the other director.
	peerAnswer = 3 * time.Second
	// peerPause is the pause between two views for the other director, and peerPausePerServer is added for each real server.
	peerPause          = time.Second
	peerPausePerServer = 500 * time.Microsecond
	// MaxSkew is how far the clocks of the directors may differ before the status warns.
	MaxSkew = time.Second
)

// A PeerHalf is one direction of the channel to the other director.
type PeerHalf struct {
	Up      bool
	Since   time.Time // of Up
	Problem string    // why it is not up
	Fault   message.Fault
}

// A PeerChannel is a change of the channel to the other director. The times are filled in.
type PeerChannel struct {
	To, From      PeerHalf
	Name, Version string // of the other director; empty: not known yet
	Can           []message.Ability
	Refused       uint64 // connections from others
	Refusal       string // the latest of them
}

// A PeerHeard is a message of the other director.
type PeerHeard struct {
	Message message.Message
	Skew    message.Skew
}

// A PeerDrift is what differs between the configurations of both directors.
type PeerDrift struct {
	All      []Difference
	Preempts map[string]bool // for the name of each virtual router of the other director: whether it preempts there
}

// A Difference is something that the two directors of a pair should have in common and have not, or the other way round.
type Difference struct {
	Wrong bool // the pair does not work with it; otherwise it works, but probably not as intended
	Text  string
}

// A peerState is what is known about the other director. Nothing in it has a part in the election.
type peerState struct {
	on         bool
	since      time.Time // when the channel was configured
	configured configs.Peer
	channel    PeerChannel
	heardAt    time.Time
	skew       message.Skew
	view       *message.View             // the latest; nil: none yet
	orders     map[string]message.Order  // of view, by server
	seen       map[string]message.Server // of view, by name
	sent       [2]sentConfigs            // taken, refused
	drift      []Difference
	preempts   map[string]bool // as in PeerDrift

	servers map[string]serverPlace // by name
	unknown map[string]uint64      // the numbers of orders that cannot be carried out here
	urgent  bool                   // the next view cannot wait
	stale   bool                   // something may have changed since the last view
	sentAt  time.Time
	owes    bool   // an order of the other director was taken over in this step
	owed    uint64 // the table of this generation has it
	behind  bool   // as the last view said
}

// A serverPlace is where a real server is.
type serverPlace struct {
	service *service
	server  *server
}

// adoptPeer follows the configuration of the channel.
func (s *State) adoptPeer() {
	p := &s.peer
	if p.on != s.cfg.Peer.On() || p.on && p.configured != s.cfg.Peer {
		*p = peerState{on: s.cfg.Peer.On(), since: s.now, configured: s.cfg.Peer}
	}
	p.servers = nil
	if !p.on {
		return
	}
	p.servers = make(map[string]serverPlace)
	for _, svc := range s.services {
		for _, srv := range svc.servers {
			p.servers[srv.id] = serverPlace{svc, srv}
		}
	}
	p.urgent = true
	s.mergeOrders()
}

// both reports whether both directions work.
func (p *peerState) both() bool { return p.channel.To.Up && p.channel.From.Up }

// lost returns since when the channel does not work in both directions, and why; empty: it does.
func (p *peerState) lost() (since time.Time, why string) {
	if !p.on || p.both() {
		return since, ""
	}
	is := p.channel.From
	if to := p.channel.To; !to.Up && (is.Up || !to.Since.After(is.Since)) {
		is = to
	}
	if since, why = is.Since, is.Problem; why == "" {
		why = "not connected yet"
	}
	if since.Before(p.since) {
		since = p.since
	}
	return since, why
}

func (ev PeerChannel) on(s *State) {
	p := &s.peer
	if !p.on {
		return
	}
	was, lostBefore := p.channel, !p.both()
	for _, half := range []struct{ is, was *PeerHalf }{{&ev.To, &was.To}, {&ev.From, &was.From}} {
		if half.is.Since = half.was.Since; half.is.Up != half.was.Up || half.is.Since.IsZero() {
			half.is.Since = s.now
		}
	}
	p.channel = ev
	name := s.peerName()
	switch lost := !p.both(); {
	case lostBefore && !lost:
		s.log(Info, "connected to the other director", "name", name, "version", ev.Version)
		s.recordDirector(api.EventDirector, "is connected to "+name, "")
		p.urgent = true
		if p.view != nil {
			s.followAsking(p.view)
		}
	case !lostBefore && lost:
		_, why := p.lost()
		s.log(Warn, "lost the channel to the other director: the election goes on", "name", name, "reason", why)
		s.recordDirector(api.EventDirector, "has lost the channel to "+name, why)
	}
}

func (ev PeerHeard) on(s *State) {
	p := &s.peer
	if !p.on {
		return
	}
	p.heardAt, p.skew = s.now, ev.Skew
	v := ev.Message.View
	if v == nil {
		return
	}
	p.view, p.orders, p.seen = v, make(map[string]message.Order, len(v.Orders)), ByName(v.Servers)
	for _, o := range v.Orders {
		p.orders[o.Server] = o
	}
	s.countThere(v)
	s.mergeOrders()
}

func (ev PeerDrift) on(s *State) {
	if s.peer.on {
		s.peer.drift, s.peer.preempts = ev.All, ev.Preempts
	}
}

// peerName is the name of the other director, or its address.
func (s *State) peerName() string {
	if n := s.peer.channel.Name; n != "" {
		return n
	}
	return s.cfg.Peer.Address.Addr().String()
}

// concernsPeer marks the view for the other director as stale, if an event may change it.
func (s *State) concernsPeer(ev Event) {
	switch ev.(type) {
	case PeerChannel, PeerConfig, PeerDrift, PeerHeard, Tick, Connections, HistoryStored, Stored:
	default:
		s.peer.stale = true
	}
}

// emitPeer sends a view to the other director: at once if there is a new order, or else after a pause.
func (s *State) emitPeer() {
	p := &s.peer
	if !p.on || !s.filled {
		return
	}
	if p.owes {
		p.owes, p.owed, p.urgent = false, max(1, s.generation), true
	}
	behind := s.confirmed < p.owed
	if behind != p.behind {
		p.urgent = true
	}
	if !p.urgent && (!p.stale || s.now.Before(s.peerDue())) {
		return
	}
	p.urgent, p.stale, p.sentAt, p.behind = false, false, s.now, behind
	v := &message.View{Routers: s.peerRouters(), Behind: behind, Trouble: message.Text(s.trouble), Counted: s.tellsConnections()}
	v.Servers, v.ServersLeft = s.peerServers()
	v.Orders, v.OrdersLeft = s.peerOrders()
	s.out.Peer = v
}

// peerDue is when the next view may be sent.
func (s *State) peerDue() time.Time {
	return s.peer.sentAt.Add(peerPause + time.Duration(len(s.peer.servers))*peerPausePerServer)
}

// peerNext is when something about the other director changes without an event.
func (s *State) peerNext(sooner func(time.Time)) {
	p := &s.peer
	if !p.on {
		return
	}
	if p.stale && s.filled {
		sooner(s.peerDue())
	}
	if since, why := p.lost(); why != "" && s.now.Sub(since) < peerGrace {
		sooner(since.Add(peerGrace))
	}
}

func (s *State) peerRouters() (all []message.Router) {
	waits := s.peerWaits()
	for _, r := range s.report.Routers {
		if len(all) == message.MaxRouters {
			break
		}
		all = append(all, message.Router{
			Name: r.Name, Family: r.Family, State: r.State.String(), Priority: r.EffectivePriority, Standby: r.Standby, Since: r.Since,
			Waits: waits[r.Name],
		})
	}
	return all
}

func (s *State) peerServers() (all []message.Server, left int) {
	for _, svc := range s.services {
		for _, srv := range svc.servers {
			if len(all) == message.MaxServers {
				left++
				continue
			}
			is := seen(svc, srv)
			if s.tellsConnections() {
				is.Established = s.syncs.here.servers[srv.id]
			}
			all = append(all, is)
		}
	}
	return all, left
}

// seen is how this director sees a real server.
func seen(svc *service, srv *server) message.Server {
	is := message.Server{Name: srv.id}
	switch {
	case !svc.checks(srv):
		is.Health = "unchecked"
	case srv.verdict.Health == healthcheck.Unhealthy:
		is.Health, is.Reason, is.Since = srv.verdict.Health.String(), message.Text(srv.verdict.Reason), srv.verdict.Since
	case srv.verdict.Health != healthcheck.Healthy:
		is.Health = srv.verdict.Health.String()
	}
	if n := srv.outlier.named; n != nil {
		is.Unanswered = &message.Unanswered{Connections: n.Unanswered, OthersPercent: n.OthersPercent, Since: n.Since}
	}
	return is
}

// ByName returns the real servers of a view by their names.
func ByName(servers []message.Server) map[string]message.Server {
	all := make(map[string]message.Server, len(servers))
	for _, srv := range servers {
		all[srv.Name] = srv
	}
	return all
}

// A Peer is what is known about the other director.
type Peer struct {
	Channel PeerChannel
	Lost    string    // why the channel does not work in both directions; empty: it does
	LostAt  time.Time // since when
	HeardAt time.Time
	Skew    message.Skew
	View    *message.View             // the latest; nil: none yet
	Seen    map[string]message.Server // the real servers of View by their names
	Drift   []Difference
	// Preempts are as in PeerDrift.
	Preempts map[string]bool
	Orders   []OrderDifference
}

// Sees returns what the other director says of a real server. nil: nothing, or what it said is old.
func (p *Peer) Sees(server string) *api.PeerView {
	if p == nil || p.Lost != "" {
		return nil
	}
	is, told := p.Seen[server]
	if !told {
		return nil
	}
	return &api.PeerView{Name: p.Channel.Name, Health: cmp.Or(is.Health, healthcheck.Healthy.String()), Reason: is.Reason, Unanswered: is.Unanswered != nil}
}

// showPeer returns what is known about the other director. It never changes.
func (s *State) showPeer() *Peer {
	p := &s.peer
	if !p.on {
		return nil
	}
	is := &Peer{Channel: p.channel, HeardAt: p.heardAt, Skew: p.skew, View: p.view, Seen: p.seen, Drift: p.drift, Preempts: p.preempts, Orders: s.orderDifferences()}
	is.LostAt, is.Lost = p.lost()
	return is
}

// LongLost reports whether the channel has been lost for so long that an operator must look.
func (p *Peer) LongLost(now time.Time) bool { return p.Lost != "" && now.Sub(p.LostAt) >= peerGrace }

// Skewed reports whether the clocks certainly differ by more than they may.
func (p *Peer) Skewed() bool { return p.Skew.Known && p.Skew.Ahead.Abs()-p.Skew.Error > MaxSkew }

// peerWarnings reports what an operator should know about the pair, and how it ends.
func (s *State) peerWarnings(warn func(what, cause string)) {
	p := &s.peer
	if !p.on {
		return
	}
	name := s.peerName()
	if since, why := p.lost(); why != "" && s.now.Sub(since) >= peerGrace {
		warn("has no channel to "+name, why)
	}
	for _, d := range p.drift {
		if d.Wrong {
			warn("is configured otherwise than "+name, d.Text)
			break
		}
	}
	if (&Peer{Skew: p.skew}).Skewed() {
		warn("has another time than "+name, "its clock differs by "+p.skew.Ahead.Round(time.Millisecond).String())
	}
}
