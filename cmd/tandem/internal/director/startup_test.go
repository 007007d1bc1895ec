// SPDX-License-Identifier: Apache-2.0

package director

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/core"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/report"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/drill"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/drill/live"
	"github.com/tandem-lvs/tandem/configs"
)

func TestDamagedFilesAreSetAside(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "orders.json"), "{\"version\": 1, \"value\": {\"www")
	write(t, filepath.Join(dir, "sysctls.json"), "x")
	var log lockedBuffer
	d := New(Options{Config: &configs.Config{}, Log: hclog.New(&hclog.LoggerOptions{Output: &log})})
	saved := d.openState(dir)
	if len(saved.overrides.Value) != 0 || strings.Count(log.String(), "damaged") < 2 {
		t.Errorf("got %+v, log %s", saved.overrides.Value, log.String())
	}
	if kept, _ := filepath.Glob(filepath.Join(dir, "orders.json.damaged-*")); len(kept) != 1 {
		t.Errorf("set aside as %v", kept)
	}
	if _, err := os.Stat(filepath.Join(dir, "orders.json")); err == nil {
		t.Error("the damaged file is still there")
	}
}

// TestDrillsOfBefore: a director that starts knows the drills that the command tandem drill has kept.
func TestDrillsOfBefore(t *testing.T) {
	dir := t.TempDir()
	all := []drill.Report{{Kind: drill.Freeze, Passed: true, Ended: time.Unix(1000, 0)}, {Kind: drill.Freeze, Ended: time.Unix(2000, 0)}}
	if err := live.Keep(dir, all[0]); err != nil {
		t.Fatal(err)
	}
	if err := live.Keep(dir, all[1]); err != nil {
		t.Fatal(err)
	}
	cfg := &configs.Config{Name: "lb1"}
	d := New(Options{Config: cfg, Log: hclog.NewNullLogger()})
	state := core.New()
	state.Step(time.Now(), d.start(d.openState(dir), ""))
	is := report.Status(report.Input{State: state.Snapshot(time.Now())}).Drills
	if len(is) != 1 || is[0].Kind != "freeze" || is[0].Result != "failed" || !is[0].LastPassed.Equal(time.Unix(1000, 0)) {
		t.Errorf("%+v", is)
	}
}

// If the disk of the state directory is full, read-only or broken, the director starts, and its status says so.
func TestStartsWithoutAStateDirectory(t *testing.T) {
	base := t.TempDir()
	write(t, filepath.Join(base, "file"), "")
	cfg := &configs.Config{
		Control: configs.Control{Socket: filepath.Join(base, "control.sock")},
		State:   configs.State{Dir: filepath.Join(base, "file", "state")}, // no folder can be there, not even for root
	}
	unlock, unusable, err := lockInstance(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	if !strings.Contains(unusable, "not a directory") {
		t.Errorf("unusable because of %q", unusable)
	}
	d := New(Options{Config: cfg, Log: hclog.NewNullLogger()})
	saved := d.openState(cfg.State.Dir)
	if len(saved.unread) == 0 || saved.table.own == nil {
		t.Fatalf("got %+v", saved)
	}
	state := core.New()
	state.Step(time.Now(), core.Start{Config: cfg, Unread: saved.unread, Unusable: unusable})
	shown := report.Status(report.Input{State: state.Snapshot(time.Now())}).Warnings
	if all := strings.Join(shown, "\n"); !strings.Contains(all, "the state directory cannot be written: "+unusable) || !strings.Contains(all, "what an earlier run kept is not known") {
		t.Errorf("warnings %q", shown)
	}
	if _, _, err := lockInstance(cfg); err == nil || !strings.Contains(err.Error(), "another tandem uses the control socket") {
		t.Errorf("a second director: %v", err)
	}
}

func TestOneDirectorForAStateDirectory(t *testing.T) {
	dir := t.TempDir()
	cfg := func(socket string) *configs.Config {
		return &configs.Config{
			Control: configs.Control{Socket: filepath.Join(dir, socket)}, State: configs.State{Dir: filepath.Join(dir, "state")},
		}
	}
	unlock, _, err := lockInstance(cfg("a.sock"))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := lockInstance(cfg("b.sock")); err == nil || !strings.Contains(err.Error(), "another tandem uses the state directory") {
		t.Errorf("a second director: %v", err)
	}
	unlock()
	unlock, problem, err := lockInstance(cfg("b.sock"))
	if err != nil || problem != "" {
		t.Fatalf("after the first: %q, %v", problem, err)
	}
	unlock()
}
