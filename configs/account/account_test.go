// SPDX-License-Identifier: Apache-2.0

package account

import (
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
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

// TestInheritWithoutTheRight: root without CAP_CHOWN can write in a folder of another user.
func TestInheritWithoutTheRight(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chown(dir, 4711, 4711); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(filepath.Join(dir, "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	failed := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlock it: the thread has lost the capability
		header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var set [2]unix.CapUserData
		err := unix.Capget(&header, &set[0])
		set[0].Effective &^= 1 << unix.CAP_CHOWN
		if err == nil {
			err = unix.Capset(&header, &set[0])
		}
		if err == nil {
			err = Inherit(f)
		}
		failed <- err
	}()
	if err := <-failed; err != nil {
		t.Error(err)
	}
}

// TestIs: root is not the director's user, and a number without an account is not either.
func TestIs(t *testing.T) {
	if Is(0) || Is(4_000_000_000) {
		t.Error("another user counts as the director's")
	}
}
