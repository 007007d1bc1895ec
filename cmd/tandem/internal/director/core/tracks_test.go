// SPDX-License-Identifier: Apache-2.0

package core

import (
	"reflect"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/lvs"
	"github.com/tandem-lvs/tandem/vrrp"
)

func scriptTrack(router string, weight int) configs.Track {
	check := healthcheck.DefaultConfig(healthcheck.Exec)
	check.Command = []string{"/bin/uplink"}
	return configs.Track{Router: router, Kind: configs.TrackScript, Name: "script /bin/uplink", Check: &check, Weight: weight}
}

func fileTrack(router, file string, weight int) configs.Track {
	return configs.Track{Router: router, Kind: configs.TrackFile, Name: "file " + file, File: file, Weight: weight}
}

func serviceTrack(router string, weight int) configs.Track {
	return configs.Track{Router: router, Kind: configs.TrackService, Name: "service www", Service: "www", Weight: weight}
}

// A situation is a set of results of tracks, in the words of a test table.
type situation struct {
	script  string // "" unknown, "ok", or why it fails
	file    int
	servers string // of www, + healthy, - unhealthy, ? unknown
	minUp   int
}

func (at situation) state(tracks ...configs.Track) *State {
	svc := www(true, lvs.WeightZero)
	one := svc.Servers[0]
	svc.Servers, svc.MinUp = nil, at.minUp
	var events []Event
	for i, letter := range at.servers {
		srv := one
		srv.Port = uint16(8000 + i)
		svc.Servers = append(svc.Servers, srv)
		events = append(events, is(ServerID(svc, srv), map[rune]healthcheck.Health{'+': up, '-': down, '?': healthcheck.Unknown}[letter]))
	}
	for _, id := range []string{"script /bin/uplink", "script /bin/uplink #2"} {
		switch at.script {
		case "":
		case "ok":
			events = append(events, Verdict{ID: id, Status: healthcheck.TargetStatus{Health: up, Reason: "exit code 0"}})
		default:
			events = append(events, Verdict{ID: id, Status: healthcheck.TargetStatus{Health: down, Reason: at.script}})
		}
	}
	cfg := with(svc)
	cfg.Tracks = tracks
	for _, t := range tracks {
		cfg.Routers = append(cfg.Routers, configs.Router{Config: vrrp.Config{Name: t.Router}})
	}
	s := started(cfg)
	// The time for the first results is over. The unhealthy servers have become so just now.
	s.Step(noon.Add(time.Hour), append(events, Numbers{"/run/load": {Value: at.file}})...)
	return s
}

func TestWhatATrackMakesOfItsRouter(t *testing.T) {
	const router = "web"
	script := func(weight int) configs.Track { return scriptTrack(router, weight) }
	file := func(weight int) configs.Track { return fileTrack(router, "/run/load", weight) }
	service := func(weight int) configs.Track { return serviceTrack(router, weight) }
	none, open := vrrp.Tracking{}, vrrp.Tracking{Unclear: true}
	add := func(delta int) vrrp.Tracking { return vrrp.Tracking{Delta: delta} }
	fault := func(why string) vrrp.Tracking { return vrrp.Tracking{Fault: why} }
	for _, c := range []struct {
		why   string
		track configs.Track
		at    situation
		want  vrrp.Tracking
		ok    bool
	}{
		{"a script not yet run says nothing", script(0), situation{}, open, true},
		{"nor with a weight", script(-50), situation{}, open, true},
		{"with one for success a master keeps it", script(50), situation{}, vrrp.Tracking{Unclear: true, Delta: 50}, true},
		{"a script works", script(0), situation{script: "ok"}, none, true},
		{"a script fails", script(0), situation{script: "exit code 1"}, vrrp.Tracking{Fault: "script /bin/uplink: exit code 1", LastResort: true}, false},
		{"a failing script lowers the priority", script(-50), situation{script: "exit code 1"}, add(-50), false},
		{"and leaves it while it works", script(-50), situation{script: "ok"}, none, true},
		{"a working script raises the priority", script(50), situation{script: "ok"}, add(50), true},
		{"and leaves it while it fails", script(50), situation{script: "exit code 1"}, none, false},

		{"a file of 0", file(0), situation{}, none, true},
		{"a file of 1", file(0), situation{file: 1}, fault("file /run/load: 1"), false},
		{"a file of -1", file(0), situation{file: -1}, fault("file /run/load: -1"), false},
		{"a file of 0 with a weight", file(-10), situation{}, none, true},
		{"a file's number times a weight", file(-10), situation{file: 3}, add(-30), false},
		{"a file that raises the priority", file(10), situation{file: 3}, add(30), true},
		{"a file that says the opposite", file(10), situation{file: -3}, add(-30), false},

		{"all servers work", service(0), situation{servers: "+++", minUp: 2}, none, true},
		{"just enough servers work", service(0), situation{servers: "++-", minUp: 2}, none, true},
		{"too few servers work", service(0), situation{servers: "+--", minUp: 2},
			fault("service www: 1 of 3 servers healthy, 2 needed"), false},
		{"none works", service(0), situation{servers: "---", minUp: 1},
			vrrp.Tracking{Unclear: true, Fault: "service www: 0 of 3 servers healthy, 1 needed"}, false},
		{"nothing is known at the start", service(0), situation{servers: "???", minUp: 2}, open, true},
		{"enough work, whatever the others do", service(50), situation{servers: "++?", minUp: 2}, add(50), true},
		{"the unknown one decides", service(0), situation{servers: "+-?", minUp: 2}, open, true},
		{"and so it takes nothing away", service(50), situation{servers: "+-?", minUp: 2}, vrrp.Tracking{Unclear: true, Delta: 50}, true},
		{"the unknown one cannot help any more", service(0), situation{servers: "--?", minUp: 2},
			fault("service www: 0 of 3 servers healthy, 2 needed"), false},
		{"too few servers lower the priority", service(-20), situation{servers: "+--", minUp: 2}, add(-20), false},
		{"enough servers raise the priority", service(20), situation{servers: "+++", minUp: 2}, add(20), true},
		{"too few do not", service(20), situation{servers: "+--", minUp: 2}, none, false},
	} {
		s := c.at.state(c.track)
		if got := s.tracking[router]; got != c.want {
			t.Errorf("%s: %+v, want %+v", c.why, got, c.want)
		}
		if got := s.Snapshot(noon).Tracks[0]; got.OK != c.ok || got.Name != c.track.Name || got.Reason == "" {
			t.Errorf("%s: status %+v, want ok %t", c.why, got, c.ok)
		}
	}
}

func TestUncheckedServersCountAsHealthy(t *testing.T) {
	svc := www(false, lvs.WeightZero)
	svc.MinUp = 2
	cfg := with(svc)
	cfg.Tracks = []configs.Track{serviceTrack("web", 0)}
	cfg.Routers = []configs.Router{{Config: vrrp.Config{Name: "web"}}}
	if got := started(cfg).tracks[0].state; got.trackStatus != fine {
		t.Errorf("%+v", got)
	}
}

func TestTracksAddUp(t *testing.T) {
	s := situation{script: "exit code 1", file: 2, servers: "--", minUp: 1}.state(
		scriptTrack("web", -50), fileTrack("web", "/run/load", 5), serviceTrack("web", 30),
		scriptTrack("mail", 0), serviceTrack("mail", 0), fileTrack("mail", "/run/load", -1),
	)
	want := map[string]vrrp.Tracking{
		"web":  {Delta: -40, Unclear: true}, // no server is healthy
		"mail": {Delta: -2, Unclear: true, Fault: "script /bin/uplink: exit code 1; service www: 0 of 2 servers healthy, 1 needed"},
	}
	if got := s.tracking; !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	rows := s.Snapshot(noon).Tracks[3:]
	if want := []Track{
		{Router: "mail", Name: "script /bin/uplink", Reason: "exit code 1"},
		{Router: "mail", Name: "service www", Reason: "0 of 2 servers healthy, 1 needed"},
		{Router: "mail", Name: "file /run/load", Reason: "2"},
	}; !reflect.DeepEqual(rows, want) {
		t.Errorf("status %+v, want %+v", rows, want)
	}
}

// If the IPv4 and IPv6 halves of a virtual router track the same script, it runs once.
func TestAScriptRunsOnceForAllThatTrackIt(t *testing.T) {
	hasty := scriptTrack("mail", 0)
	hasty.Check.Interval /= 2
	tracks := []configs.Track{scriptTrack("web", 0), serviceTrack("web", 0), scriptTrack("web-ipv6", -5), hasty, scriptTrack("db", 0)}
	targets, ids := trackTargets(tracks)
	want := []string{"script /bin/uplink", "", "script /bin/uplink", "script /bin/uplink #2", "script /bin/uplink"}
	if !reflect.DeepEqual(ids, want) {
		t.Errorf("IDs %q, want %q", ids, want)
	}
	if len(targets) != 2 || targets[0].ID != ids[0] || targets[1].ID != ids[3] || targets[1].Config.Interval != time.Second {
		t.Errorf("targets %+v", targets)
	}
}

// The members of a sync group share their weights. If several members have the same track with the same weight, it counts
// once. The same track with another weight counts too.
func TestAGroupCountsEachTrackOnce(t *testing.T) {
	cfg := with(www(false, lvs.WeightZero))
	for _, name := range []string{"front", "front-ipv6", "back"} {
		cfg.Routers = append(cfg.Routers, configs.Router{Config: vrrp.Config{Name: name, SyncGroup: "web"}})
		cfg.Tracks = append(cfg.Tracks, fileTrack(name, "/run/load", -60))
	}
	cfg.Routers = append(cfg.Routers, configs.Router{Config: vrrp.Config{Name: "alone"}})
	cfg.Tracks = append(cfg.Tracks, fileTrack("alone", "/run/load", -60), fileTrack("back", "/run/load", -5))
	s := started(cfg)
	s.Step(noon, Numbers{"/run/load": {Value: 1}})
	want := map[string]vrrp.Tracking{"front": {Delta: -60}, "front-ipv6": {}, "back": {Delta: -5}, "alone": {Delta: -60}}
	if !reflect.DeepEqual(s.tracking, want) {
		t.Errorf("got %+v, want %+v", s.tracking, want)
	}
}

// A director is master as the last resort only if its fault comes from scripts alone.
func TestLastResort(t *testing.T) {
	script, file, other := scriptTrack("web", 0), fileTrack("web", "/run/load", 0), scriptTrack("web", 0)
	other.Name, other.Check = "script /bin/other", &healthcheck.Config{Type: healthcheck.Exec, Command: []string{"/bin/other"}, Interval: time.Second}
	for _, tt := range []struct {
		name   string
		tracks []configs.Track
		load   int
		want   bool
	}{
		{"a script", []configs.Track{script}, 0, true},
		{"two scripts", []configs.Track{script, other}, 0, true},
		{"a file", []configs.Track{file}, 1, false},
		{"a script, then a file", []configs.Track{script, file}, 1, false},
		{"a file, then a script", []configs.Track{file, script}, 1, false},
		{"a script, and a file that is well", []configs.Track{file, script}, 0, true},
	} {
		cfg := with()
		cfg.Routers, cfg.Tracks = []configs.Router{{Config: vrrp.Config{Name: "web"}}}, tt.tracks
		s := started(cfg)
		events := []Event{Numbers{"/run/load": {Value: tt.load}}}
		for _, target := range s.probes {
			events = append(events, is(target.ID, down))
		}
		s.Step(noon, events...)
		if got := s.tracking["web"]; got.Fault == "" || got.LastResort != tt.want {
			t.Errorf("%s: %+v, want last resort %t", tt.name, got, tt.want)
		}
	}
}
