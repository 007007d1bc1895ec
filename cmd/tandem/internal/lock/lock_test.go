// SPDX-License-Identifier: Apache-2.0

package lock

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// heldVar makes the test binary lock the file that it names, as any local user may try.
const heldVar = "TANDEM_TEST_LOCK"

func TestMain(m *testing.M) {
	path := os.Getenv(heldVar)
	if path == "" {
		os.Exit(m.Run())
	}
	f, err := os.Open(path)
	if err == nil {
		err = Take(f)
	}
	if err != nil {
		_, _ = os.Stdout.WriteString(err.Error())
		os.Exit(1)
	}
	_, _ = os.Stdout.WriteString("locked")
}

// A local user cannot hold the lock, and so cannot keep a director from starting. The directory may be from an older version
// that allowed everybody to enter it.
func TestNobodyCanHoldTheLock(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("this test needs root: only root can run a program as another user")
	}
	exe, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	base, err := os.MkdirTemp("/tmp", "lock")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(base)
	program := filepath.Join(base, "program")
	if err := errors.Join(os.Chmod(base, 0o755), os.WriteFile(program, exe, 0o755)); err != nil {
		t.Fatal(err)
	}
	asNobody := func(path string) string {
		cmd := exec.Command(program)
		cmd.Env, cmd.Dir = []string{heldVar + "=" + path}, "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		out, _ := cmd.Output() // the output says how it went
		return string(out)
	}
	open := filepath.Join(base, "open")
	if err := os.WriteFile(open, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if got := asNobody(open); got != "locked" {
		t.Fatalf("a file that everybody can read: %q: this test proves nothing", got)
	}
	dir := Dir(filepath.Join(base, "control.sock"))
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := MakeDir(dir); err != nil {
		t.Fatal(err)
	}
	f, err := Open(filepath.Join(dir, "director.lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if got := asNobody(f.Name()); !strings.Contains(got, "permission denied") {
		t.Errorf("nobody: %q", got)
	}
	if info, err := f.Stat(); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file's mode is %v, %v", info.Mode(), err)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder's mode is %v, %v", info.Mode(), err)
	}
	if err := os.Chown(dir, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	if err := MakeDir(dir); err == nil || !strings.Contains(err.Error(), "not a folder of this user") {
		t.Errorf("nobody's folder: %v", err)
	}
}

func TestTake(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.lock")
	open := func() *os.File {
		f, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = f.Close() })
		return f
	}
	first := open()
	if err := Take(first); err != nil {
		t.Fatal(err)
	}
	second := open()
	if err := Take(second); !errors.Is(err, ErrHeld) {
		t.Errorf("held: %v", err)
	}
	if err := errors.Join(os.Remove(path), first.Close()); err != nil {
		t.Fatal(err)
	}
	open()
	if err := Take(second); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a lock that was removed and made anew: %v", err)
	}
}
