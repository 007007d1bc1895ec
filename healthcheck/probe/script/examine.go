// SPDX-License-Identifier: Apache-2.0

package script

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"github.com/tandem-lvs/tandem/healthcheck"
)

// Examine returns an error if the program of a check of type exec cannot be started on this machine now, as far as this can be
// seen without starting it.
func Examine(c *healthcheck.Config) error {
	return Command{Args: c.Command, User: c.User}.Examine()
}

// Examine says why the command could not be started on this machine now, as far as can be seen without starting it.
func (c Command) Examine() error {
	who, err := credential(c.User)
	if err != nil {
		return err
	}
	info, err := os.Stat(c.Args[0])
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("no such file: %s", c.Args[0])
	case err != nil:
		return err
	case info.IsDir():
		return fmt.Errorf("%s is a directory", c.Args[0])
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is not a program", c.Args[0])
	case info.Mode().Perm()&0o111 == 0:
		return fmt.Errorf("%s is not executable (chmod +x %s)", c.Args[0], c.Args[0])
	case !mayRun(info, who):
		return fmt.Errorf("user %s is not permitted to run %s", c.User, c.Args[0])
	}
	return nil
}

// mayRun compares the mode of a program with its user; nil: the user of this process.
func mayRun(info fs.FileInfo, who *syscall.Credential) bool {
	is, ok := info.Sys().(*syscall.Stat_t)
	mode := info.Mode().Perm()
	switch {
	case who == nil || !ok:
		return mode&0o111 != 0
	case who.Uid == 0:
		return mode&0o111 != 0
	case who.Uid == is.Uid:
		return mode&0o100 != 0
	case who.Gid == is.Gid:
		return mode&0o010 != 0
	}
	return mode&0o001 != 0
}
