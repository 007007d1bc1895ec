// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/drill"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/drill/live"
)

// drilled writes a configuration whose director keeps its state in a directory of its own.
func drilled(t *testing.T) (config, dir string) {
	t.Helper()
	dir = t.TempDir()
	return writeConfig(t, "name = \"lb1\"\n[state]\ndir = \""+dir+"\"\n"), dir
}

// TestDrillIsRefused: a director without a peer makes no drill, and says why. The exit code is 1.
func TestDrillIsRefused(t *testing.T) {
	config, dir := drilled(t)
	socket := serveControl(t, &remembering{status: control.Status{Name: "lb1", VRRP: []control.Router{{Name: "web", State: "master", Preempt: true}}}})
	t.Setenv("TANDEM_SOCKET", socket)
	const want = "refused: there is no peer: this director has no channel to another one: see tandem peer init --help\n"
	for _, args := range []string{"failover", "failover --dry-run", "crash --process election --times 3"} {
		out, _, err := execute(t, append([]string{"drill", "-c", config}, strings.Fields(args)...)...)
		if err == nil || exitCode(err) != 1 || err.Error() != "" || !strings.HasPrefix(out, want) || strings.Count(out, want) != 1 {
			t.Errorf("%s: %v, %s", args, err, out)
		}
	}
	out, progress, err := execute(t, "drill", "-c", config, "freeze", "--json", "--scheduled")
	var reports []drill.Report
	if exitCode(err) != 1 || json.Unmarshal([]byte(out), &reports) != nil || len(reports) != 1 || len(reports[0].Refused) != 1 || reports[0].By != "the schedule" || progress != want {
		t.Errorf("%v, %s, %s", err, out, progress)
	}
	if all, err := live.Reports(dir); err != nil || len(all) > 0 {
		t.Errorf("%v, %+v", err, all)
	}
}

// TestDrillFlags: a mistake on the command line is named, before anything is asked.
func TestDrillFlags(t *testing.T) {
	for args, want := range map[string]string{
		"fire":                       `there is no drill "fire": want one of failover, crash, freeze, cable, silence, disk, flap, server`,
		"crash --process x":          `--process: there is no process "x": want director, election or both`,
		"cable --process election":   "--process is for crash and freeze, not for cable",
		"failover --times 0":         "--times: 0 is too few: want at least 1",
		"failover --hold -1s":        "--hold, --settle and --budget: want no negative time",
		"failover --budget -1ms":     "--hold, --settle and --budget: want no negative time",
		"flap --flaps 21":            "--flaps: 21: want 1 to 20",
		"cable --flaps 2":            "--flaps is for flap, not for cable",
		"server":                     "--server is missing: write which real server leaves, for example --server www/192.0.2.11",
		"server --server www":        `--server: "www" is not SERVICE/ADDRESS: write for example www/192.0.2.11 or www/192.0.2.11:80`,
		"cable --server www/1.2.3.4": "--server is for server, not for cable",
		"failover --key /x":          "--key is for --probe",
		"failover --probe 1.2.3.4:5": "--probe needs --key: see tandem probe --help",
		"failover --probe x --key y": "--probe x: want ADDRESS:PORT",
		"failover --socket /x/none ": "no director listens at /x/none: start it with `systemctl start tandem`, or give the path of its control socket with --socket",
	} {
		if _, _, err := execute(t, append([]string{"drill"}, strings.Fields(args)...)...); err == nil || err.Error() != want {
			t.Errorf("tandem drill %s: %v, want %s", args, err, want)
		}
	}
}

// TestDrillHistory: the drills that were made are told, with their failures.
func TestDrillHistory(t *testing.T) {
	config, dir := drilled(t)
	if out, _, err := execute(t, "drill", "history", "-c", config); err != nil || out != "no drill was made yet\n" {
		t.Errorf("%v, %s", err, out)
	}
	outage := drill.Seconds(0.0035)
	for _, r := range []drill.Report{
		{Kind: drill.Failover, Passed: true, Outage: &outage, ClientsOutage: new(drill.Seconds(0.25))},
		{Kind: drill.Freeze, Killed: true, Failures: []string{"the drill died"}},
	} {
		r.Began = time.Date(2026, 11, 22, 4, 0, 0, 0, time.Local)
		if err := live.Keep(dir, r); err != nil {
			t.Fatal(err)
		}
	}
	const want = "BEGAN                KIND      RESULT        OUTAGE  CLIENTS  BUDGET  FAILURES\n" +
		"2026-11-22 04:00:00  failover  passed        3.5ms   250ms    -       -\n" +
		"2026-11-22 04:00:00  freeze    died, undone  -       -        -       the drill died\n"
	if out, _, err := execute(t, "drill", "history", "-c", config); err != nil || out != want {
		t.Errorf("%v, got\n%swant\n%s", err, out, want)
	}
	out, _, err := execute(t, "drill", "history", "-c", config, "--json")
	var all []drill.Report
	if err != nil || json.Unmarshal([]byte(out), &all) != nil || len(all) != 2 || all[1].Kind != drill.Freeze {
		t.Errorf("%v, %s", err, out)
	}
	if _, _, err := execute(t, "drill", "history", "-c", filepath.Join(dir, "none.toml")); err == nil {
		t.Error("a missing configuration is no error")
	}
}
