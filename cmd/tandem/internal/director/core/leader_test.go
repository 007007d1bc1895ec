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

// A server follows the orders about the server that it tracks, and its maintenance. It never makes a server follow it.
func TestServerFollowsAnother(t *testing.T) {
	config := func() *configs.Config {
		a, b := www(false, lvs.WeightZero), www(false, lvs.WeightZero)
		a.Servers[0].MaintenanceFile = "/m"
		b.Name, b.Virtuals[0].Port = "tls", 443
		for i := range b.Servers {
			b.Servers[i].Track, b.Servers[i].Port = fmt.Sprintf("www/192.0.2.%d:80", 11+i), 443
		}
		return with(a, b)
	}
	both := func(s *State) string {
		return strings.Join([]string{weightsOf(s.Wanted()[:1]), weightsOf(s.Wanted()[1:])}, ", ")
	}
	order := func(server, action string) Event { return ServerOrder{Server: server, Action: api.Action(action)} }
	s := started(config())
	for _, c := range []struct {
		what string
		ev   Event
		want string
	}{
		{"at first", Tick{}, "11=3 12=5, 11=3 12=5"},
		{"drained", order("www/192.0.2.11", "drain"), "11=0 12=5, 11=0 12=5"},
		{"disabled", order("www/192.0.2.12", "disable"), "11=0, 11=0"},
		{"a reload", Reload{Config: config()}, "11=0, 11=0"},
		{"enabled", order("www/192.0.2.12", "enable"), "11=0 12=5, 11=0 12=5"},
		{"undrained", order("www/192.0.2.11", "undrain"), "11=3 12=5, 11=3 12=5"},
		{"maintenance", Maintenance{"/m": true}, "11=0 12=5, 11=0 12=5"},
		{"its end", Maintenance{"/m": false}, "11=3 12=5, 11=3 12=5"},
		{"the follower drained", order("tls/192.0.2.11", "drain"), "11=3 12=5, 11=0 12=5"},
	} {
		if s.Step(noon, c.ev); both(s) != c.want {
			t.Errorf("%s: %s, want %s", c.what, both(s), c.want)
		}
	}
}

// What an operator ordered on the other director about a server is in force for its followers too.
func TestServerFollowsOrdersOfThePeer(t *testing.T) {
	a, b := www(false, lvs.WeightZero), www(false, lvs.WeightZero)
	b.Name, b.Virtuals[0].Port = "tls", 443
	for i := range b.Servers {
		b.Servers[i].Track, b.Servers[i].Port = fmt.Sprintf("www/192.0.2.%d:80", 11+i), 443
	}
	cfg := with(a, b)
	cfg.Name, cfg.Peer.Address = "lb1", netip.MustParseAddrPort("10.0.0.2:8474")
	s := started(cfg)
	for i, c := range []struct {
		drained bool
		want    string
	}{{true, "11=0 12=5"}, {false, "11=3 12=5"}} {
		order := message.Order{Server: "www/192.0.2.11:80", Drained: c.drained, Number: uint64(1 + i), By: "lb2"}
		s.Step(noon, PeerHeard{Message: message.Message{Kind: message.KindView, View: &message.View{Orders: []message.Order{order}}}})
		if www, tls := weightsOf(s.Wanted()[:1]), weightsOf(s.Wanted()[1:]); www != c.want || tls != c.want {
			t.Errorf("drained %t by the other director: www %s, tls %s, want %s", c.drained, www, tls, c.want)
		}
	}
}

// A server whose leader is no longer kept away starts as slowly as its leader.
func TestFollowersStartSlowly(t *testing.T) {
	a, b := www(false, lvs.WeightZero), www(false, lvs.WeightZero)
	a.Servers[0].MaintenanceFile = "/m"
	b.Name, b.Virtuals[0].Port = "tls", 443
	a.SlowStart, b.SlowStart = time.Minute, time.Minute
	for i := range b.Servers {
		a.Servers[i].Weight, b.Servers[i].Weight = 20, 20
		b.Servers[i].Track, b.Servers[i].Port = fmt.Sprintf("www/192.0.2.%d:80", 11+i), 443
	}
	drain, undrain := ServerOrder{Server: "www/192.0.2.11", Action: api.Drain}, ServerOrder{Server: "www/192.0.2.11", Action: api.Undrain}
	for what, c := range map[string][2]Event{"an order": {drain, undrain}, "maintenance": {Maintenance{"/m": true}, Maintenance{"/m": false}}} {
		s := started(with(a, b))
		s.Step(noon, c[0])
		s.Step(noon.Add(time.Hour), c[1])
		if www, tls := weightsOf(s.Wanted()[:1]), weightsOf(s.Wanted()[1:]); www != "11=1 12=20" || tls != www {
			t.Errorf("after %s: www %s, tls %s, want 11=1 12=20", what, www, tls)
		}
	}
}
