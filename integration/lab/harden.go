// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"

	"golang.org/x/sys/unix"

	users "github.com/tandem-lvs/tandem/configs/account"
)

// Harden starts a director as the shipped unit does: see integration/harden. It is cargo of a program with the flag of RegisterHardened.
var Harden = Cargo{Name: "harden", Package: modulePath + "/integration/harden"}

// hardened has directors start by Harden.
var hardened bool

// RegisterHardened adds a flag by which all directors run with the restrictions of the shipped unit.
func RegisterHardened() {
	flag.BoolVar(&hardened, "hardened", false, "run the directors as the user tandem, with the restrictions of tandem.service")
}

// otherUsers matches a configuration with programs, which run as other users unless it says otherwise.
var otherUsers = regexp.MustCompile(`(?m)^[^#]*(script|hook|exec)`)

// launch starts a program of a director.
func (d *Director) launch(program string, args ...string) *Process {
	d.lab.t.Helper()
	if !hardened {
		return d.Start(program, args...)
	}
	text, err := os.ReadFile(d.File)
	if err == nil {
		err = own(d.dir, users.Name)
	}
	if err == nil { // programs of other users may write there
		err = os.Chmod(d.dir, 0o777)
	}
	// A test's own folders are for root alone.
	for dir := filepath.Dir(d.dir); err == nil && dir != "/" && dir != filepath.Clean(os.TempDir()); dir = filepath.Dir(dir) {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		d.lab.t.Fatalf("prepare %s for the user tandem: %v", d.Name, err)
	}
	words := []string{program}
	if d.OtherUsers || otherUsers.Match(text) {
		words = []string{"-other-users", program}
	}
	return d.Start(Harden.Path(), append(words, args...)...)
}

// WriteFile is that of Host. A director that runs as tandem.service runs it may read the file even if no others may.
func (d *Director) WriteFile(name, text string) string {
	d.lab.t.Helper()
	file := d.Host.WriteFile(name, text)
	if hardened {
		if err := own(file, users.Name); err != nil {
			d.lab.t.Fatalf("give %s to the user %s: %v", file, users.Name, err)
		}
	}
	return file
}

// As calls a function on a thread that has the user of a running director, but no other right. Then the thread ends.
func (d *Director) As(f func() error) error {
	if !hardened {
		return f()
	}
	uid, gid, err := users.IDs(users.Name)
	if err != nil {
		return err
	}
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // without an end: no other goroutine may get this thread
		for _, call := range [][2]uintptr{{unix.SYS_SETRESGID, uintptr(gid)}, {unix.SYS_SETRESUID, uintptr(uid)}} {
			if _, _, errno := unix.RawSyscall(call[0], call[1], call[1], call[1]); errno != 0 {
				done <- fmt.Errorf("become the user %s: %w", users.Name, errno)
				return
			}
		}
		done <- f()
	}()
	return <-done
}

// own gives a file, or a directory and all in it, to a user. What disappears meanwhile is no error.
func own(path, name string) error {
	uid, gid, err := users.IDs(name)
	if err != nil {
		return err
	}
	return filepath.WalkDir(path, func(path string, _ fs.DirEntry, err error) error {
		if err == nil {
			err = os.Lchown(path, uid, gid)
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
}
