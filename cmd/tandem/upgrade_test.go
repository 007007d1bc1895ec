// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/upgrade"
)

// fakeSystemctl makes every command find a systemctl that writes its arguments into the returned file, and prints state.
func fakeSystemctl(t *testing.T, state string) (log string) {
	t.Helper()
	dir := t.TempDir()
	log = filepath.Join(dir, "log")
	script := "#!/bin/sh\necho \"$@\" >>" + log + "\n[ \"$1\" = is-active ] || exit 0\necho " + state + "\n[ " + state + " = active ]\n"
	if err := os.WriteFile(filepath.Join(dir, "systemctl"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	return log
}

// A lonely director has no peer.
type lonely struct{ remembering }

func (lonely) Failover(string, []string) (control.RoutersDone, error) {
	return control.RoutersDone{}, errors.New("nobody took over web")
}

// TestUpgradeCommand: the unit is restarted, and exit code 2 says that nobody took over.
func TestUpgradeCommand(t *testing.T) {
	t.Setenv("DIRECTORS_NAME", "") // t restores it: the command sets what is in the file of variables
	os.Unsetenv("DIRECTORS_NAME")
	config := writeConfig(t, "name = \"${DIRECTORS_NAME}\"\n")
	environment := filepath.Join(t.TempDir(), "default")
	if err := os.WriteFile(environment, []byte("# a comment = 1\n\n; another = 1\nDIRECTORS_NAME = \"lb1\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	status := control.Status{
		Version: "v1", VRRP: []control.Router{{Name: "web", State: "master"}}, Config: control.Config{File: config},
	}
	for _, c := range []struct {
		name     string
		director control.Director
		unit     string
		flags    []string
		code     int
		said     string
		called   string // of systemctl
	}{
		{"a pair", &remembering{status: status}, "active", nil, 0, "restarted: v1 now runs\n", "is-active tandem.service\nrestart tandem.service\n"},
		{"no peer, nor in place", &lonely{remembering{status: status}}, "active", nil, 2, "nobody took over web, and it cannot be replaced in place: the hand-off", "is-active tandem.service\n"},
		{"in place, refused", &remembering{status: status}, "active", []string{"--in-place"}, 1, "", ""},
		{"no peer, and clients may wait", &lonely{remembering{status: status}}, "active", []string{"--alone"}, 0, "so clients get no answer while",
			"is-active tandem.service\nrestart tandem.service\n"},
		{"stopped", &remembering{status: status}, "inactive", nil, 0, "there is nothing to restart", "is-active tandem.service\n"},
		{"starts again and again", &remembering{status: status}, "activating", nil, 0, "restarted", "is-active tandem.service\nrestart tandem.service\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			log := fakeSystemctl(t, c.unit)
			args := []string{"upgrade", "--json", "--environment", environment, "--socket", serveControl(t, c.director)}
			out, errs, err := execute(t, append(args, c.flags...)...)
			code := 0
			if err != nil {
				code = exitCode(err)
			}
			called, _ := os.ReadFile(log)
			var result upgrade.Result
			if code != c.code || !strings.Contains(errs, c.said) || string(called) != c.called || json.Unmarshal([]byte(out), &result) != nil {
				t.Errorf("code %d, error %v, said %q, %s, called %q", code, err, errs, out, called)
			}
		})
	}
	t.Run("mistakes", func(t *testing.T) {
		log := fakeSystemctl(t, "active")
		if err := os.WriteFile(config, []byte("nam = 1\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		_, _, err := execute(t, "upgrade", "--environment", environment, "--socket", serveControl(t, &remembering{status: status}))
		called, _ := os.ReadFile(log)
		if exitCode(err) != 1 || !strings.Contains(err.Error(), "goes on as before") || !strings.Contains(err.Error(), "nam") || string(called) != "is-active tandem.service\n" {
			t.Errorf("error %v, called %q", err, called)
		}
	})
}

// TestCleanupCommand: without a state directory nothing is left, and nothing is made.
func TestCleanupCommand(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	out, errs, err := execute(t, "cleanup", "--state-dir", dir)
	if err != nil || errs != "" || out != "nothing of a director is left in this kernel; removed: 0 services\n" {
		t.Errorf("%v, %q, %q", err, out, errs)
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("the state directory was made")
	}
	if out, _, err = execute(t, "cleanup", "--json", "--state-dir", dir); err != nil || !json.Valid([]byte(out)) {
		t.Errorf("%v, %q", err, out)
	}
}
