// SPDX-License-Identifier: Apache-2.0

package core

import (
	"fmt"
	"net/netip"
	"reflect"
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

// TestSlowPeer: the answer waits for the other director's kernel, and for no longer than it may.
func TestSlowPeer(t *testing.T) {
	p := newPair(t)
	p.slow[1] = true
	if r := p.order(0, ServerOrder{Action: api.Drain}); r != nil {
		t.Errorf("before the kernel there has it: %+v", r)
	}
	p.want("drained by command", "drained by command")
	p.slow[1] = false
	p.step(1, TableDone{Generation: p.states[1].generation})
	p.deliver()
	if r := p.replies[1]; !inForce(&r) {
		t.Errorf("%+v", r)
	}
	p.slow[1] = true
	p.order(0, ServerOrder{Action: api.Disable})
	p.wait(peerAnswer - 1)
	if r, early := p.replies[2]; early {
		t.Errorf("%+v", r)
	}
	if next := p.states[0].next(); !next.Equal(p.now.Add(1)) {
		t.Errorf("the next step is at %s", next)
	}
	p.wait(1)
	if r := p.replies[2]; r.Peer == nil || r.Peer.Problem != "it has not confirmed the order within 3s; it is sent again" {
		t.Errorf("%+v", r)
	}
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

// TestViewsArePaced: verdicts do not make the director tell its view more often than it should.
func TestViewsArePaced(t *testing.T) {
	p := newPair(t)
	s := p.states[0]
	p.now = p.now.Add(time.Minute)
	s.Step(p.now, Tick{})
	sent := 0
	for range 1000 {
		p.now = p.now.Add(10 * time.Millisecond)
		if s.Step(p.now, Connections{}, SettingsState{}).Peer != nil {
			sent++
		}
	}
	if sent < 9 || sent > 11 {
		t.Errorf("%d views in 10 s", sent)
	}
	p.now = p.now.Add(2 * time.Second)
	s.Step(p.now, Tick{})
	if out := s.Step(p.now.Add(time.Minute), Tick{}); out.Peer != nil || !reflect.DeepEqual(out.Next, time.Time{}) {
		t.Errorf("nothing happens, and there is a view, or a next step at %s", out.Next)
	}
}

// TestLostChannel: a channel that is lost for longer than a restart takes is a warning of the history, and its end too. A reload
// that removes [peer] ends it, and the orders stay.
func TestLostChannel(t *testing.T) {
	p := newPair(t)
	p.order(0, ServerOrder{Action: api.Drain})
	p.disconnect()
	if is := p.states[0].Snapshot(p.now).Peer; is.Lost != "it fell silent" || !is.LostAt.Equal(p.now) || is.LongLost(p.now) {
		t.Errorf("%+v", is)
	}
	p.wait(2 * time.Second) // the view is told meanwhile
	if next := p.states[0].next(); !next.Equal(noon.Add(peerGrace)) {
		t.Errorf("the next step is at %s", next)
	}
	p.wait(peerGrace)
	if !p.states[0].Snapshot(p.now).Peer.LongLost(p.now) {
		t.Error("it does not last")
	}
	p.connect()
	const lost, found = "lb1 has no channel to lb2: it fell silent", "lb1 no longer: has no channel to lb2: "
	if all := strings.Join(p.history[0], "\n"); !strings.Contains(all, lost) || !strings.Contains(all, found) {
		t.Error(all)
	}
	alone := directorNamed("lb1")
	alone.Peer = configs.Peer{}
	p.step(0, Reload{Request: 80, Config: alone})
	if p.states[0].Snapshot(p.now).Peer != nil || !p.states[0].overrides[first].Drained {
		t.Errorf("%+v", p.states[0].overrides)
	}
	// Its orders still have numbers, so that an older order of the other director does not come back with the channel.
	p.order(0, ServerOrder{Action: api.Undrain})
	p.step(0, Reload{Request: 81, Config: directorNamed("lb1")})
	p.connect()
	p.want("as configured", "as configured")
}

// TestDriftAndSkewAreRecorded: what must be equal and is not, and clocks that differ, are warnings of the history.
func TestDriftAndSkewAreRecorded(t *testing.T) {
	p := newPair(t)
	p.step(0, PeerDrift{All: []Difference{{Text: "odd"}, {Wrong: true, Text: "virtual router web: lb2 has vrid 52, here 51"}}})
	p.step(0, PeerHeard{Skew: message.Skew{Known: true, Ahead: -3 * time.Second, Error: time.Millisecond}})
	all := strings.Join(p.history[0], "\n")
	for _, want := range []string{
		"lb1 is configured otherwise than lb2: virtual router web: lb2 has vrid 52, here 51",
		"lb1 has another time than lb2: its clock differs by -3s",
	} {
		if !strings.Contains(all, want) {
			t.Errorf("%s\nhas no %s", all, want)
		}
	}
}
