// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lvs/tandem/lvs"
)

// newSysctls returns a keeper of settings in a directory of the test's.
func newSysctls(t *testing.T, settings map[string]string) *SysctlKeeper {
	t.Helper()
	dir := t.TempDir()
	for name, value := range settings {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(value+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return reopen(t, dir, filepath.Join(t.TempDir(), "sysctls.json"))
}

func reopen(t *testing.T, dir, path string) *SysctlKeeper {
	t.Helper()
	k, err := OpenSysctls(path, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	k.dir = dir
	return k
}

// TestSysctlsOverALife: each step sets what it says, and the last one leaves everything as it was.
func TestSysctlsOverALife(t *testing.T) {
	before := map[string]string{"expire_nodest_conn": "0", "conn_reuse_mode": "1", "sync_threshold": "3\t50", "pmtu_disc": "1"}
	k := newSysctls(t, before)
	for step, c := range []struct {
		want    string // name=value, separated by commas
		changes string
	}{
		{"expire_nodest_conn=1, sync_threshold=2 40", "[expire_nodest_conn: 0 → 1 sync_threshold: 3 50 → 2 40]"},
		{"expire_nodest_conn=1, sync_threshold=2 40", "[]"},
		{"expire_nodest_conn=1, pmtu_disc=1", "[sync_threshold: 2 40 → 3 50]"}, // no longer wanted: as before
		{"expire_nodest_conn=1, pmtu_disc=0", "[pmtu_disc: 1 → 0]"},
		{"expire_nodest_conn=0, pmtu_disc=0", "[expire_nodest_conn: 1 → 0]"},
		{"", "[pmtu_disc: 0 → 1]"},
		{"", "[]"},
	} {
		want := make(map[string]string)
		for _, pair := range strings.Split(c.want, ", ") {
			if name, value, ok := strings.Cut(pair, "="); ok {
				want[name] = value
			}
		}
		k = reopen(t, k.dir, k.path) // the former values outlive the process
		changes, err := k.Apply(want)
		if got := fmt.Sprint(changes); err != nil || got != c.changes {
			t.Errorf("step %d: %s, %v, want %s", step, got, err, c.changes)
		}
	}
	after, err := k.Read()
	for name, value := range before {
		if after[name] != normal(value) {
			t.Errorf("%s was %s and is %s: %v", name, value, after[name], err)
		}
	}
	if len(k.former) != 0 {
		t.Errorf("still remembered: %v", k.former)
	}
}

func TestSysctlErrors(t *testing.T) {
	k := newSysctls(t, map[string]string{"pmtu_disc": "1"})
	if _, err := k.Apply(map[string]string{"pmtu_disc": "7", "nosuch": "1"}); !errors.Is(err, lvs.ErrInvalid) ||
		!strings.Contains(err.Error(), "nosuch") || !strings.Contains(err.Error(), "pmtu_disc: 7") {
		t.Errorf("invalid settings: %v", err)
	}
	changes, err := k.Apply(map[string]string{"pmtu_disc": "0", "drop_entry": "1"})
	if !errors.Is(err, fs.ErrNotExist) || len(changes) != 1 ||
		!strings.Contains(err.Error(), "drop_entry: this kernel does not have it") {
		t.Errorf("a setting that the kernel lacks: %v, %v", changes, err)
	}
	k.path = filepath.Join(t.TempDir(), "missing", "sysctls.json")
	if changes, err := k.Apply(map[string]string{"pmtu_disc": "0"}); err != nil || len(changes) != 0 {
		t.Errorf("nothing to remember: %v, %v", changes, err)
	}
	if err := k.Restore(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a state directory that is missing: %v", err)
	}
	if have, err := k.Read(); err != nil || !maps.Equal(have, map[string]string{"pmtu_disc": "1"}) {
		t.Errorf("restored all the same: %v, %v", have, err)
	}
	k.dir = filepath.Join(k.dir, "missing")
	if _, err := k.Apply(map[string]string{"pmtu_disc": "0"}); !errors.Is(err, ErrAbsent) {
		t.Errorf("without IPVS: %v", err)
	}
	if changes, err := k.Apply(nil); err != nil || changes != nil {
		t.Errorf("nothing wanted without IPVS: %v, %v", changes, err)
	}
}

func TestSysctlFileDamaged(t *testing.T) {
	for _, text := range []string{
		"", "{", `{"version":2}`, `{"version":1,"former":{"../x":"1"}}`, `{"version":1,"former":{"pmtu_disc":"9"}}`,
	} {
		path := filepath.Join(t.TempDir(), "sysctls.json")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		k, err := OpenSysctls(path, hclog.NewNullLogger())
		if !errors.Is(err, ErrDamaged) || k == nil || len(k.former) != 0 {
			t.Errorf("%q: %v, %v", text, k, err)
		}
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%q: not set aside", text)
		}
	}
}
