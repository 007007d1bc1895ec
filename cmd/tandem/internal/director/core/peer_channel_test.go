// SPDX-License-Identifier: Apache-2.0

package core

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/peer/message"
	"github.com/tandem-lvs/tandem/configs"
)

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
