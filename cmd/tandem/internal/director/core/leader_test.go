// SPDX-License-Identifier: Apache-2.0

package core

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
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
