// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestCompare: a line that is lost, new or there once more is a difference, unless it is an exception of its own list.
func TestCompare(t *testing.T) {
	before := traces{"ip addr": {"lo", "eth0"}, files: {"/a 1", "/b 1"}, sysctls: {"x = 0"}}
	after := traces{"ip addr": {"lo", "eth0", "eth0", "vip"}, files: {"/b 2", "/a 1", "/cache 1"}, sysctls: {"x = 0", "/cache = 1"}}
	cache := []exception{{files, regexp.MustCompile(`^\+ /cache `), "the system's"}}
	differences, excused := compare(before, after, cache)
	const want = "files: - /b 1, files: + /b 2, ip addr: + eth0, ip addr: + vip, sysctl net: + /cache = 1"
	if got := strings.Join(differences, ", "); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got, want := strings.Join(excused, ", "), "files: + /cache 1 (the system's)"; got != want {
		t.Errorf("excused: got %s, want %s", got, want)
	}
	if differences, excused := compare(after, after, nil); len(differences)+len(excused) > 0 {
		t.Errorf("the same twice: %s %s", differences, excused)
	}
}

// TestReadFiles: a line of a file changes with its content, its mode, and where a link leads to. A file that is replaced by an equal one
// has the same line.
func TestReadFiles(t *testing.T) {
	root := t.TempDir()
	file, link := filepath.Join(root, "file"), filepath.Join(root, "link")
	look := func() string {
		lines, err := readFiles(root)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(lines, "\n")
	}
	do := func(errs ...error) {
		for _, err := range errs {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	do(os.WriteFile(file, []byte("a"), 0o600), os.Symlink("a", link), os.MkdirAll(root+"/var/log/x", 0o755))
	first := look()
	if strings.Contains(first, "log") {
		t.Errorf("the records of the system are there:\n%s", first)
	}
	do(os.Remove(file), os.WriteFile(file, []byte("a"), 0o600))
	if again := look(); again != first {
		t.Errorf("an equal file has another line:\n%s\nwas\n%s", again, first)
	}
	for what, change := range map[string]func() error{
		"content": func() error { return os.WriteFile(file, []byte("b"), 0o600) },
		"mode":    func() error { return os.Chmod(file, 0o644) },
		"link": func() error {
			if err := os.Remove(link); err != nil {
				return err
			}
			return os.Symlink("b", link)
		},
	} {
		before := look()
		do(change())
		if look() == before {
			t.Errorf("another %s is not seen:\n%s", what, before)
		}
	}
}
