// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestPurity: this package does no I/O, reads no clock, starts no goroutine and takes no lock, so it imports only what values need.
func TestPurity(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", `{{join .Imports "\n"}}`, ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	allowed := []string{
		"cmp", "encoding/binary", "encoding/json", "fmt", "hash/maphash", "iter", "net/netip", "reflect", "slices", "strings", "time",
	}
	for _, path := range strings.Fields(string(out)) {
		if !slices.Contains(allowed, path) {
			t.Errorf("imports %s", path)
		}
	}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, clock := range []string{"time.Now", "time.Since", "time.Until", "time.After", "time.NewTimer"} {
			if !strings.HasSuffix(file, "_test.go") && strings.Contains(string(source), clock) {
				t.Errorf("%s uses %s", file, clock)
			}
		}
	}
}

// TestLeaf: no package below this one imports another part of the project, nor do its tests.
func TestLeaf(t *testing.T) {
	const project = "github.com/tandem-lvs/tandem/"
	out, err := exec.Command("go", "list", "-test", "-deps", "-f", "{{.ImportPath}}", "./...").Output()
	if err != nil {
		t.Fatal(err)
	}
	for path := range strings.Lines(string(out)) {
		if path = strings.TrimSpace(path); strings.HasPrefix(path, project) && !strings.HasPrefix(path, project+"vrrp") {
			t.Errorf("depends on %s", path)
		}
	}
}
