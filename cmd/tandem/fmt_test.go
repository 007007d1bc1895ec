// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestFmt: only a file that changes is written, in one step, with its mode, also through a link.
func TestFmt(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	const untidy, tidy = "a=1\n[t]\nb=2 # two\n", "a = 1\n\n[t]\nb = 2  # two\n"
	good, bad, broken := write("good.toml", tidy, 0o600), write("bad.toml", untidy, 0o640), write("broken.toml", "a = \n", 0o600)
	link := filepath.Join(dir, "link.toml")
	if err := os.Symlink("bad.toml", link); err != nil {
		t.Fatal(err)
	}
	out, _, err := execute(t, "fmt", "-d", good, link)
	if err == nil || !strings.Contains(err.Error(), link+": is not formatted; run tandem fmt") || strings.Contains(out, "good.toml") ||
		!strings.Contains(out, "\n-a=1\n+a = 1\n") {
		t.Errorf("-d: %q, %v", out, err)
	}
	if text, _ := os.ReadFile(bad); string(text) != untidy {
		t.Errorf("-d has written %q", text)
	}
	before, err := os.Stat(good)
	if err != nil {
		t.Fatal(err)
	}
	out, _, err = execute(t, "fmt", good, link, broken)
	if out != link+"\n" || err == nil || !strings.HasPrefix(err.Error(), broken+":1: a: not TOML") {
		t.Errorf("%q, %v", out, err)
	}
	info, err := os.Lstat(link)
	if err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is replaced: %v, %v", info, err)
	}
	info, err = os.Stat(bad)
	text, failed := os.ReadFile(bad)
	if err != nil || failed != nil || string(text) != tidy || info.Mode().Perm() != 0o640 {
		t.Errorf("%q, %v, %v, %v", text, info, err, failed)
	}
	if after, err := os.Stat(good); err != nil || !os.SameFile(before, after) {
		t.Errorf("a file that does not change is written: %v", err)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 4 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if out, _, err := execute(t, "fmt", "-d", good, bad); out != "" || err != nil {
		t.Errorf("again: %q, %v", out, err)
	}
}
