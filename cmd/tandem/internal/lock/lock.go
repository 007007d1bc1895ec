// SPDX-License-Identifier: Apache-2.0

// Package lock ensures that only one process does a job.
//
// The locks of a director are in a directory beside its control socket. Only the owner of the directory can enter it: a user
// who can open a lock file could hold the lock and keep a director from starting. The directory is not in the state
// directory, because a full or read-only disk must not keep a director from starting either.
package lock

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/configs/account"
)

// ErrHeld is wrapped by the error about a lock that another process holds.
var ErrHeld = errors.New("another process holds the lock")

// Dir returns the folder for the locks of the director with that control socket.
func Dir(socket string) string { return strings.TrimSuffix(socket, ".sock") + ".locks" }

// MakeDir makes the folder for locks if it is missing. It refuses a folder that belongs to another user. Root may also use that of
// the director's own user.
func MakeDir(dir string) error {
	// The folder around it holds the control socket, which the director's group may reach.
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return fmt.Errorf("failed to make the folder of the control socket: %w", err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("failed to make the folder of the locks: %w", err)
	}
	var is unix.Stat_t
	switch err := unix.Lstat(dir, &is); {
	case err != nil:
		return fmt.Errorf("failed to examine the folder of the locks %s: %w", dir, err)
	case is.Mode&unix.S_IFMT != unix.S_IFDIR || int(is.Uid) != os.Geteuid() && !(os.Geteuid() == 0 && account.Is(is.Uid)):
		return fmt.Errorf("%s is not a folder of this user: remove it, or put the [control] socket into a folder where only this user can write", dir)
	case is.Mode&0o777 == 0o700:
		return nil
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return fmt.Errorf("failed to set the mode of the folder of the locks: %w", err)
	}
	return nil
}

// Open opens a lock file for its owner alone, and makes it if it is missing. It opens an existing file for reading only:
// opening it for writing would wait while the file system is frozen.
func Open(path string) (*os.File, error) {
	const flags = os.O_RDONLY | unix.O_NOFOLLOW
	f, err := os.OpenFile(path, flags, 0)
	if errors.Is(err, fs.ErrNotExist) {
		f, err = os.OpenFile(path, flags|os.O_CREATE, 0o600)
		if err == nil {
			err = account.Inherit(f)
		}
	}
	return f, err
}

// Take locks a file that Open has opened, and does not wait. If another process holds the lock, the error wraps ErrHeld. If
// the file is no longer the one at its path, another process would lock another file: then the error wraps fs.ErrNotExist.
func Take(f *os.File) error {
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = ErrHeld
		}
		return fmt.Errorf("failed to lock %s: %w", f.Name(), err)
	}
	ours, err := f.Stat()
	if err != nil {
		return fmt.Errorf("failed to examine %s: %w", f.Name(), err)
	}
	there, err := os.Stat(f.Name())
	if err != nil {
		return fmt.Errorf("failed to examine the lock: %w", err)
	}
	if !os.SameFile(ours, there) {
		return fmt.Errorf("%s was replaced: %w", f.Name(), fs.ErrNotExist)
	}
	return nil
}
