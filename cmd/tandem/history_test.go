// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/history"
)

// A remembering director has a history, and ends each stream of events after what has happened so far.
type remembering struct {
	forgetful
	events []control.Event
	asked  control.HistoryQuery
	status control.Status
}

func (*remembering) Reload(string) error                            { return nil }
func (r *remembering) Status() control.Status                       { return r.status }
func (*remembering) Plan(control.PlanRequest) (control.Plan, error) { return control.Plan{}, nil }

func (r *remembering) History(q control.HistoryQuery) ([]control.Event, error) {
	r.asked = q
	return r.events, nil
}

func (r *remembering) Events(q control.HistoryQuery) (control.EventStream, error) {
	r.asked = q
	next := make(chan control.Event, len(r.events))
	for _, ev := range r.events {
		next <- ev
	}
	close(next)
	return control.EventStream{Next: next, Dropped: func() bool { return true }, Close: func() {}}, nil
}

// manyEvents returns events of which the last two are in the wrong order.
func manyEvents(n int) (all []control.Event) {
	for i := range n {
		all = append(all, control.Event{
			Time: time.Date(2026, 11, 22, 3, 0, i, 0, time.Local), Director: "lb1", Kind: "transition", On: "router", Name: "web",
			What: fmt.Sprintf("became number %d", i), Cause: "it is so", New: "backup",
		})
	}
	all[n-1], all[n-2] = all[n-2], all[n-1]
	return all
}

func TestHistoryCommand(t *testing.T) {
	d := &remembering{events: manyEvents(60)}
	path := serveControl(t, d)
	out, _, err := execute(t, "history", "--socket", path)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if err != nil || len(lines) != 50 || lines[49] != "2026-11-22 03:00:59.000  transition  router web became number 59: it is so" {
		t.Errorf("%d lines, %v:\n%s", len(lines), err, out)
	}
	out, _, err = execute(t, "history", "--socket", path, "--since", "2h", "--router", "web", "--json")
	var ev control.Event
	if lines = strings.Split(strings.TrimSpace(out), "\n"); err != nil || len(lines) != 60 || json.Unmarshal([]byte(lines[0]), &ev) != nil || ev.Name != "web" {
		t.Errorf("%d lines, %v:\n%s", len(lines), err, out)
	}
	if ago := time.Since(d.asked.Since); d.asked.Router != "web" || ago < 2*time.Hour || ago > 3*time.Hour {
		t.Errorf("asked for %+v", d.asked)
	}
	if _, _, err = execute(t, "history", "--socket", path, "--since", "then"); err == nil || !strings.Contains(err.Error(), `--since: "then" is no time`) {
		t.Errorf("error %v", err)
	}
	out, _, err = execute(t, "events", "--socket", path, "--service", "www")
	if !errors.Is(err, control.ErrDropped) || strings.Count(out, "\n") != 60 || d.asked != (control.HistoryQuery{Service: "www"}) {
		t.Errorf("asked for %+v, got %v:\n%s", d.asked, err, out)
	}
}

// TestHistoryWithoutADirector: the files are read, in spite of a line that a crash has cut off.
func TestHistoryWithoutADirector(t *testing.T) {
	dir := t.TempDir()
	config := writeConfig(t, fmt.Sprintf("[control]\nsocket = %q\n[state]\ndir = %q\n", filepath.Join(dir, "none.sock"), dir))
	text := append(history.Encode(manyEvents(3)), `{"time": "2026`...)
	if err := os.WriteFile(filepath.Join(dir, history.File), text, 0o600); err != nil {
		t.Fatal(err)
	}
	for args, want := range map[string]string{
		"history -c ":                      "became number 0: it is so\n2026-11-22 03:00:01.000  transition  router web became number 1",
		"history --since 2026-11-23 -c ":   "",
		"history --router web --json -c ":  `"what":"became number 2"`,
		"history --service www --json -c ": "",
		"why web -c ":                      "No director runs. This is the last that its history has:\n2026-11-22 03:00:02.000  transition  router web became number 2",
		"history --since 2026-11-22T03:00:02" + time.Date(2026, 11, 22, 0, 0, 0, 0, time.Local).Format("Z07:00") + " -c ": "2026-11-22 03:00:02.000  transition  router web became number 2: it is so\n",
	} {
		out, errs, err := execute(t, append(strings.Fields(args), config)...)
		if err != nil || want == "" && out != "" || !strings.Contains(out, want) || !strings.Contains(errs, "no director runs: this is from "+dir) {
			t.Errorf("tandem %s: %v, %s\n%s", args, err, errs, out)
		}
	}
	if _, _, err := execute(t, "events", "-c", config); !errors.Is(err, control.ErrNoDirector) {
		t.Errorf("events: %v", err)
	}
}

func TestWhyCommand(t *testing.T) {
	d := &remembering{events: manyEvents(3), status: control.Status{
		Name: "lb1", VRRP: []control.Router{{Name: "web", State: "backup", Priority: 150, EffectivePriority: 150}},
	}}
	path := serveControl(t, d)
	if out, _, err := execute(t, "why", "--socket", path); err != nil || !strings.HasPrefix(out, "web: lb1 became number 2 at ") {
		t.Errorf("%q, %v", out, err)
	}
	if _, _, err := execute(t, "why", "wbe", "--socket", path); err == nil || !strings.Contains(err.Error(), `"wbe": this director has web`) {
		t.Errorf("error %v", err)
	}
	d.status.VRRP = nil
	if out, _, err := execute(t, "why", "--socket", path); err != nil || !strings.Contains(out, "all services and servers are as configured") {
		t.Errorf("%q, %v", out, err)
	}
}
