// SPDX-License-Identifier: Apache-2.0

package director

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
)

// TestCleanUp: while a director runs, nothing is touched. After that its settings are given back, except those that somebody else has
// changed since.
func TestCleanUp(t *testing.T) {
	dir := t.TempDir()
	settings := filepath.Join(dir, "ingress.json")
	// Nothing is written to the kernel: the value of this setting is another one.
	const changed = `{"version": 1, "value": {"net/core/somaxconn": {"former": "x", "ours": "y"}}}`
	write(t, settings, changed)
	running, err := lockFile(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := CleanUp(t.Context(), dir, hclog.NewNullLogger()); err == nil || !strings.Contains(err.Error(), "a director runs") {
		t.Errorf("while a director runs: %v", err)
	}
	if text, err := os.ReadFile(settings); err != nil || string(text) != changed {
		t.Errorf("while a director runs, the settings became %s (%v)", text, err)
	}
	if err := running.Close(); err != nil {
		t.Fatal(err)
	}
	if n, err := CleanUp(t.Context(), dir, hclog.NewNullLogger()); n != 0 || err != nil {
		t.Errorf("removed %d services: %v", n, err)
	}
	if text, _ := os.ReadFile(settings); strings.Contains(string(text), "somaxconn") {
		t.Errorf("the settings are still %s", text)
	}
}
