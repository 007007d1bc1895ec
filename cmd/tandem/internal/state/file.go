// SPDX-License-Identifier: Apache-2.0

// Package state remembers small things in the state directory across restarts.
package state

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// ErrDamaged is in the warning that Open returns beside an empty File.
var ErrDamaged = errors.New("the file is damaged")

// A File holds one value as JSON. A reader, and a machine that loses power, finds the old value or the new. It has one
// user at a time.
type File[T any] struct {
	path  string
	Value T
}

// envelope is what is on the disk.
type envelope[T any] struct {
	Version int `json:"version"`
	Value   T   `json:"value"`
}

const version = 1

// Open reads the file at path; a missing one holds the zero value. One that cannot be understood is renamed to
// PATH.damaged-TIME, and the error, which wraps ErrDamaged, comes with the zero value and is only a warning. With any
// other error the File is nil.
func Open[T any](path string) (*File[T], error) {
	f := &File[T]{path: path}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return f, nil
	}
	if err != nil {
		return nil, err
	}
	var e envelope[T]
	err = json.Unmarshal(text, &e)
	if err == nil && e.Version != version {
		err = fmt.Errorf("version %d, want %d", e.Version, version)
	}
	if err == nil {
		f.Value = e.Value
		return f, nil
	}
	aside := path + ".damaged-" + time.Now().UTC().Format("20060102T150405.000")
	err = fmt.Errorf("%w: %s was set aside as %s: %v", ErrDamaged, path, filepath.Base(aside), err)
	return f, errors.Join(err, os.Rename(path, aside))
}

// Store writes Value.
func (f *File[T]) Store() error {
	text, err := json.MarshalIndent(envelope[T]{version, f.Value}, "", "  ")
	if err != nil {
		return fmt.Errorf("write %s: %w", f.path, err)
	}
	if err := replace(f.path, append(text, '\n')); err != nil {
		return fmt.Errorf("write %s: %w", f.path, err)
	}
	return nil
}

// replace writes a new file beside the old one and renames it, both flushed to the disk.
func replace(path string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".new-*")
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
