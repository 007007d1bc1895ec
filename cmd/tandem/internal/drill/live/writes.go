// SPDX-License-Identifier: Apache-2.0

package live

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/drill"
)

// immutable is FS_IMMUTABLE_FL of linux/fs.h.
const immutable = 0x10

// setImmutable makes a directory and all below it refuse to be written, as chattr +i does, or ends that. Nothing is lost by it, and
// it holds in every mount namespace: the service may have its own.
func setImmutable(dir string, on bool) error {
	return eachBelow(dir, func(f *os.File) error {
		flags, err := unix.IoctlGetUint32(int(f.Fd()), unix.FS_IOC_GETFLAGS)
		if err != nil {
			return fmt.Errorf("failed to read the attributes of %s: %w", f.Name(), err)
		}
		now := flags &^ immutable
		if on {
			now |= immutable
		}
		if now == flags {
			return nil
		}
		if err := unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, int(now)); err != nil {
			return fmt.Errorf("failed to set the attributes of %s: %w", f.Name(), err)
		}
		return nil
	})
}

// eachBelow calls f with a directory, and the directories and regular files below it. A file that goes meanwhile is left out.
func eachBelow(dir string, f func(*os.File) error) error {
	return filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) && path != dir {
			return nil
		}
		if err != nil || !e.IsDir() && !e.Type().IsRegular() {
			return err
		}
		file, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW, 0)
		if errors.Is(err, fs.ErrNotExist) && path != dir {
			return nil
		}
		if err != nil {
			return err
		}
		return errors.Join(f(file), file.Close())
	})
}

// unfitForRefusal returns why a directory cannot be made to refuse writes.
func unfitForRefusal(dir string) string {
	err := eachBelow(dir, func(f *os.File) error {
		flags, err := unix.IoctlGetUint32(int(f.Fd()), unix.FS_IOC_GETFLAGS)
		if err != nil {
			return fmt.Errorf("the file system of %s has no attribute that refuses writes: %w", f.Name(), err)
		}
		if flags&immutable != 0 {
			return fmt.Errorf("%s refuses writes already: see chattr -i", f.Name())
		}
		return nil
	})
	if err != nil {
		return err.Error()
	}
	return ""
}

// writeItems says whether a directory refuses writes.
func writeItems(dir string) []drill.Item {
	text := "writable"
	if err := eachBelow(dir, func(f *os.File) error {
		flags, err := unix.IoctlGetUint32(int(f.Fd()), unix.FS_IOC_GETFLAGS)
		if err == nil && flags&immutable != 0 {
			text = "refuses writes"
		}
		return nil
	}); err != nil {
		text = err.Error()
	}
	return []drill.Item{{What: "state directory " + dir, Is: text}}
}
