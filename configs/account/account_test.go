// SPDX-License-Identifier: Apache-2.0

package account

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestInherit: a file that root makes in a folder of another user belongs to that user.
func TestInherit(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("this test needs root")
	}
	for _, owner := range []int{0, 4711} {
		dir := t.TempDir()
		if err := os.Chown(dir, owner, owner); err != nil {
			t.Fatal(err)
		}
		f, err := os.Create(filepath.Join(dir, "file"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := Inherit(f); err != nil {
			t.Error(err)
		}
		info, err := f.Stat()
		if err != nil {
			t.Fatal(err)
		}
		if is := info.Sys().(*syscall.Stat_t); int(is.Uid) != owner || int(is.Gid) != owner {
			t.Errorf("in a folder of %d the file belongs to %d:%d", owner, is.Uid, is.Gid)
		}
	}
}

// TestIs: root is not the director's user, and a number without an account is not either.
func TestIs(t *testing.T) {
	if Is(0) || Is(4_000_000_000) {
		t.Error("another user counts as the director's")
	}
}
