// SPDX-License-Identifier: Apache-2.0

package core

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
)

// TestDrillOfAServer: a drill disables a server on both directors, and enables it again, but never one that somebody else has disabled
// meanwhile on either of them.
func TestDrillOfAServer(t *testing.T) {
	const drained, disabled, none = "drained by command", "disabled by command", "as configured"
	type order struct {
		at int // the director
		ServerOrder
	}
	for _, c := range []struct {
		what        string
		meanwhile   []order
		restart     bool
		idle        bool // the drill finds nothing to undo
		here, there string
	}{
		{what: "nobody does anything", here: none, there: none},
		{what: "the director restarts", restart: true, idle: true, here: none, there: none},
		{what: "the director restarts, and somebody drains it", restart: true, meanwhile: []order{{0, ServerOrder{Action: api.Drain}}}, idle: true, here: drained, there: drained},
		{what: "somebody disables it here", meanwhile: []order{{0, ServerOrder{Action: api.Disable}}}, idle: true, here: disabled, there: disabled},
		{what: "somebody disables it there", meanwhile: []order{{1, ServerOrder{Action: api.Disable}}}, idle: true, here: disabled, there: disabled},
		{what: "somebody disables it here alone", meanwhile: []order{{0, ServerOrder{Action: api.Disable, Local: true}}}, idle: true, here: disabled, there: disabled},
		{what: "somebody disables it there alone", meanwhile: []order{{1, ServerOrder{Action: api.Disable, Local: true}}}, idle: true, here: none, there: disabled},
		{what: "somebody enables it", meanwhile: []order{{0, ServerOrder{Action: api.Enable}}}, idle: true, here: none, there: none},
		{
			what:      "somebody enables it, and disables it",
			meanwhile: []order{{1, ServerOrder{Action: api.Enable}}, {0, ServerOrder{Action: api.Disable}}}, idle: true, here: disabled, there: disabled,
		},
		{what: "somebody drains it", meanwhile: []order{{0, ServerOrder{Action: api.Drain}}}, here: drained, there: drained},
		{what: "somebody gives it a weight", meanwhile: []order{{0, ServerOrder{Action: api.SetWeight, Weight: 3}}}, here: "weight 3 by command instead of 3", there: "weight 3 by command instead of 3"},
	} {
		t.Run(c.what, func(t *testing.T) {
			p := newPair(t)
			if r := p.order(0, ServerOrder{Action: api.Disable, Drill: true}); !inForce(r) {
				t.Fatalf("%+v", r)
			}
			p.want(disabled, disabled)
			for _, o := range c.meanwhile {
				p.order(o.at, o.ServerOrder)
			}
			if c.restart {
				p.restart(0)
				p.want(c.here, c.there)
			}
			r := p.order(0, ServerOrder{Action: api.Enable, Drill: true})
			if r == nil || r.Err != nil || r.Server != first || inForce(r) == c.idle {
				t.Errorf("%+v", r)
			}
			p.want(c.here, c.there)
			// The switch and the drill can both undo it.
			if r := p.order(0, ServerOrder{Action: api.Enable, Drill: true}); r == nil || r.Err != nil || r.Peer != nil {
				t.Errorf("again: %+v", r)
			}
			p.want(c.here, c.there)
		})
	}
}

// TestDrillLeavesServersAlone: a drill takes out no server that operators have taken out, and says so in the history.
func TestDrillLeavesServersAlone(t *testing.T) {
	for _, action := range []api.Action{api.Drain, api.Disable} {
		p := newPair(t)
		p.order(1, ServerOrder{Action: action})
		before := p.states[0].overrides[first]
		r := p.order(0, ServerOrder{Action: api.Disable, Drill: true})
		if want := first + " is " + before.Note(3) + " already"; r == nil || r.Err == nil || r.Err.Error() != want || p.states[0].overrides[first] != before {
			t.Errorf("%+v, want %s", r, want)
		}
	}
	p := newPair(t)
	if r := p.order(0, ServerOrder{Action: api.Drain, Drill: true}); r == nil || r.Err == nil || !strings.Contains(r.Err.Error(), `does not order "drain"`) {
		t.Errorf("%+v", r)
	}
	p.order(0, ServerOrder{Action: api.Disable, Drill: true})
	p.order(0, ServerOrder{Action: api.Enable, Drill: true})
	for _, want := range []string{first + " was disabled for a drill: ", first + " is enabled again for a drill: "} {
		if all := strings.Join(p.history[0], "\n"); !strings.Contains(all, want) {
			t.Errorf("%s\nhas no %s", all, want)
		}
	}
}

// restart starts a director with what is in its file.
func (p *pair) restart(i int) {
	p.t.Helper()
	text, err := json.Marshal(p.stored[i])
	p.stored[i] = nil
	if err == nil {
		err = json.Unmarshal(text, &p.stored[i])
	}
	if err != nil {
		p.t.Fatal(err)
	}
	p.start(i)
	p.connect()
}

// TestDrillAndTheChannel: an order that somebody gives on the other director while the channel is lost counts more than the end of a
// drill, also if the director is started again to end it. Without such an order, the server comes back on both.
func TestDrillAndTheChannel(t *testing.T) {
	const disabled, none = "disabled by command", "as configured"
	for _, c := range []struct {
		disables, restarts bool
		want               string
	}{{true, false, disabled}, {true, true, disabled}, {false, false, none}, {false, true, none}} {
		p := newPair(t)
		p.order(0, ServerOrder{Action: api.Disable, Drill: true})
		p.disconnect()
		p.now = p.now.Add(2 * time.Millisecond)
		if c.disables {
			p.order(1, ServerOrder{Action: api.Disable})
		}
		p.now = p.now.Add(time.Second)
		if c.restarts {
			p.restart(0)
			if all := strings.Join(p.history[0], "\n"); !strings.Contains(all, first+" is enabled again for a drill: the drill that has disabled it did not enable it") {
				t.Error(all)
			}
		} else {
			if r := p.order(0, ServerOrder{Action: api.Enable, Drill: true}); r == nil || r.Err != nil || r.Peer == nil || r.Peer.Problem == "" {
				t.Errorf("%+v", r)
			}
			p.connect()
		}
		p.want(c.want, c.want)
	}
}
