// SPDX-License-Identifier: Apache-2.0

package director

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control"
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

// A situation is what a track of each kind looks at, in the words of a table.
type situation struct {
	script  string // "" unknown, "ok", or why it fails
	file    int
	servers string // of www, + healthy, - unhealthy, ? unknown
	minUp   int
}

func (s situation) world() world {
	w := world{
		view:  view{health: make(map[string]healthcheck.TargetStatus)},
		files: map[string]fileNumber{"/run/load": {value: s.file}},
	}
	switch s.script {
	case "":
		w.health["script /bin/uplink"] = healthcheck.TargetStatus{Health: healthcheck.Unknown, Reason: "not checked yet"}
	case "ok":
		w.health["script /bin/uplink"] = healthcheck.TargetStatus{Health: healthcheck.Healthy, Reason: "exit code 0"}
	default:
		w.health["script /bin/uplink"] = healthcheck.TargetStatus{Health: healthcheck.Unhealthy, Reason: s.script}
	}
	svc := www(true, lvs.WeightZero)
	first := svc.Servers[0]
	svc.Servers, svc.MinUp = nil, s.minUp
	for i, letter := range s.servers {
		srv := first
		srv.Port = uint16(8000 + i)
		svc.Servers = append(svc.Servers, srv)
		h := map[rune]healthcheck.Health{'+': healthcheck.Healthy, '-': healthcheck.Unhealthy, '?': healthcheck.Unknown}[letter]
		w.health[targetID(svc, srv)] = healthcheck.TargetStatus{Health: h}
	}
	w.services = []configs.Service{svc}
	return w
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
		{"a script fails", script(0), situation{script: "exit code 1"}, fault("script /bin/uplink: exit code 1"), false},
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
		{"none works", service(0), situation{servers: "---", minUp: 1}, fault("service www: 0 of 3 servers healthy, 1 needed"), false},
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
		tracks := []configs.Track{c.track}
		standings := assess(tracks, c.at.world())
		if got := combine(tracks, standings)[router]; got != c.want {
			t.Errorf("%s: %+v, want %+v", c.why, got, c.want)
		}
		if got := trackRows(tracks, standings)[router][0]; got.OK != c.ok || got.Name != c.track.Name || got.Reason == "" {
			t.Errorf("%s: status %+v, want ok %t", c.why, got, c.ok)
		}
	}
}

func TestUncheckedServersCountAsHealthy(t *testing.T) {
	svc := www(false, lvs.WeightZero)
	svc.MinUp = 2
	got := assess([]configs.Track{serviceTrack("web", 0)}, world{services: []configs.Service{svc}})
	if got[0].condition != fine {
		t.Errorf("%+v", got[0])
	}
}

func TestTracksAddUp(t *testing.T) {
	at := situation{script: "exit code 1", file: 2, servers: "--", minUp: 1}.world()
	tracks := []configs.Track{
		scriptTrack("web", -50), fileTrack("web", "/run/load", 5), serviceTrack("web", 30),
		scriptTrack("mail", 0), serviceTrack("mail", 0), fileTrack("mail", "/run/load", -1),
	}
	want := map[string]vrrp.Tracking{
		"web":  {Delta: -40},
		"mail": {Delta: -2, Fault: "script /bin/uplink: exit code 1; service www: 0 of 2 servers healthy, 1 needed"},
	}
	standings := assess(tracks, at)
	if got := combine(tracks, standings); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	rows := trackRows(tracks, standings)["mail"]
	if want := []control.Track{
		{Name: "script /bin/uplink", Reason: "exit code 1"},
		{Name: "service www", Reason: "0 of 2 servers healthy, 1 needed"},
		{Name: "file /run/load", Reason: "2"},
	}; !reflect.DeepEqual(rows, want) {
		t.Errorf("status %+v, want %+v", rows, want)
	}
}

// Both halves of a virtual router of two families track the same script: it runs once.
func TestAScriptRunsOnceForAllThatTrackIt(t *testing.T) {
	hasty := scriptTrack("mail", 0)
	hasty.Check.Interval /= 2
	tracks := []configs.Track{scriptTrack("web", 0), serviceTrack("web", 0), scriptTrack("web-ipv6", -5), hasty, scriptTrack("db", 0)}
	targets, ids := scripts(tracks)
	want := []string{"script /bin/uplink", "", "script /bin/uplink", "script /bin/uplink #2", "script /bin/uplink"}
	if !reflect.DeepEqual(ids, want) {
		t.Errorf("IDs %q, want %q", ids, want)
	}
	if len(targets) != 2 || targets[0].ID != ids[0] || targets[1].ID != ids[3] || targets[1].Config.Interval != time.Second {
		t.Errorf("targets %+v", targets)
	}
}

func TestNumbersInFiles(t *testing.T) {
	dir := t.TempDir()
	for i, c := range []struct {
		why, text string
		want      fileNumber
	}{
		{"nothing", "", fileNumber{}},
		{"white space", " \n", fileNumber{}},
		{"zero", "0\n", fileNumber{}},
		{"a number", "17", fileNumber{value: 17}},
		{"a number on a line", "  -17 \r\n", fileNumber{value: -17}},
		{"a sign", "+3", fileNumber{value: 3}},
		{"two numbers", "1 2", fileNumber{problem: `"1 2" is no integer of 32 bits: taken as 0`}},
		{"a fraction", "1.5", fileNumber{problem: `"1.5" is no integer of 32 bits: taken as 0`}},
		{"garbage", "\x00\xff", fileNumber{problem: `"\x00\xff" is no integer of 32 bits: taken as 0`}},
		{"too large a number", "2147483648", fileNumber{problem: `"2147483648" is no integer of 32 bits: taken as 0`}},
		{"a long file", strings.Repeat("0", 65), fileNumber{problem: "is longer than 64 bytes: taken as 0"}},
	} {
		path := filepath.Join(dir, string(rune('a'+i)))
		if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := readNumber(path); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.why, got, c.want)
		}
	}
	pipe := filepath.Join(dir, "pipe")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]fileNumber{
		filepath.Join(dir, "missing"): {},
		dir:                           {problem: "is no regular file: taken as 0"},
		pipe:                          {problem: "is no regular file: taken as 0"},
		filepath.Join(dir, "a", "b"):  {problem: "cannot be read: not a directory: taken as 0"},
	} {
		if got := readNumber(path); got != want {
			t.Errorf("%s: %+v, want %+v", path, got, want)
		}
	}
}

func FuzzParseNumber(f *testing.F) {
	for _, seed := range []string{"", "0", "-7\n", "+3", "2147483648", "1e3", "0x10", "\xff", strings.Repeat(" ", 65)} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		got := parseNumber(text)
		if got.problem != "" && got.value != 0 {
			t.Errorf("%q: %+v", text, got)
		}
		if strings.ContainsFunc(got.problem, func(r rune) bool { return r < ' ' }) {
			t.Errorf("%q: the problem is not fit for a log: %q", text, got.problem)
		}
	})
}
