// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"

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
		err = own(d.dir, "tandem")
	}
	// A test's own folders are for root alone.
	for dir := filepath.Dir(d.dir); err == nil && dir != "/" && dir != filepath.Clean(os.TempDir()); dir = filepath.Dir(dir) {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		d.lab.t.Fatalf("prepare %s for the user tandem: %v", d.Name, err)
	}
	words := []string{program}
	if otherUsers.Match(text) {
		words = []string{"-other-users", program}
	}
	return d.Start(Harden.Path(), append(words, args...)...)
}

// own gives a directory and all in it to a user. What disappears meanwhile is no error.
func own(dir, name string) error {
	uid, gid, err := users.IDs(name)
	if err != nil {
		return err
	}
	return filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err == nil {
			err = os.Lchown(path, uid, gid)
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
}
