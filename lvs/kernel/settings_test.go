// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lvs/tandem/lvs"
)

// fixedStore has a value that nobody changes.
type fixedStore map[string]lvs.ChangedSetting

func (s fixedStore) Load() (map[string]lvs.ChangedSetting, error) { return s, nil }
func (s fixedStore) Store(map[string]lvs.ChangedSetting) error    { return nil }

// TestRestoreOnlyOfTheNetwork: a forged state cannot have root write other settings than those of the network.
func TestRestoreOnlyOfTheNetwork(t *testing.T) {
	root := t.TempDir()
	changed := make(fixedStore)
	for _, file := range []string{"net/ipv4/ip_forward", "kernel/core_pattern", "outside"} {
		path := filepath.Join(root, "sys", file)
		if file == "outside" {
			path = filepath.Join(root, file)
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("1\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{"net/ipv4/ip_forward", "kernel/core_pattern", "net/../kernel/core_pattern", "../outside", "net/../../outside", "/net/../kernel/core_pattern"} {
		changed[path] = lvs.ChangedSetting{Former: "0", Ours: "1"}
	}
	s, err := OpenSettingsBelow(filepath.Join(root, "sys"), changed, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Restore(); err != nil {
		t.Error(err)
	}
	for file, want := range map[string]string{"sys/net/ipv4/ip_forward": "0\n", "sys/kernel/core_pattern": "1\n", "outside": "1\n"} {
		if text, err := os.ReadFile(filepath.Join(root, file)); string(text) != want {
			t.Errorf("%s is %q (%v), want %q", file, text, err, want)
		}
	}
}
