// SPDX-License-Identifier: Apache-2.0

// Package account knows the user that runs the director: by the shipped unit, it is not root.
package account

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// Name is the user of the shipped unit tandem.service.
const Name = "tandem"

// IDs returns the numbers of a user and of its group.
func IDs(name string) (uid, gid int, err error) {
	found, err := user.Lookup(name)
	if err != nil {
		return 0, 0, err
	}
	if uid, err = strconv.Atoi(found.Uid); err == nil {
		gid, err = strconv.Atoi(found.Gid)
	}
	return uid, gid, err
}

// Is reports whether a user's number is that of Name. It is not if this machine has no such user.
func Is(uid uint32) bool {
	is, _, err := IDs(Name)
	return err == nil && is == int(uid)
}

// Inherit gives a file that root has made to the owner of its folder. Commands of root, such as tandem cleanup, write to the folders
// of a director that is not root, and the director must be able to use the files afterwards. The file must be new: one that a user
// has linked to another file would become that user's. For other users than root it does nothing.
func Inherit(f *os.File) error {
	if os.Geteuid() != 0 {
		return nil
	}
	var folder, is unix.Stat_t
	if err := unix.Stat(filepath.Dir(f.Name()), &folder); err != nil {
		return fmt.Errorf("failed to examine the folder of %s: %w", f.Name(), err)
	}
	if err := unix.Fstat(int(f.Fd()), &is); err != nil {
		return fmt.Errorf("failed to examine %s: %w", f.Name(), err)
	}
	if is.Uid == folder.Uid {
		return nil
	}
	// A root without CAP_CHOWN, such as that of tandem-realserver.service, keeps its files, which only root uses.
	if err := f.Chown(int(folder.Uid), int(folder.Gid)); err != nil && !errors.Is(err, unix.EPERM) {
		return fmt.Errorf("failed to give %s to the owner of its folder: %w", f.Name(), err)
	}
	return nil
}
