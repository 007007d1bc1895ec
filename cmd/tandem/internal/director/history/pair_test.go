// SPDX-License-Identifier: Apache-2.0

package history

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
)

// takeover is the other director of past, whose clock is an hour ahead.
func takeover() Past {
	ahead := noon.Add(time.Hour)
	return Past{Now: ahead.Add(time.Hour), Events: []api.Event{
		{Time: ahead, On: api.OnRouter, Kind: api.EventTransition, Name: "web", What: "became backup", Cause: "startup", New: "backup"},
		{Time: ahead.Add(2 * time.Second), On: api.OnRouter, Kind: api.EventTransition, Name: "web", What: "became master", Cause: "lower priority 90 heard", New: "master"},
	}, Status: &api.Status{
		Name: "lb2",
		VRRP: []api.Router{{Name: "web", State: "master", Priority: 100, EffectivePriority: 100}, {Name: "mail", State: "backup", Priority: 100, EffectivePriority: 100, Reason: "startup", Since: ahead}},
		Services: []api.Service{{Name: "www", Up: 3, Servers: []api.Server{
			{Address: netip.MustParseAddr("192.0.2.12"), Port: 80, Weight: 1, Health: "unhealthy", Reason: "no answer", Since: ahead.Add(5 * time.Second)},
			{Address: netip.MustParseAddr("192.0.2.15"), Port: 80, Weight: 1, Health: "healthy", Unanswered: &api.Unanswered{Since: ahead, Connections: 5}},
		}}},
	}}
}

// TestWhyPair: a virtual router has one line with both sides, and the times are by one clock.
func TestWhyPair(t *testing.T) {
	const (
		web = "web: lb2 became master at 12:00:02: lower priority 90 heard. lb1 became backup at 12:00:02: higher priority 100 heard from 192.0.2.3; " +
			"lb1 had priority 90 instead of 150, because script x failed twice: exit code 1. Its priority is 90 instead of 150 since 12:00:01: script x failed twice: exit code 1."
		db      = "db: lb1 is backup since 2026-11-21 12:00:00: startup. Its priority is 1 instead of 150. It is in standby since 12:00:06, until tandem release."
		mail    = "mail: lb2 is backup since 12:00:00: startup."
		failed  = "www/192.0.2.12:80 on lb1: it has weight 0 instead of 1: its checks failed at 12:00:04: status 503."
		there   = "www/192.0.2.12:80 on lb2: it has weight 0 instead of 1: its checks failed at 12:00:05: no answer."
		silent  = "www/192.0.2.15:80 on lb2: it has weight 0 instead of 1: it does not answer clients since 12:00:00: 5 connections without an answer."
		drained = "www/192.0.2.11:80 on lb1: it has weight 0 instead of 1: drained by alice at 12:00:03."
		heavy   = "www/192.0.2.13:80 on lb1: it has weight 5 instead of 1: an operator set weight 5 at 12:00:05."
	)
	for name, want := range map[string][]string{
		"": {web, db, drained, failed, there, heavy, mail, silent}, "web": {web}, "db": {db}, "mail": {mail},
		"www/192.0.2.12:80": {failed, there}, "192.0.2.15": {silent},
	} {
		got, err := WhyPair(past(), takeover().Shift(time.Hour), name)
		if err != nil || strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("%q: %v, got\n%s\nwant\n%s", name, err, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	_, err := WhyPair(past(), takeover(), "wbe")
	if err == nil || err.Error() != `there is no virtual router, service or server "wbe": this director has web, db, www; lb2 has web, mail, www` {
		t.Error(err)
	}
	if p := takeover(); !p.Status.Services[0].Servers[1].Unanswered.Since.Equal(noon.Add(time.Hour)) {
		t.Error("Shift changes what it is given")
	}
}

// TestWhyPairTellsTheEnd: a former master that was stopped or killed says so; one that gave its place away and was killed days later
// does not.
func TestWhyPairTellsTheEnd(t *testing.T) {
	director := func(at time.Duration, what, cause string) api.Event {
		return api.Event{Time: noon.Add(at), On: api.OnDirector, Kind: api.EventDirector, What: what, Cause: cause}
	}
	left := api.Event{Time: noon, On: api.OnRouter, Kind: api.EventTransition, Name: "web", What: "became backup", Cause: "it gave it away", Old: "master", New: "backup"}
	for _, tt := range []struct {
		name   string
		events []api.Event
		want   string // the end of the line
	}{
		{"stopped", []api.Event{left, director(0, Stopped, "the director was stopped")}, " lb1 stopped at 12:00:00: the director was stopped."},
		{"killed", []api.Event{director(5*time.Minute, Followed, "it was killed")}, " lb1 follows a director that did not stop at 12:05:00: it was killed."},
		{"killed days later", []api.Event{left, director(99*time.Hour, Followed, "it was killed")}, "lb1 became backup at 12:00:00: it gave it away."},
		{"stopped days later", []api.Event{left, director(99*time.Hour, Stopped, "x")}, "lb1 became backup at 12:00:00: it gave it away."},
	} {
		here := Past{Now: noon.Add(100 * time.Hour), Events: tt.events, Status: &api.Status{Name: "lb1", VRRP: []api.Router{{Name: "web", State: "backup", Reason: "x"}}}}
		here.Now = noon.Add(time.Hour)
		got, err := WhyPair(here, takeover().Shift(time.Hour), "web")
		if err != nil || len(got) != 1 || !strings.HasSuffix(got[0], tt.want) || !strings.HasPrefix(got[0], "web: lb2 became master at 12:00:02: lower priority 90 heard. lb1 ") {
			t.Errorf("%s: %v, %q", tt.name, err, got)
		}
	}
}
