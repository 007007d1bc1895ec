// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control"
)

// An applicable director records what it is asked.
type applicable struct {
	plannable
	done    control.Applied
	no      error
	applied control.ApplyRequest
	back    control.RollbackRequest
	log     control.ConfigLog
	files   map[int]control.ConfigFiles
}

func (a *applicable) Apply(_ string, r control.ApplyRequest) (control.Applied, error) {
	a.applied = r
	return a.done, a.no
}

func (a *applicable) Reload(string) (control.Applied, error)  { return a.done, a.no }
func (a *applicable) Confirm(string) (control.Applied, error) { return a.done, a.no }

func (a *applicable) Rollback(_ string, r control.RollbackRequest) (control.Applied, error) {
	a.back = r
	return a.done, a.no
}

func (a *applicable) ConfigLog() (control.ConfigLog, error) { return a.log, nil }

func (a *applicable) ConfigFiles(r control.ConfigSelection) (control.ConfigFiles, error) {
	return a.files[r.Revision], nil
}

// passing matches what is left of five minutes, a few seconds later.
var passing = regexp.MustCompile(`\(in 4m5\ds\)`)

// TestApplyCommand: what is asked of the director, and what is printed.
func TestApplyCommand(t *testing.T) {
	const id, text = "0f3c9a51d2e7", "name = \"lb1\"\n"
	file := writeConfig(t, text)
	line := control.PlanLine{Op: "change", Object: "virtual router web", Change: "priority 150 → 90", Cost: "may move VIP"}
	const printed = "~ virtual router web: priority 150 → 90\n    may move VIP\n"
	inForce := control.Config{File: "/etc/t.toml", Revision: 8}
	waits := inForce
	waits.Waits = &control.Wait{Former: 7, Until: time.Now().Add(5*time.Minute + 300*time.Millisecond)}
	waiting := "ok: /etc/t.toml is in force, as revision 8\nrun tandem confirm before " + waits.Waits.Until.Local().Format("2006-01-02 15:04:05") +
		" (in 5m0s): otherwise revision 7 follows\n"
	full := control.Plan{ID: id, File: "/etc/t.toml", Lines: []control.PlanLine{line}}
	empty := control.Plan{ID: id, File: "/etc/t.toml"}
	refused := full
	refused.Refused = []string{"cannot change while running"}
	for _, c := range []struct {
		args    string
		plan    control.Plan
		done    control.Applied
		no      error
		asked   control.PlanRequest
		applied control.ApplyRequest
		out     string
		errs    string // standard error, or the error
	}{
		{"apply", full, control.Applied{Config: inForce}, nil, control.PlanRequest{Own: true}, control.ApplyRequest{Plan: id},
			"/etc/t.toml: 1 change\n\n" + printed + "\nok: /etc/t.toml is in force, as revision 8\n", ""},
		{"apply --confirm 5m", full, control.Applied{Config: waits}, nil, control.PlanRequest{Own: true}, control.ApplyRequest{Plan: id, ConfirmSeconds: 300},
			"/etc/t.toml: 1 change\n\n" + printed + "\n" + waiting, ""},
		{"apply --confirm 5m --no-probe", empty, control.Applied{Config: inForce}, nil, control.PlanRequest{Own: true, NoProbe: true}, control.ApplyRequest{Plan: id},
			"/etc/t.toml: a reload changes nothing\nok: /etc/t.toml is in force, as revision 8\n", ""},
		{"apply " + file, full, control.Applied{Config: inForce, Warnings: []string{"it is apart"}}, nil, control.PlanRequest{File: file, Text: text}, control.ApplyRequest{Plan: id},
			"/etc/t.toml: 1 change\n\n" + printed + "\nok: /etc/t.toml is in force, as revision 8\n", "warning: it is apart\n"},
		{"apply -c " + file, full, control.Applied{Config: inForce}, nil, control.PlanRequest{File: file, Text: text}, control.ApplyRequest{Plan: id},
			"/etc/t.toml: 1 change\n\n" + printed + "\nok: /etc/t.toml is in force, as revision 8\n", ""},
		{"apply " + id + " --confirm 1h", full, control.Applied{Config: inForce, Lines: full.Lines}, nil, control.PlanRequest{}, control.ApplyRequest{Plan: id, ConfirmSeconds: 3600},
			printed + "\nok: /etc/t.toml is in force, as revision 8\n", ""},
		{"apply", refused, control.Applied{}, nil, control.PlanRequest{Own: true}, control.ApplyRequest{}, "/etc/t.toml: 1 change\n\n" + printed, "cannot change while running"},
		{"apply " + id, full, control.Applied{}, errors.New("the plan was made for revision 3"), control.PlanRequest{}, control.ApplyRequest{Plan: id}, "", "the plan was made for revision 3"},
		{"apply --confirm 0s", full, control.Applied{}, nil, control.PlanRequest{}, control.ApplyRequest{}, "", "--confirm: 0s is out of range: want 1s to 24h"},
		{"confirm", full, control.Applied{Config: inForce}, nil, control.PlanRequest{}, control.ApplyRequest{}, "ok: /etc/t.toml stays in force, as revision 8\n", ""},
		{"confirm", full, control.Applied{}, errors.New("no configuration waits"), control.PlanRequest{}, control.ApplyRequest{}, "", "no configuration waits"},
		{"rollback", full, control.Applied{Config: inForce, Lines: full.Lines}, nil, control.PlanRequest{}, control.ApplyRequest{},
			printed + "\nok: /etc/t.toml is in force again, as revision 8\n", ""},
		{"rollback x", full, control.Applied{}, nil, control.PlanRequest{}, control.ApplyRequest{}, "", `"x" is not the number of a revision: see tandem config log`},
		{"reload", full, control.Applied{Config: inForce, Lines: full.Lines, NotRemembered: "no space"}, nil, control.PlanRequest{}, control.ApplyRequest{},
			printed + "\nok: the director has loaded its configuration, as revision 8\n",
			"warning: in force; not yet remembered: no space. The command works now, but it could not be saved. A restart would forget it.\n"},
	} {
		d := &applicable{done: c.done, no: c.no}
		d.plan = c.plan
		out, errs, err := execute(t, append(strings.Fields(c.args), "--socket", serveControl(t, d))...)
		out = passing.ReplaceAllString(out, "(in 5m0s)")
		if err != nil {
			errs += err.Error()
		}
		if out != c.out || errs != c.errs || !reflect.DeepEqual(d.asked, c.asked) || d.applied != c.applied {
			t.Errorf("tandem %s: %q, %q, asked for %+v, applied %+v", c.args, out, errs, d.asked, d.applied)
		}
	}
	d := &applicable{done: control.Applied{Config: waits}}
	if out, _, err := execute(t, "rollback", "7", "--confirm", "2m", "--socket", serveControl(t, d)); err != nil ||
		d.back != (control.RollbackRequest{Revision: 7, ConfirmSeconds: 120}) || !strings.Contains(out, "run tandem confirm before") {
		t.Errorf("rollback 7: %q, %v, asked for %+v", out, err, d.back)
	}
}

// TestConfigCommands: the list, the files, the differences.
func TestConfigCommands(t *testing.T) {
	at := time.Date(2026, 11, 22, 12, 0, 0, 0, time.Local)
	revision := func(n int, how, digest string, lines ...string) control.Revision {
		return control.Revision{Number: n, At: at.Add(time.Duration(n) * time.Minute), How: how, File: "/etc/t.toml", SHA256: digest, Lines: lines, Changes: len(lines)}
	}
	files := func(r control.Revision, texts ...string) (f control.ConfigFiles) {
		f.Revision = r
		for i, text := range texts {
			f.Files = append(f.Files, control.ConfigFile{Name: fmt.Sprintf("/etc/%d.toml", i), Text: text})
		}
		return f
	}
	one, two, three := revision(1, "start", "a"), revision(2, "apply", "b", "~ x: 1 → 2", "+ y"), revision(3, "automatic rollback", "a")
	three.Of = 1
	d := &applicable{
		log: control.ConfigLog{Revisions: []control.Revision{one, two, three}},
		files: map[int]control.ConfigFiles{
			0: files(three, "x = 1\n"), 1: files(one, "x = 1\n"), 2: files(two, "x = 2\n", "y = 1\n"), 3: files(three, "x = 1\n"),
		},
	}
	socket := serveControl(t, d)
	for args, want := range map[string]string{
		"config log": "REVISION  SINCE                HOW                      FILE         CHANGES\n" +
			"3         2026-11-22 12:03:00  automatic rollback to 1  /etc/t.toml  -\n" +
			"2         2026-11-22 12:02:00  apply                    /etc/t.toml  ~ x: 1 → 2; and 1 more\n" +
			"1         2026-11-22 12:01:00  start                    /etc/t.toml  -\n",
		"config show":   "x = 1\n",
		"config show 2": "# ==> /etc/0.toml <==\nx = 2\n\n# ==> /etc/1.toml <==\ny = 1\n",
		"config diff": "--- /etc/0.toml (revision 2)\n+++ /etc/0.toml (revision 3)\n@@ -1,1 +1,1 @@\n-x = 2\n+x = 1\n" +
			"--- /etc/1.toml (revision 2)\n+++ /dev/null\n@@ -1,1 +0,0 @@\n-y = 1\n",
		"config diff 1": "",
		"config diff 1 2": "--- /etc/0.toml (revision 1)\n+++ /etc/0.toml (revision 2)\n@@ -1,1 +1,1 @@\n-x = 1\n+x = 2\n" +
			"--- /dev/null\n+++ /etc/1.toml (revision 2)\n@@ -0,0 +1,1 @@\n+y = 1\n",
	} {
		if out, _, err := execute(t, append(strings.Fields(args), "--socket", socket)...); err != nil || out != want {
			t.Errorf("tandem %s: %v, got\n%s\nwant\n%s", args, err, out, want)
		}
	}
	if out, _, err := execute(t, "config", "show", "--json", "--socket", socket); err != nil || !strings.Contains(out, `"text": "x = 1\n"`) {
		t.Errorf("JSON: %q, %v", out, err)
	}
	d.log.Waits = &control.Wait{Former: 2, Until: at}
	if out, _, err := execute(t, "config", "log", "--socket", socket); err != nil ||
		!strings.HasPrefix(out, "the first one waits for confirmation until 2026-11-22 12:00:00; otherwise revision 2 follows\n\nREVISION") {
		t.Errorf("it waits: %q, %v", out, err)
	}
}

// TestConfigWithoutADirector: the state directory is read, which is told, and what is missing or damaged there is told too.
func TestConfigWithoutADirector(t *testing.T) {
	dir := t.TempDir()
	config := writeConfig(t, fmt.Sprintf("[control]\nsocket = %q\n[state]\ndir = %q\n", filepath.Join(dir, "none.sock"), dir))
	run := func(args string) (string, string, error) {
		return execute(t, append(strings.Fields(args), "-c", config)...)
	}
	list := filepath.Join(dir, "revisions.json")
	if _, _, err := run("config log"); !errors.Is(err, control.ErrNoDirector) || !strings.Contains(err.Error(), list+" does not exist: no configuration was in force there") {
		t.Errorf("an empty directory: %v", err)
	}
	write := func(name, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	at := time.Date(2026, 11, 22, 12, 0, 0, 0, time.Local)
	revision := func(n int, sha, how string) string {
		return fmt.Sprintf(`{"number": %d, "at": %q, "file": "/etc/t.toml", "sha256": %q, "size": 5, "how": %q}`, n, at.Add(time.Duration(n)*time.Minute).Format(time.RFC3339), sha, how)
	}
	write("revisions.json", `{"version": 1, "value": {"revisions": [`+revision(1, "aa", "start")+","+revision(2, "bb", "apply")+`], "own": "aa"}}`)
	write("revisions/aa.json", `{"version": 1, "value": {"file": "/etc/t.toml", "text": "x = 1\n"}}`)
	write("revisions/bb.json", `{"version": 1, "value": {"file": "/etc/t.toml", "text": "x = 2\n"}}`)
	told := "no director runs: this is from " + list + "; what is called in force was it last\n"
	for args, want := range map[string]string{
		"config log": "REVISION  SINCE                HOW    FILE         CHANGES\n" +
			"2         2026-11-22 12:02:00  apply  /etc/t.toml  -\n1         2026-11-22 12:01:00  start  /etc/t.toml  -\n",
		"config show":   "x = 2\n",
		"config show 1": "x = 1\n",
		"config diff":   "--- /etc/t.toml (revision 1)\n+++ /etc/t.toml (revision 2)\n@@ -1,1 +1,1 @@\n-x = 1\n+x = 2\n",
	} {
		if out, errs, err := run(args); err != nil || out != want || errs != told {
			t.Errorf("tandem %s: %v, %q\n%s\nwant\n%s", args, err, errs, out, want)
		}
	}
	if err := os.Remove(filepath.Join(dir, "revisions/aa.json")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := run("config show 1"); err == nil || !strings.Contains(err.Error(), "failed to read the copy of revision 1: ") {
		t.Errorf("a copy that is missing: %v", err)
	}
	write("revisions.json", `{"version": 1, "value": {`)
	if _, _, err := run("config log"); err == nil || !strings.Contains(err.Error(), "the file is damaged: "+list) {
		t.Errorf("a damaged list: %v", err)
	}
	if all, err := filepath.Glob(filepath.Join(dir, "*damaged*")); err != nil || len(all) > 0 {
		t.Errorf("it was set aside: %v, %v", all, err)
	}
	if _, _, err := execute(t, "config", "log", "--socket", filepath.Join(dir, "none.sock"), "-c", filepath.Join(dir, "none.toml")); err == nil || !strings.Contains(err.Error(), "failed to find the state directory") {
		t.Errorf("a configuration that is missing: %v", err)
	}
}
