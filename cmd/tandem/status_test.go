// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/screen"
)

var update = flag.Bool("update", false, "write the files in testdata anew")

// golden compares a text with a file in testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if want, err := os.ReadFile(file); err != nil || got != string(want) {
		t.Errorf("%s: %v, got\n%s\nwant\n%s", file, err, got, want)
	}
}

// ailing is the status of a director with troubles of all kinds.
func ailing(now time.Time) control.Status {
	return control.Status{
		Name: "lb1", Version: "v1.0.0",
		Config:   control.Config{File: "/etc/tandem/tandem.toml", LoadedAt: now.Add(-25 * time.Hour)},
		Warnings: []string{"no metrics are served: port 9105 is taken"},
		VRRP: []control.Router{{
			Name: "web", Interface: "eth0", VRID: 51, State: "backup", Standby: true, Priority: 150, EffectivePriority: 100,
			Master: "192.0.2.3", Since: now.Add(-90 * time.Second), Reason: "priority 150 heard from 192.0.2.3",
			VIPs: []netip.Prefix{netip.MustParsePrefix("192.0.2.100/24"), netip.MustParsePrefix("192.0.2.101/24")},
			Track: []control.Track{
				{Name: "script /usr/local/bin/check-uplink", OK: true, Reason: "exit code 0"},
				{Name: "service www", Reason: "1 of 2 servers healthy, 2 needed"},
			},
			Counters: control.Counters{AdvertsSent: 86400, AdvertsReceived: 12, BecameMaster: 2, LongestGapSeconds: 1.0004,
				AdvertsDropped: map[string]uint64{"wrong_ttl": 1, "wrong_password": 30}},
			HMAC: &control.HMAC{Mode: "enforce", Keys: []int{1, 2}, ActiveKey: 2, AntiReplay: "time", TimeWindow: "5s", Refused: []control.Refusal{
				{Reason: "replayed", Count: 7, Last: now.Add(-90 * time.Second), From: netip.MustParseAddr("192.0.2.3")},
				{Reason: "wrong_hmac", Count: 1, Last: now.Add(-time.Hour), From: netip.MustParseAddr("192.0.2.66")},
			}},
		}, {
			Name: "mail", Interface: "eth0", VRID: 52, State: "fault", Priority: 100, EffectivePriority: 100,
			Reason: "service www: 1 of 2 servers healthy, 2 needed",
			Track:  []control.Track{{Name: "service www", Reason: "1 of 2 servers healthy, 2 needed"}},
			HMAC:   &control.HMAC{Mode: "receive-only", Keys: []int{1}, AntiReplay: "monotonic"},
		}, {
			Name: "dns", Interface: "eth0", VRID: 53, State: "fault", Priority: 100, EffectivePriority: 50,
			Reason: "tracked interface eth1 has no carrier", VIPs: []netip.Prefix{netip.MustParsePrefix("192.0.2.103/24")},
			VIPInterfaces: map[netip.Addr]string{netip.MustParseAddr("192.0.2.103"): "eth1"},
			Track:         []control.Track{{Name: "interface eth1", Reason: "has no carrier"}, {Name: "interface eth2", Reason: "is down"}},
		}},
		Services: []control.Service{{
			Name: "www", Virtual: "192.0.2.100:80", Protocol: "tcp", Scheduler: "wrr", Method: "dr",
			Servers: []control.Server{
				{Address: netip.MustParseAddr("192.0.2.11"), Port: 80, Weight: 2, EffectiveWeight: 2, Health: "healthy",
					Reason: "status 200", Since: now.Add(-3 * time.Hour), Active: 12, Inactive: 3, Checks: []control.Check{
						{Type: "http", Health: "healthy", Reason: "status 200", Since: now.Add(-3 * time.Hour), Flapping: true,
							LastAt: now.Add(-4 * time.Second), LatencySeconds: 0.00125, Successes: 1080, Failures: 2},
						{Type: "tcp", Via: netip.MustParseAddr("192.0.2.100"), Health: "unknown", Since: now.Add(-time.Second)},
					}},
				{Address: netip.MustParseAddr("2001:db8::12"), Port: 80, Weight: 1, Health: "unhealthy", Reason: "connection refused",
					Drained: true, Note: "drained by command"},
			},
		}},
		Hooks: []control.Hook{
			{Name: "web/notify", Succeeded: 3, Last: &control.HookRun{Subject: "router web", Event: "backup", EndedAt: now.Add(-90 * time.Second), TookSeconds: 0.0512}},
			{Name: "alerts", Failing: 1, Waiting: 2, Failed: 3, Superseded: 4, Last: &control.HookRun{Subject: "server www/192.0.2.11:80",
				Event: "server_down", EndedAt: now.Add(-time.Second), TookSeconds: 30, Error: "it took too long"}},
		},
		Drills: []control.Drill{
			{Kind: "freeze", Result: "failed", OutageSeconds: new(3.6104), BudgetSeconds: new(1.0), Ended: now.Add(-time.Hour)},
			{Kind: "failover", Result: "passed", OutageSeconds: new(0.0), Ended: now.Add(-50 * time.Hour), LastPassed: now.Add(-50 * time.Hour)},
		},
		Sync: []control.Sync{{Role: "master", Interface: "eth1", ID: 51}, {Role: "backup", Interface: "eth1", ID: 51}},
	}
}

func TestStatusText(t *testing.T) {
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		file    string
		device  screen.Device
		verbose bool
	}{
		{"status.txt", screen.Device{}, false},
		{"status-verbose.txt", screen.Device{Wide: true}, true},
		{"status-80.txt", screen.Device{Terminal: true, Wide: true, Width: 80}, false},
		{"status-colour.txt", screen.Device{Terminal: true, Colour: true, Width: 100}, false},
	} {
		var got bytes.Buffer
		if err := c.device.Write(&got, statusText(ailing(now), c.device, c.verbose, now)); err != nil {
			t.Fatal(err)
		}
		golden(t, c.file, strings.ReplaceAll(got.String(), "\x1b", "^"))
		for line := range strings.Lines(got.String()) {
			if n := screen.Width(strings.TrimSuffix(line, "\n")); c.device.Width > 0 && !c.device.Colour && n > c.device.Width {
				t.Errorf("%s: a line has %d characters: %s", c.file, n, line)
			}
		}
	}
}

// TestStatusOfASyncWait: below the table of virtual routers, a line says what one of them waits for.
func TestStatusOfASyncWait(t *testing.T) {
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	s := control.Status{VRRP: []control.Router{{Name: "web", State: "backup", Waits: &control.SyncWait{
		Since: now.Add(-15 * time.Second), Until: now.Add(45 * time.Second), Known: true, Have: 180, Of: 200, Text: "waits for connections: 180 of 200",
	}}, {Name: "mail", State: "backup"}}}
	var got bytes.Buffer
	device := screen.Device{}
	if err := device.Write(&got, statusText(s, device, false, now)); err != nil {
		t.Fatal(err)
	}
	const want = "web waits for connections: 180 of 200; takes over in 45s at the latest\n"
	if strings.Count(got.String(), "waits for connections") != 1 || !strings.Contains(got.String(), want) {
		t.Errorf("got\n%s", got.String())
	}
}

// TestStatusWithoutColour: what goes to a pipe or a file has no sequences for a terminal.
func TestStatusWithoutColour(t *testing.T) {
	t.Setenv("TERM", "xterm")
	t.Setenv("TANDEM_SOCKET", serveControl(t, &remembering{status: ailing(time.Now())}))
	out, _, err := execute(t, "status")
	if err != nil || strings.Contains(out, "\x1b") || !strings.Contains(out, "critical: virtual router mail is in FAULT") {
		t.Errorf("%v, %s", err, out)
	}
}

func TestStatusForMonitors(t *testing.T) {
	well := control.Status{Name: "lb1", VRRP: []control.Router{{Name: "web", State: "master"}}, Services: []control.Service{{
		Name: "www", Up: 1, Stats: control.Stats{ConnectionRate: 7}, Servers: []control.Server{
			{Address: netip.MustParseAddr("192.0.2.11"), Port: 80, Health: "healthy", Weight: 1, EffectiveWeight: 1, Active: 12},
		},
	}}}
	with := func(change func(*control.Status)) control.Status {
		s := well
		s.VRRP = []control.Router{well.VRRP[0]}
		s.Services = []control.Service{well.Services[0]}
		s.Services[0].Servers = []control.Server{well.Services[0].Servers[0]}
		change(&s)
		return s
	}
	const sums = " | masters=1;;;0;1 faults=0;;0;0;1 servers_up=1;;;0;1 connections=12;;;0; connection_rate=7;;;0; "
	for name, c := range map[string]struct {
		status control.Status
		err    error
		code   monitored
		line   string
	}{
		"all is well": {well, nil, 0, "TANDEM OK: lb1: master of 1 of 1 virtual router · 1 service · 1 of 1 server up · 12 connections, 7 new a second" + sums + "warnings=0;0;;0;"},
		"warnings": {with(func(s *control.Status) { s.Warnings = []string{"a|b\nc", "d"} }), nil, 1,
			"TANDEM WARNING: lb1: a/b; c (and 1 more)" + sums + "warnings=2;0;;0;"},
		"a server fails, another serves": {with(func(s *control.Status) {
			s.Services[0].Servers = append(s.Services[0].Servers, control.Server{Address: netip.MustParseAddr("192.0.2.12"), Port: 80, Health: "unhealthy", Reason: "timeout", Leaving: true})
		}), nil, 1, "TANDEM WARNING: lb1: 1 of 2 servers of www fails: 192.0.2.12:80 (timeout)" + sums + "warnings=1;0;;0;"},
		"nobody serves": {with(func(s *control.Status) { s.Services[0].Servers[0].EffectiveWeight, s.Warnings = 0, []string{"x"} }), nil, 2,
			"TANDEM CRITICAL: lb1: no real server of www gets clients: 1 of 1 are up (and 1 more)" + sums + "warnings=1;0;;0;"},
		"the sorry server serves": {with(func(s *control.Status) {
			s.Services[0].Servers[0].EffectiveWeight = 0
			s.Services[0].Servers = append(s.Services[0].Servers, control.Server{Sorry: true, EffectiveWeight: 1})
		}), nil, 0, "TANDEM OK: lb1: "},
		"a fault": {with(func(s *control.Status) { s.VRRP[0].State, s.VRRP[0].Reason = "fault", "no carrier" }), nil, 2,
			"TANDEM CRITICAL: lb1: virtual router web is in FAULT: no carrier | masters=0;;;0;1 faults=1;;0;0;1"},
		"the table": {with(func(s *control.Status) { s.Warnings, s.Table = []string{"t"}, &control.TableFault{Warning: "t"} }), nil, 2,
			"TANDEM CRITICAL: lb1: t" + sums + "warnings=0;0;;0;"},
		"no director":      {control.Status{}, fmt.Errorf("%w at /x", control.ErrNoDirector), 2, "TANDEM CRITICAL: no director listens at /x"},
		"a director hangs": {control.Status{}, fmt.Errorf("the director at /x %w", control.ErrSilent), 2, "TANDEM CRITICAL: the director at /x does not answer"},
		"no permission":    {control.Status{}, errors.New("no permission"), 3, "TANDEM UNKNOWN: no permission"},
	} {
		line, code := monitorLine(c.status, c.err)
		if code != c.code || !strings.HasPrefix(line, c.line) || strings.Count(line, "|") > 1 || strings.Contains(line, "\n") {
			t.Errorf("%s: code %d, want %d\ngot  %s\nwant %s", name, code, c.code, line, c.line)
		}
	}
}

// TestStatusCheckSetsTheExitCode: the line is on standard output, and nothing is on standard error.
func TestStatusCheckSetsTheExitCode(t *testing.T) {
	for _, c := range []struct {
		socket string
		code   int
		line   string
	}{
		{serveControl(t, &remembering{status: control.Status{Name: "lb1"}}), 0, "TANDEM OK: lb1: "},
		{serveControl(t, &remembering{status: ailing(time.Now())}), 2, "TANDEM CRITICAL: lb1: "},
		{filepath.Join(t.TempDir(), "none"), 2, "TANDEM CRITICAL: no director listens at "},
	} {
		out, errs, err := execute(t, "status", "--check", "--socket", c.socket)
		code := 0
		if err != nil {
			code, errs = exitCode(err), errs+err.Error()
		}
		if code != c.code || errs != "" || !strings.HasPrefix(out, c.line) {
			t.Errorf("code %d, want %d; output %q, standard error %q", code, c.code, out, errs)
		}
	}
	if _, _, err := execute(t, "status", "--check", "-c", "/no/such.toml"); exitCode(err) != 3 {
		t.Errorf("a configuration that cannot be read: %v", err)
	}
}
