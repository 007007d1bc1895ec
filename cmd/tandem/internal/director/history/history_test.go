// SPDX-License-Identifier: Apache-2.0

package history

import (
	"net/netip"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func TestParseSince(t *testing.T) {
	for text, want := range map[string]string{
		"yesterday": "2026-11-21T00:00:00Z", "today": "2026-11-22T00:00:00Z",
		"2h": "2026-11-22T10:00:00Z", "90s": "2026-11-22T11:58:30Z", "3d": "2026-11-19T12:00:00Z",
		"03:12": "2026-11-22T03:12:00Z", "03:12:07": "2026-11-22T03:12:07Z", "13:00": "2026-11-21T13:00:00Z",
		"2026-11-20": "2026-11-20T00:00:00Z", "2026-11-20 03:12": "2026-11-20T03:12:00Z", "2026-11-20T03:12:07+02:00": "2026-11-20T01:12:07Z",
	} {
		if got, err := ParseSince(noon, text); err != nil || got.UTC().Format(time.RFC3339) != want {
			t.Errorf("%s: %s, %v, want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"", "-2h", "2 days", "3dd", "25:00", "2026-13-01", "tomorrow"} {
		if got, err := ParseSince(noon, text); err == nil {
			t.Errorf("%q is %s", text, got)
		}
	}
}

// TestLine: what a script has said does not disturb the terminal.
func TestLine(t *testing.T) {
	ev := api.Event{Time: noon, Kind: api.EventTransition, On: api.OnRouter, Name: "web", What: "became fault", Cause: "script x: \x1b[2J\nroot"}
	if got := Line(ev); got != "2026-11-22 12:00:00.000  transition  router web became fault: script x:  [2J root" {
		t.Errorf("%q", got)
	}
}

// TestLongTexts: a configuration with very many mistakes, which an agent tries again and again, does not fill the history.
func TestLongTexts(t *testing.T) {
	var r Recorder
	r.Add(api.Event{Time: noon, What: "refused", Cause: strings.Repeat("ä", 1<<20)})
	r.Add(api.Event{Time: noon, What: strings.Repeat("x", maxText), Cause: "short"})
	all := r.Take()
	if c := all[0].Cause; len(c) > maxText || len(c) < maxText-5 || !utf8.ValidString(c) || !strings.HasSuffix(c, "ä…") || all[0].What != "refused" {
		t.Errorf("%d bytes: %.40s", len(c), c)
	}
	if len(all[1].What) != maxText || all[1].Cause != "short" {
		t.Errorf("%+v", all[1])
	}
}

// TestStopIsNotLeftOut: a director that stops while there are too many events does not look as if it was killed.
func TestStopIsNotLeftOut(t *testing.T) {
	var r Recorder
	event := func(kind api.EventKind, on, what string) {
		r.Add(api.Event{Time: noon, Kind: kind, On: on, What: what})
	}
	event(api.EventDirector, api.OnDirector, "started")
	for range burst + 2 {
		event(api.EventTransition, api.OnRouter, "became backup")
	}
	event(api.EventDirector, api.OnDirector, "is connected to lb2")
	event(api.EventDirector, api.OnDirector, Stopped)
	all := r.Take()
	if killed := Killed(all); !killed.IsZero() {
		t.Errorf("it was killed at %s", killed)
	}
	if len(all) != burst+2 || all[burst].What != "left out 4 events of virtual routers and of the director" || all[burst+1].What != Stopped {
		t.Errorf("%d events, the last are %+v", len(all), all[len(all)-2:])
	}
}

// TestHooksPushOutNothing: what hooks were told does not push out what happened to the virtual routers.
func TestHooksPushOutNothing(t *testing.T) {
	var r Recorder
	for range burst + 2 {
		r.Add(api.Event{Time: noon, Kind: api.EventHook, On: api.OnRouter, What: "told hook notify the event backup"})
	}
	r.Add(api.Event{Time: noon, Kind: api.EventTransition, On: api.OnRouter, What: "became backup"})
	r.Add(api.Event{Time: noon.Add(time.Minute), Kind: api.EventHook, On: api.OnRouter, What: "told hook notify the event master"})
	all := r.Take()
	if len(all) != burst+3 || all[burst].What != "became backup" || all[burst+1].What != "left out 2 events of hooks" {
		t.Errorf("%d events, the last are %+v", len(all), all[len(all)-3:])
	}
}

func TestEncodeAndDecode(t *testing.T) {
	in := []api.Event{{Time: noon, Director: "lb1", Kind: api.EventOrder, On: api.OnServer, Name: "www/x", What: "was drained", Cause: "c", Old: "o", New: "n"}}
	lines := strings.Split(string(Encode(in)), "\n")
	out, damaged := Decode([][]byte{[]byte(lines[0]), []byte(`{"time":"20`), []byte(`{}`)})
	if len(out) != 1 || out[0] != in[0] || damaged != 2 {
		t.Errorf("%+v, %d damaged", out, damaged)
	}
}

func TestKilled(t *testing.T) {
	at := func(s int, kind api.EventKind, what string) api.Event {
		return api.Event{Time: noon.Add(time.Duration(s) * time.Second), On: api.OnDirector, Kind: kind, What: what}
	}
	started, stopped, order := at(0, api.EventDirector, "started"), at(1, api.EventDirector, Stopped), at(2, api.EventOrder, "x")
	for _, c := range []struct {
		events []api.Event
		want   time.Time
	}{
		{nil, time.Time{}},
		{[]api.Event{started, stopped}, time.Time{}},
		{[]api.Event{started, stopped, order}, time.Time{}},
		{[]api.Event{stopped, started, order}, order.Time},
		{[]api.Event{order}, time.Time{}},
	} {
		if got := Killed(c.events); got != c.want {
			t.Errorf("%v: got %s", c.events, got)
		}
	}
}

// past is a director that has given its place to its peer, and whose servers are not all well.
func past() Past {
	events := []api.Event{
		{On: api.OnRouter, Kind: api.EventTransition, Name: "web", What: "became master", Cause: "startup", Old: "backup", New: "master"},
		{On: api.OnRouter, Kind: api.EventPriority, Name: "web", What: "has priority 90 instead of 150", Cause: "script x failed twice: exit code 1", Old: "150", New: "90"},
		{
			On: api.OnRouter, Kind: api.EventTransition, Name: "web", What: "became backup", Old: "master", New: "backup",
			Cause: "higher priority 100 heard from 192.0.2.3; lb1 had priority 90 instead of 150, because script x failed twice: exit code 1",
		},
		{On: api.OnServer, Kind: api.EventOrder, Name: "www/192.0.2.11:80", What: Orders[api.Drain], Cause: "alice ordered it", By: "alice"},
		{On: api.OnServer, Kind: api.EventVerdict, Name: "www/192.0.2.12:80", What: "is down", Cause: "status 503", Old: "up", New: "down"},
		{On: api.OnServer, Kind: api.EventOrder, Name: "www/192.0.2.13:80", What: Orders[api.SetWeight] + " 5", Cause: "an operator ordered it"},
		{On: api.OnRouter, Kind: api.EventOrder, Name: "db", What: "must hand over", Cause: "an operator ordered it"},
	}
	for i := range events {
		events[i].Time = noon.Add(time.Duration(i) * time.Second)
	}
	five := 5
	addr := netip.MustParseAddr
	return Past{Now: noon.Add(time.Hour), Events: events, Status: &api.Status{
		Name: "lb1",
		VRRP: []api.Router{
			{Name: "web", State: "backup", Reason: "higher priority 100 heard from 192.0.2.3", Priority: 150, EffectivePriority: 90, Since: noon},
			{Name: "db", State: "backup", Reason: "startup", Priority: 150, EffectivePriority: 1, Since: noon.AddDate(0, 0, -1), Standby: true},
		},
		Services: []api.Service{{Name: "www", Up: 2, Servers: []api.Server{
			{Address: addr("192.0.2.11"), Port: 80, Weight: 1, Health: "healthy", Reason: "status 200", Drained: true},
			{Address: addr("192.0.2.12"), Port: 80, Weight: 1, Health: "unhealthy", Reason: "timeout"},
			{Address: addr("192.0.2.13"), Port: 80, Weight: 1, EffectiveWeight: 5, Health: "healthy", Override: &five},
			{Address: addr("192.0.2.14"), Port: 80, Weight: 1, EffectiveWeight: 1, Health: "healthy", Reason: "status 200"},
		}}},
	}}
}

func TestWhy(t *testing.T) {
	const (
		web = "web: lb1 became backup at 12:00:02: higher priority 100 heard from 192.0.2.3; lb1 had priority 90 instead of 150, " +
			"because script x failed twice: exit code 1. Its priority is 90 instead of 150 since 12:00:01: script x failed twice: exit code 1."
		db      = "db: lb1 is backup since 2026-11-21 12:00:00: startup. Its priority is 1 instead of 150. It is in standby since 12:00:06, until tandem release."
		www     = "www: it has its quorum, with 2 of 4 servers up."
		drained = "www/192.0.2.11:80: it has weight 0 instead of 1: drained by alice at 12:00:03."
		failed  = "www/192.0.2.12:80: it has weight 0 instead of 1: its checks failed at 12:00:04: status 503."
		heavy   = "www/192.0.2.13:80: it has weight 5 instead of 1: an operator set weight 5 at 12:00:05."
		well    = "www/192.0.2.14:80: it has weight 1. It is healthy: status 200."
	)
	for name, want := range map[string][]string{
		"":    {web, db, drained, failed, heavy},
		"web": {web}, "db": {db}, "www": {www, drained, failed, heavy},
		"www/192.0.2.11:80": {drained}, "www/192.0.2.12": {failed}, "192.0.2.14:80": {well}, "192.0.2.13": {heavy},
	} {
		got, err := past().Why(name)
		if err != nil || strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("%q: %v, got\n%s\nwant\n%s", name, err, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	if _, err := past().Why("wbe"); err == nil || err.Error() != `there is no virtual router, service or server "wbe": this director has web, db, www` {
		t.Errorf("error %v", err)
	}
	other := past()
	other.Status.VRRP[0].EffectivePriority = 1 // which the history does not know
	if got, err := other.Why("web"); err != nil || !strings.HasSuffix(got[0], " Its priority is 1 instead of 150.") {
		t.Errorf("another priority: %q, %v", got, err)
	}
	stopped := past()
	stopped.Status = nil
	got, err := stopped.Why("web")
	if err != nil || len(got) != 2 || !strings.Contains(got[1], "router web became backup: higher priority") {
		t.Errorf("stopped: %q, %v", got, err)
	}
	if _, err := stopped.Why("nobody"); err == nil {
		t.Error("nobody has a history")
	}
}

// The latest order counts, on whichever director it was given.
func TestWhyOfOrdersOfTheOtherDirector(t *testing.T) {
	p := past()
	const there = "an operator ordered it on lb2"
	seven := 7
	p.Status.Services[0].Servers[0].Disabled, p.Status.Services[0].Servers[0].Override = true, &seven
	for i, what := range []string{"is as configured", "is drained by command", "is disabled by command; drained by command; weight 7 by command instead of 1"} {
		p.Events = append(p.Events, api.Event{
			On: api.OnServer, Kind: api.EventOrder, Name: "www/192.0.2.11:80", What: what, Cause: there, Time: noon.Add(time.Duration(10+i) * time.Minute),
		})
	}
	const want = "www/192.0.2.11:80: it has weight 0 instead of 1: drained by an operator on lb2 at 12:12:00; " +
		"disabled by an operator on lb2 at 12:12:00; an operator on lb2 set weight 7 at 12:12:00."
	if got, err := p.Why("192.0.2.11"); err != nil || len(got) != 1 || got[0] != want {
		t.Errorf("%v, got %q\nwant %q", err, got, want)
	}
}

// A server that follows another one is not as configured while that one gets no clients.
func TestWhyOfAFollower(t *testing.T) {
	const note = "gets no new clients, because www/192.0.2.11:80, which it tracks, gets none"
	p := past()
	p.Status.Services = append(p.Status.Services, api.Service{Name: "tls", Up: 1, Servers: []api.Server{
		{Address: netip.MustParseAddr("192.0.2.11"), Port: 443, Weight: 1, Health: "healthy", Reason: "status 200", Tracks: "www/192.0.2.11:80", Note: note},
		{Address: netip.MustParseAddr("192.0.2.99"), Port: 443, Weight: 1, Health: "unchecked", Sorry: true, Note: "the sorry server"},
	}})
	const want = "tls/192.0.2.11:443: it has weight 0 instead of 1: " + note + "."
	if got, err := p.Why(""); err != nil || got[len(got)-1] != want {
		t.Errorf("%v, the last of %q, want %q", err, got, want)
	}
	if got, err := p.Why("tls"); err != nil || len(got) != 2 || got[0] != "tls: it has its quorum, with 1 of 1 servers up." {
		t.Errorf("%v, %q", err, got)
	}
}
