// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control"
)

// withoutJSON are the commands that have no result to print: they run, draw, or write a text that has a form of its own.
var withoutJSON = []string{
	"tandem run", "tandem election", "tandem top", "tandem completion", "tandem fmt",
	"tandem realserver run", "tandem drill switch",
}

// TestEveryCommandHasJSON, or a reason why not.
func TestEveryCommandHasJSON(t *testing.T) {
	without := make(map[string]bool)
	for _, name := range withoutJSON {
		without[name] = true
	}
	var visit func(cmd *cobra.Command)
	visit = func(cmd *cobra.Command) {
		for _, sub := range cmd.Commands() {
			visit(sub)
		}
		if !cmd.Runnable() || cmd.HasSubCommands() || cmd.Name() == "help" {
			return
		}
		if name := cmd.CommandPath(); !without[name] && cmd.Flags().Lookup("json") == nil {
			t.Errorf("%s has no --json", name)
		}
	}
	visit(newRoot())
}

// jsonDirector answers what the commands print.
type jsonDirector struct{ remembering }

func (jsonDirector) Server(name string) (control.ServerState, error) {
	return control.ServerState{Name: name}, nil
}

func (jsonDirector) Reload(string) (control.Applied, error)  { return control.Applied{}, nil }
func (jsonDirector) Confirm(string) (control.Applied, error) { return control.Applied{}, nil }

func (jsonDirector) Apply(string, control.ApplyRequest) (control.Applied, error) {
	return control.Applied{}, nil
}

func (jsonDirector) Rollback(string, control.RollbackRequest) (control.Applied, error) {
	return control.Applied{}, nil
}

func (jsonDirector) ConfigLog() (control.ConfigLog, error) { return control.ConfigLog{}, nil }

func (jsonDirector) ConfigFiles(control.ConfigSelection) (control.ConfigFiles, error) {
	return control.ConfigFiles{}, nil
}

// TestCommandsPrintJSON: with --json, what is printed is one JSON value.
func TestCommandsPrintJSON(t *testing.T) {
	t.Setenv("TANDEM_SOCKET", serveControl(t, &jsonDirector{remembering{status: control.Status{Name: "lb1", VRRP: []control.Router{{Name: "web"}}}}}))
	for line, want := range map[string]string{
		"status": `"name": "lb1"`, "reload": `"sha256"`, "plan": `"lines"`, "version": `"version"`, "why web": "web: lb1",
		"drain www/192.0.2.11:80": `"name": "www/192.0.2.11:80"`, "drain www/192.0.2.11:80 --wait": `"connections": 0`,
		"undrain www/192.0.2.11:80": `"name"`, "disable www/192.0.2.11:80": `"name"`, "enable www/192.0.2.11:80": `"name"`,
		"weight www/192.0.2.11:80 5": `"name"`, "weight www/192.0.2.11:80 --reset": `"name"`,
		"apply": `"lines"`, "confirm": `"lines"`, "rollback": `"lines"`, "config log": `"revisions"`, "config show": `"files"`, "config diff 1": `"diff"`,
		"failover web": `"routers": [`, "release web": `"routers": [`,
	} {
		out, _, err := execute(t, append(strings.Fields(line), "--json")...)
		if err != nil || !json.Valid([]byte(out)) || !strings.Contains(out, want) {
			t.Errorf("tandem %s --json: %v, got %s, want %s", line, err, out, want)
		}
	}
}

func TestCheckPrintsJSON(t *testing.T) {
	good, bad := writeConfig(t, "name = \"lb1\"\n"), writeConfig(t, "nam = 1\n")
	for _, c := range []struct {
		file                string
		code, oks, mistakes int
	}{{good, 0, 1, 0}, {bad, 1, 0, 1}} {
		out, errs, err := execute(t, "check", "--json", c.file)
		var found checkFound
		if json.Unmarshal([]byte(out), &found) != nil || errs != "" || (err != nil) != (c.code > 0) || err != nil && err.Error() != "" {
			t.Errorf("%v, output %s, standard error %s", err, out, errs)
		}
		if len(found.Good) != c.oks || len(found.Mistakes) != c.mistakes || found.Warnings == nil {
			t.Errorf("found %+v", found)
		}
	}
}

// TestCommandsWithoutADirectorPrintJSON: so do the commands that ask no director, also where they find something wrong.
func TestCommandsWithoutADirectorPrintJSON(t *testing.T) {
	dir := t.TempDir()
	write := writerIn(t, dir)
	const instance = "vrrp_instance web {\n interface eth0\n virtual_router_id 51\n virtual_ipaddress {\n 192.0.2.100/24\n }\n}\n"
	good, noted, broken := write("good", instance), write("noted", instance+"net_namespace blue\n"), write("broken", "vrrp_instance web {\n")
	key := filepath.Join(dir, "peer.key")
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"import", good}, 0, `"notes": []`},
		{[]string{"import", noted}, 2, `"line": 8`},
		{[]string{"import", broken}, 1, `"text": ""`},
		{[]string{"import", "--keywords"}, 0, `"fate": "translated"`},
		{[]string{"peer", "init", "--key", key}, 0, `"` + key + `"`},
		{[]string{"peer", "init", "--certificates", "lb1=10.0.0.1", "lb2=10.0.0.2", "--dir", dir}, 0, `"` + dir + `/lb2.pem"`},
		{[]string{"realserver", "remove", "--dry-run", "--state-dir", dir}, 0, `"commands": []`},
	} {
		out, errs, err := execute(t, append(c.args, "--json")...)
		code := 0
		if err != nil {
			code = exitCode(err)
		}
		if code != c.code || err != nil && err.Error() != "" || errs != "" || !json.Valid([]byte(out)) || !strings.Contains(out, c.want) {
			t.Errorf("tandem %v: code %d, %v, %s, %s; want %s", c.args, code, err, out, errs, c.want)
		}
	}
}
