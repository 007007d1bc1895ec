// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lvs/tandem/lvs"
)

// newSysctls returns a keeper of settings in the test's own directory, with its store.
func newSysctls(t *testing.T, settings map[string]string) (*SysctlKeeper, *fakeStore[FormerSysctls]) {
	t.Helper()
	root := t.TempDir()
	for name, value := range settings {
		path := filepath.Join(root, vsPath, name)
		err := os.MkdirAll(filepath.Dir(path), 0o700)
		if err == nil {
			err = os.WriteFile(path, []byte(value+"\n"), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	store := new(fakeStore[FormerSysctls])
	return reopen(t, root, store), store
}

func reopen(t *testing.T, root string, store *fakeStore[FormerSysctls]) *SysctlKeeper {
	t.Helper()
	k, err := OpenSysctls(store, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	k.settings.root = root
	return k
}

// TestSysctlsOverALife: each step makes the given settings, and the last one restores all of them.
func TestSysctlsOverALife(t *testing.T) {
	before := map[string]string{"expire_nodest_conn": "0", "conn_reuse_mode": "1", "sync_threshold": "3\t50", "pmtu_disc": "1"}
	k, store := newSysctls(t, before)
	for step, c := range []struct {
		want    string // name=value, separated by commas
		changes string
	}{
		{"expire_nodest_conn=1, sync_threshold=2 40", "[expire_nodest_conn: 0 → 1 sync_threshold: 3 50 → 2 40]"},
		{"expire_nodest_conn=1, sync_threshold=2 40", "[]"},
		{"expire_nodest_conn=1, pmtu_disc=1", "[sync_threshold: 2 40 → 3 50]"}, // no longer wanted: the former value
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
		k = reopen(t, k.settings.root, store) // the former values survive the process
		plan, planErr := k.Plan(want)
		changes, err := k.Apply(want)
		if planned := append(plan.Set, plan.Restore...); planErr != nil || !slices.Equal(planned, changes) {
			t.Errorf("step %d: planned %v, %v, and done %v", step, planned, planErr, changes)
		}
		if got := strings.ReplaceAll(fmt.Sprint(changes), "net.ipv4.vs.", ""); err != nil || got != c.changes {
			t.Errorf("step %d: %s, %v, want %s", step, got, err, c.changes)
		}
	}
	after, err := k.Read()
	for name, value := range before {
		if !lvs.SameSetting(after[name], value) {
			t.Errorf("%s was %s and is %s: %v", name, value, after[name], err)
		}
	}
	if len(k.settings.changed) != 0 || len(store.value.Former) != 0 {
		t.Errorf("still remembered: %v", k.settings.changed)
	}
}

func TestSysctlErrors(t *testing.T) {
	k, store := newSysctls(t, map[string]string{"pmtu_disc": "1"})
	if _, err := k.Apply(map[string]string{"pmtu_disc": "7", "nosuch": "1"}); !errors.Is(err, lvs.ErrInvalid) ||
		!strings.Contains(err.Error(), "nosuch") || !strings.Contains(err.Error(), "pmtu_disc: 7") {
		t.Errorf("invalid settings: %v", err)
	}
	changes, err := k.Apply(map[string]string{"pmtu_disc": "0", "drop_entry": "1"})
	if !errors.Is(err, fs.ErrNotExist) || len(changes) != 1 ||
		!strings.Contains(err.Error(), "drop_entry: there is no such setting") {
		t.Errorf("a setting that the kernel lacks: %v, %v", changes, err)
	}
	store.err = errFull
	if changes, err := k.Apply(map[string]string{"pmtu_disc": "0"}); err != nil || len(changes) != 0 {
		t.Errorf("nothing to remember: %v, %v", changes, err)
	}
	if err := k.Restore(); !errors.Is(err, errFull) {
		t.Errorf("a full disk: %v", err)
	}
	if have, err := k.Read(); err != nil || !maps.Equal(have, map[string]string{"pmtu_disc": "1"}) {
		t.Errorf("restored all the same: %v, %v", have, err)
	}
	store.err, k.settings.root = nil, t.TempDir()
	if _, err := k.Apply(map[string]string{"pmtu_disc": "0"}); !errors.Is(err, ErrAbsent) {
		t.Errorf("without IPVS: %v", err)
	}
	if changes, err := k.Apply(nil); err != nil || changes != nil {
		t.Errorf("nothing wanted without IPVS: %v, %v", changes, err)
	}
}

func TestFormerSysctlsAreChecked(t *testing.T) {
	for _, f := range []map[string]string{{"../x": "1"}, {"pmtu_disc": "9"}} {
		if err := (FormerSysctls{Former: f}).Validate(); err == nil {
			t.Errorf("%v passes", f)
		}
	}
}
