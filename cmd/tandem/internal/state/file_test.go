// SPDX-License-Identifier: Apache-2.0

package state

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestFileRemembers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "standby.json")
	f, err := Open[[]string](path)
	if err != nil || f.Value != nil {
		t.Fatalf("a missing file: %v, %v", f, err)
	}
	if err := f.Store([]string{"web"}); err != nil {
		t.Fatal(err)
	}
	again, err := Open[[]string](path)
	if err != nil || !slices.Equal(again.Value, []string{"web"}) {
		t.Errorf("got %v, %v", again, err)
	}
	if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 1 {
		t.Errorf("the folder holds %v, %v", entries, err)
	}
}

func TestDamagedFileIsSetAside(t *testing.T) {
	for name, text := range map[string]string{
		"cut short":    `{"version": 1, "value": ["we`,
		"empty":        "",
		"another kind": `{"version": 1, "value": 7}`,
		"the future's": `{"version": 2, "value": ["web"]}`,
	} {
		path := filepath.Join(t.TempDir(), "standby.json")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := Open[[]string](path)
		if f == nil || f.Value != nil || !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: got %v, %v", name, f, err)
			continue
		}
		kept, err := filepath.Glob(path + ".damaged-*")
		if err != nil || len(kept) != 1 {
			t.Errorf("%s: set aside as %v, %v", name, kept, err)
		}
		if err := f.Store([]string{"web"}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestStoreSaysWhatFailed(t *testing.T) {
	f, err := Open[int](filepath.Join(t.TempDir(), "gone", "x.json"))
	if err != nil {
		t.Fatal(err)
	}
	err = f.Store(1)
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	// The same failure has the same text, so that repeated attempts are logged once.
	if again := f.Store(2); again == nil || again.Error() != err.Error() {
		t.Errorf("first %v, then %v", err, again)
	}
}

// An error of any step names the file, not the temporary one, whose name differs each time.
func TestFailureOfTheLastStep(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.json")
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := Replace(path, nil, 0); err == nil || strings.Contains(err.Error(), ".new-") {
		t.Errorf("got %v", err)
	}
}
