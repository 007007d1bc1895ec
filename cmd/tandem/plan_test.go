// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control"
)

// A plannable answers with the plan, or refuses, and records the request.
type plannable struct {
	forgetful
	plan    control.Plan
	refusal error
	asked   control.PlanRequest
}

func (*plannable) Reload(string) (control.Applied, error) { return control.Applied{}, nil }
func (*plannable) Status() control.Status                 { return control.Status{} }

func (p *plannable) Plan(r control.PlanRequest) (control.Plan, error) {
	p.asked = r
	return p.plan, p.refusal
}

// TestPlanCommand: the exit code and the two outputs.
func TestPlanCommand(t *testing.T) {
	d := &plannable{}
	path := serveControl(t, d)
	const text = "name = \"lb1\"\n"
	other, broken := writeConfig(t, text), writeConfig(t, "nam = \"lb1\"\n")
	lines := []control.PlanLine{
		{Op: "remove", Object: "server 192.0.2.12:80 of www", Cost: "2 connections of 192.0.2.12 end"},
		{Op: "add", Object: "192.0.2.101/24", Change: "to eth0", Later: true},
		{Op: "change", Object: "log.level", Change: `"info" → "debug"`},
	}
	const printed = `/etc/t.toml: 3 changes

- server 192.0.2.12:80 of www
    2 connections of 192.0.2.12 end
+ 192.0.2.101/24: to eth0 (later)
~ log.level: "info" → "debug"

servers with a new check: 2 healthy, 1 not healthy: connection refused
`
	const id = "0f3c9a51d2e7"
	refused := control.ProbedCause{Servers: 1, Reason: "connection refused"}
	full := control.Plan{
		ID: id, File: "/etc/t.toml", Lines: lines, Probed: control.Probed{Healthy: 2, Failed: 1, Causes: []control.ProbedCause{refused}},
	}
	for _, c := range []struct {
		why      string
		plan     control.Plan
		refusal  error
		args     []string
		code     int
		out, err string
		asked    control.PlanRequest
	}{
		{"nothing changes", control.Plan{File: "/etc/t.toml"}, nil, nil, 0, "/etc/t.toml: a reload changes nothing\n", "", control.PlanRequest{}},
		{"changes", full, nil, nil, 2, printed, "to apply it: tandem apply 0f3c9a51d2e7", control.PlanRequest{}},
		{"without checks", full, nil, []string{"--no-probe"}, 2, printed, "to apply it: tandem apply 0f3c9a51d2e7", control.PlanRequest{NoProbe: true}},
		{"another file", full, nil, []string{"-c", other}, 2, printed, "to apply it: tandem apply 0f3c9a51d2e7",
			control.PlanRequest{File: other, Text: text}},
		{"one change", control.Plan{ID: id, File: "/etc/t.toml", Lines: lines[2:]}, nil, nil, 2,
			"/etc/t.toml: 1 change\n\n~ log.level: \"info\" → \"debug\"\n", "to apply it: tandem apply 0f3c9a51d2e7", control.PlanRequest{}},
		{"a restart is needed", control.Plan{File: "/etc/t.toml", Lines: lines[2:], Refused: []string{"cannot change while running"}}, nil, nil, 1,
			"/etc/t.toml: 1 change\n\n~ log.level: \"info\" → \"debug\"\n", "cannot change while running", control.PlanRequest{}},
		{"the director's file has mistakes", control.Plan{}, errors.New("t.toml:1: no"), nil, 1, "", "t.toml:1: no", control.PlanRequest{}},
		{"another file has mistakes, and the director is not asked", full, nil, []string{"-c", broken}, 1, "",
			broken + ":1: nam: unknown key; did you mean `name`?", control.PlanRequest{}},
	} {
		d.plan, d.refusal, d.asked = c.plan, c.refusal, control.PlanRequest{}
		out, _, err := execute(t, append([]string{"plan", "--socket", path}, c.args...)...)
		code, said := 0, ""
		if err != nil {
			code, said = exitCode(err), err.Error()
		}
		if code != c.code || out != c.out || said != c.err || !reflect.DeepEqual(d.asked, c.asked) {
			t.Errorf("%s: code %d, %q, %q, asked for %+v", c.why, code, out, said, d.asked)
		}
	}
	d.plan, d.refusal = full, nil
	var is control.Plan
	if out, _, err := execute(t, "plan", "--json", "--socket", path); exitCode(err) != 2 || json.Unmarshal([]byte(out), &is) != nil || len(is.Lines) != 3 {
		t.Errorf("JSON: %q, %v", out, err)
	}
	if _, _, err := execute(t, "plan", "--socket", path+"x"); exitCode(err) != 1 || !strings.Contains(err.Error(), "no director listens") ||
		!strings.Contains(err.Error(), "tandem check --live") {
		t.Errorf("without a director: %v", err)
	}
}

// TestPlanCarriesWhatAFileIncludes: the director gets the text of each file, and finds mistakes that only it can find.
func TestPlanCarriesWhatAFileIncludes(t *testing.T) {
	d := &plannable{plan: control.Plan{File: "/etc/t.toml"}}
	socket := serveControl(t, d)
	dir := t.TempDir()
	write := writerIn(t, dir)
	const text = "include = [\"*.inc\"]\n[director.lb2]\n"
	file, part := write("t.toml", text), write("a.inc", "log.level = \"debug\"\n")
	if _, _, err := execute(t, "plan", "--socket", socket, "-c", file, "--name", "lb2"); err != nil {
		t.Fatal(err)
	}
	want := control.PlanRequest{
		File: file, Text: text, Name: "lb2", Matches: map[string][]string{filepath.Join(dir, "*.inc"): {part}},
		Included: map[string]string{part: "log.level = \"debug\"\n"},
	}
	if !reflect.DeepEqual(d.asked, want) {
		t.Errorf("asked for %+v, want %+v", d.asked, want)
	}
	d.asked = control.PlanRequest{}
	write("a.inc", "log.level = \"loud\"\n")
	if _, _, err := execute(t, "plan", "--socket", socket, "-c", file, "--name", "lb2"); err == nil ||
		!strings.HasPrefix(err.Error(), part+":1: log.level: unknown value \"loud\"") || d.asked.File != "" {
		t.Errorf("a mistake: %v, asked for %+v", err, d.asked)
	}
	write("a.inc", "log.level = \"${TANDEM_NO_SUCH_VARIABLE}\"\n")
	if _, _, err := execute(t, "plan", "--socket", socket, "-c", file, "--name", "lb2"); err != nil || len(d.asked.Included) != 1 {
		t.Errorf("a variable of the director's environment: %v, asked for %+v", err, d.asked)
	}
	// The environment chooses the director as --name does.
	t.Setenv("TANDEM_NAME", "lb3")
	write("a.inc", "log.level = \"debug\"\n")
	if _, _, err := execute(t, "plan", "--socket", socket, "-c", file); err == nil || !strings.Contains(err.Error(), "is for \"lb3\"") {
		t.Errorf("another name in the environment: %v", err)
	}
}
