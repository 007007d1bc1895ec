// SPDX-License-Identifier: Apache-2.0

package core

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/peer/message"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/lvs"
)

// A pair is two directors, whose views reach each other unless the channel is cut.
type pair struct {
	t       *testing.T
	now     time.Time
	states  [2]*State
	stored  [2]map[string]Override
	replies map[Request]Reply
	cut     bool
	slow    [2]bool // the kernel of that director does not answer
	history [2][]string
	waiting [2]*message.View
}

func directorNamed(name string) *configs.Config {
	cfg := with(www(false, lvs.WeightZero))
	cfg.Name, cfg.Peer.Address = name, netip.MustParseAddrPort("10.0.0.2:8474")
	return cfg
}

func newPair(t *testing.T) *pair {
	p := &pair{t: t, now: noon, replies: make(map[Request]Reply)}
	for i := range p.states {
		p.start(i)
	}
	p.connect()
	return p
}

// start starts a director with what it had stored.
func (p *pair) start(i int) {
	p.states[i] = New()
	p.step(i, Start{Config: directorNamed(fmt.Sprint("lb", i+1)), Overrides: p.stored[i]})
	p.step(i, TableRead{})
}

func (p *pair) connect() {
	p.cut = false
	for i := range p.states {
		p.step(i, channelTo(fmt.Sprint("lb", 2-i), ""))
	}
	p.deliver()
}

func (p *pair) disconnect() {
	p.cut = true
	for i := range p.states {
		p.step(i, channelTo(fmt.Sprint("lb", 2-i), "it fell silent"))
	}
}

func channelTo(name, problem string) PeerChannel {
	half := PeerHalf{Up: problem == "", Problem: problem}
	return PeerChannel{To: half, From: half, Name: name, Version: "v1"}
}

// step steps one director. Its kernel and its disk answer at once, unless the kernel is slow.
func (p *pair) step(i int, events ...Event) {
	p.t.Helper()
	for len(events) > 0 {
		out := p.states[i].Step(p.now, events...)
		events = nil
		for _, f := range out.Files {
			if f.File == OverridesFile {
				p.stored[i] = f.Value.(map[string]Override)
			}
			events = append(events, Stored{File: f.File, Generation: f.Generation})
		}
		if out.Table != nil && !p.slow[i] {
			events = append(events, TableDone{Generation: out.Table.Generation})
		}
		for _, r := range out.Replies {
			p.replies[r.Request] = r
		}
		if out.Peer != nil {
			p.waiting[i] = out.Peer
		}
		if out.History != nil {
			for _, ev := range out.History.Events {
				p.history[i] = append(p.history[i], ev.Name+" "+ev.What+": "+ev.Cause)
			}
		}
	}
}

// deliver lets the views reach the other director until nobody has anything to tell.
func (p *pair) deliver() {
	p.t.Helper()
	for rounds := 0; !p.cut && (p.waiting[0] != nil || p.waiting[1] != nil); rounds++ {
		if rounds > 10 {
			p.t.Fatal("they never end")
		}
		for i := range p.waiting {
			v := p.waiting[i]
			if p.waiting[i] = nil; v == nil {
				continue
			}
			octets, err := message.Encode(message.Message{Kind: message.KindView, View: v})
			if err != nil {
				p.t.Fatal(err)
			}
			m, err := message.Decode(octets[4:])
			if err != nil {
				p.t.Fatal(err)
			}
			p.step(1-i, PeerHeard{Message: m})
		}
	}
}

// order gives an order to a director, and returns the answer; nil: there is none yet.
func (p *pair) order(i int, o ServerOrder) *Reply {
	p.t.Helper()
	o.Request = Request(len(p.replies) + 1)
	if o.Server == "" {
		o.Server = first
	}
	p.step(i, o)
	p.deliver()
	if r, ok := p.replies[o.Request]; ok {
		return &r
	}
	return nil
}

func (p *pair) wait(d time.Duration) {
	p.now = p.now.Add(d)
	for i := range p.states {
		p.step(i, Tick{})
	}
	p.deliver()
}

// want fails unless a server has these overrides on the directors.
func (p *pair) want(here, there string) {
	p.t.Helper()
	for i, want := range []string{here, there} {
		if is := p.states[i].overrides[first].words(3); is != want {
			p.t.Errorf("lb%d: %s, want %s", i+1, is, want)
		}
	}
}

func inForce(r *Reply) bool { return r != nil && r.Err == nil && r.Peer != nil && r.Peer.Problem == "" }

// TestOrdersReachBoth: each kind of order is in force on both directors when it is answered, and survives restarts of both.
func TestOrdersReachBoth(t *testing.T) {
	p := newPair(t)
	for i, tt := range []struct {
		ServerOrder
		want string
	}{
		{ServerOrder{Action: api.Drain}, "drained by command"},
		{ServerOrder{Action: api.SetWeight, Weight: 7}, "drained by command; weight 7 by command instead of 3"},
		{ServerOrder{Action: api.Undrain}, "weight 7 by command instead of 3"},
		{ServerOrder{Action: api.Disable}, "disabled by command; weight 7 by command instead of 3"},
		{ServerOrder{Action: api.Enable}, "weight 7 by command instead of 3"},
		{ServerOrder{Action: api.Reset}, "as configured"},
		{ServerOrder{Action: api.Drain}, "drained by command"},
	} {
		if r := p.order(i%2, tt.ServerOrder); !inForce(r) || r.Peer.Name != fmt.Sprint("lb", 2-i%2) {
			t.Errorf("%s: %+v", tt.Action, r)
		}
		p.want(tt.want, tt.want)
	}
	for i := range p.states {
		p.start(i)
		p.connect()
		p.want("drained by command", "drained by command")
		if w := p.states[i].wanted[p.states[i].services[0].Virtuals[0].ServiceID]; w.Servers[0].Weight != 0 {
			t.Errorf("lb%d: %+v", i+1, w)
		}
	}
	if all := strings.Join(p.history[1], "\n"); !strings.Contains(all, first+" is drained by command: an operator ordered it on lb1") {
		t.Error(all)
	}
}

// TestOrdersWhileCut: an order is in force here at once, the answer says why it is not there, and it gets there with the channel. Of
// two orders that were given meanwhile, the later one counts; an order that undoes another one does too.
func TestOrdersWhileCut(t *testing.T) {
	p := newPair(t)
	p.order(0, ServerOrder{Action: api.Drain})
	p.disconnect()
	r := p.order(0, ServerOrder{Action: api.Undrain})
	if r == nil || r.Err != nil || r.Peer == nil ||
		r.Peer.Problem != "the channel is lost since 12:00:00Z: it fell silent; the order is sent when it is back" {
		t.Errorf("%+v", r)
	}
	p.want("as configured", "drained by command")
	p.connect()
	p.want("as configured", "as configured")
	p.disconnect()
	p.order(0, ServerOrder{Action: api.Disable})
	p.wait(time.Minute)
	p.order(1, ServerOrder{Action: api.SetWeight, Weight: 9})
	p.connect()
	p.want("weight 9 by command instead of 3", "weight 9 by command instead of 3")
	// A restart in between forgets nothing.
	p.disconnect()
	p.order(0, ServerOrder{Action: api.Drain})
	p.start(0)
	p.connect()
	p.want("drained by command; weight 9 by command instead of 3", "drained by command; weight 9 by command instead of 3")
}

// TestClocksDoNotDecide: an order in the knowledge of another one is the later one, also if its director's clock is behind.
func TestClocksDoNotDecide(t *testing.T) {
	p := newPair(t)
	p.now = noon.Add(10 * 365 * 24 * time.Hour)
	p.order(0, ServerOrder{Action: api.Drain})
	p.now = noon
	if r := p.order(1, ServerOrder{Action: api.Undrain}); !inForce(r) {
		t.Errorf("%+v", r)
	}
	p.want("as configured", "as configured")
	// The same moment on both sides: the name decides, and both agree.
	p.disconnect()
	p.order(0, ServerOrder{Action: api.Drain})
	p.order(1, ServerOrder{Action: api.Disable})
	p.connect()
	if a, b := p.states[0].overrides[first], p.states[1].overrides[first]; !a.same(b) || a.Number != b.Number || a.By != "lb2" {
		t.Errorf("%+v and %+v", a, b)
	}
}

// TestLocalOrders: an order with --local stays on one director, the other one shows it, and the next order to both replaces it.
func TestLocalOrders(t *testing.T) {
	p := newPair(t)
	if r := p.order(0, ServerOrder{Action: api.Drain, Local: true}); r == nil || r.Peer != nil || r.Err != nil {
		t.Errorf("%+v", r)
	}
	p.want("drained by command", "as configured")
	for i, want := range []OrderDifference{
		{first, "drained by command", "as configured", "--local on lb1", true},
		{first, "as configured", "drained by command", "--local on lb1", true},
	} {
		if is := p.states[i].Snapshot(p.now).Peer.Orders; len(is) != 1 || is[0] != want {
			t.Errorf("lb%d: %+v", i+1, is)
		}
	}
	p.disconnect()
	p.connect()
	p.want("drained by command", "as configured")
	if r := p.order(1, ServerOrder{Action: api.Disable}); !inForce(r) {
		t.Errorf("%+v", r)
	}
	p.want("disabled by command", "disabled by command")
}

// TestUnknownServer: an order about a server that the other director does not have is not in force there, and the answer says so.
func TestUnknownServer(t *testing.T) {
	p := newPair(t)
	p.order(0, ServerOrder{Action: api.Drain})
	lone := directorNamed("lb2")
	lone.Services[0].Servers = lone.Services[0].Servers[1:]
	p.step(1, Reload{Request: 90, Config: lone})
	p.deliver()
	if r := p.order(0, ServerOrder{Action: api.Disable}); r == nil || r.Peer == nil || r.Peer.Problem != "lb2 has no such server" {
		t.Errorf("%+v", r)
	}
	p.step(1, Reload{Request: 91, Config: directorNamed("lb2")})
	p.deliver()
	p.want("disabled by command; drained by command", "disabled by command; drained by command")
}

// TestWithoutPeer: without [peer], orders have no numbers, and an order that undoes another one leaves nothing.
func TestWithoutPeer(t *testing.T) {
	s := started(with(www(false, lvs.WeightZero)))
	s.Step(noon, ServerOrder{Server: first, Action: api.Drain, Local: true})
	if is := s.overrides[first]; is != (Override{Drained: true}) {
		t.Errorf("%+v", is)
	}
	out := s.Step(noon, ServerOrder{Server: first, Action: api.Undrain}, PeerHeard{Message: message.Message{View: &message.View{
		Orders: []message.Order{{Server: second, Drained: true, Number: 1}}}}}, channelTo("lb2", ""))
	if len(s.overrides) != 0 || out.Peer != nil || s.Snapshot(noon).Peer != nil {
		t.Errorf("%+v", s.overrides)
	}
}

// TestOldOrders: orders from before the channel are shown, and not taken over: nobody knows which is the later one.
func TestOldOrders(t *testing.T) {
	p := newPair(t)
	p.stored[0] = map[string]Override{first: {Drained: true}}
	p.start(0)
	p.connect()
	p.want("drained by command", "as configured")
	if is := p.states[1].Snapshot(p.now).Peer.Orders; len(is) != 1 || !strings.Contains(is[0].Why, "order it again") {
		t.Errorf("%+v", is)
	}
	p.order(0, ServerOrder{Action: api.Drain})
	p.want("drained by command", "drained by command")
}

// TestLyingPeer: whatever the other director tells, nothing reaches the election, and the next order still counts.
func TestLyingPeer(t *testing.T) {
	p := newPair(t)
	s := p.states[0]
	lies := []*message.View{
		{Orders: []message.Order{
			{Server: first, Drained: true, Number: message.MaxNumber, By: "zz"}, {Server: first, Disabled: true, Number: message.MaxNumber, By: "zy"},
		}},
		{Orders: []message.Order{{Server: "nobody/1:1", Drained: true, Number: 5}, {Server: "", Number: 5}}, Behind: true, Trouble: "lies"},
		{Routers: []message.Router{{Name: "web", State: "master", Priority: 255}, {}}},
		{Servers: []message.Server{{Name: first, Health: "unhealthy"}}},
		{},
	}
	before := s.orderSeq
	for _, v := range lies {
		out := s.Step(p.now, PeerHeard{Message: message.Message{Kind: message.KindView, View: v}})
		if out.Election != nil || s.orderSeq != before {
			t.Errorf("%+v: the election is told %+v", v, out.Election)
		}
	}
	p.order(0, ServerOrder{Action: api.Undrain})
	if is := s.overrides[first]; !is.same(Override{}) || is.Number > message.MaxNumber {
		t.Errorf("%+v", is)
	}
}
