// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// ErrDamaged is in the warning that comes with an empty state where a state file could not be understood.
var ErrDamaged = errors.New("damaged state file")

// readState lets parse read a state file; a missing one is not read. A file that parse refuses is renamed to
// PATH.damaged-TIME, and the error wraps ErrDamaged.
func readState(path string, parse func([]byte) error) error {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read state file: %w", err)
	}
	if err = parse(data); err == nil {
		return nil
	}
	aside := path + ".damaged-" + time.Now().UTC().Format("20060102T150405Z")
	err = fmt.Errorf("%w %s, set aside as %s: %w", ErrDamaged, path, aside, err)
	if e := os.Rename(path, aside); e != nil {
		err = errors.Join(err, fmt.Errorf("set state file aside: %w", e))
	}
	return err
}

// writeState replaces a state file: a reader, and a machine that loses power, finds the old content or the new.
func writeState(path string, state any) error {
	data, err := json.MarshalIndent(state, "", "  ")
	if err == nil {
		err = replaceFile(path, append(data, '\n'))
	}
	if err != nil {
		return fmt.Errorf("write state file: %w", err)
	}
	return nil
}

// replaceFile writes a new file beside the old one and renames it, both flushed to the disk.
func replaceFile(path string, data []byte) (err error) {
	temp := path + ".tmp"
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(temp, path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temp))
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
