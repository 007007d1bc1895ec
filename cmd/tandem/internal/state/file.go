// SPDX-License-Identifier: Apache-2.0

// Package state stores small values in the state directory, so that they survive a restart.
package state

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"time"

	"github.com/tandem-lvs/tandem/configs/account"
)

// ErrDamaged is wrapped by the error about a file that cannot be understood.
var ErrDamaged = errors.New("the file is damaged")

// A File holds one value as JSON: {"version": 1, "value": …}. A reader, and a machine that loses power, finds the old value
// or the new one. It has one user at a time, and holds no lock while it writes.
//
// If the value has a method Validate() error, Load calls it and refuses a value that makes no sense.
type File[T any] struct {
	path    string
	options Options
	// Value is the value that was last loaded or stored, even if the disk refused it. Only Load and Store change it.
	Value T
}

// Options are the differences between Files.
type Options struct {
	// Flat puts the fields of the value, a struct, beside the version: {"version": 1, "services": …}.
	Flat bool
	// KeepDamaged leaves a damaged file where it is.
	KeepDamaged bool
	// NoZero removes the file when a zero value is stored.
	NoZero bool
	// Mode is the mode of the file; 0: 0600.
	Mode fs.FileMode
}

const version = 1

// New returns the file at path. It does not open the file.
func New[T any](path string, options Options) *File[T] { return &File[T]{path: path, options: options} }

// Open returns the file at path and loads it. If the error wraps ErrDamaged, it is only a warning: the File has a zero value.
// With any other error the File is nil.
func Open[T any](path string) (*File[T], error) {
	f := New[T](path, Options{})
	_, err := f.Load()
	if err != nil && !errors.Is(err, ErrDamaged) {
		return nil, err
	}
	return f, err
}

// Load reads the value. If the file is missing, the value is zero. If the file cannot be understood, the value is zero and
// the error wraps ErrDamaged; the file is renamed to PATH.damaged-TIME unless KeepDamaged is set.
func (f *File[T]) Load() (T, error) {
	var zero T
	f.Value = zero
	text, err := os.ReadFile(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return zero, nil
	}
	if err != nil {
		return zero, err
	}
	value, err := f.parse(text)
	switch {
	case err == nil:
		f.Value = value
		return value, nil
	case f.options.KeepDamaged:
		return zero, fmt.Errorf("%w: %s: %w", ErrDamaged, f.path, err)
	}
	aside := f.path + ".damaged-" + time.Now().UTC().Format("20060102T150405.000")
	err = fmt.Errorf("%w: %s was set aside as %s: %w", ErrDamaged, f.path, filepath.Base(aside), err)
	return zero, errors.Join(err, os.Rename(f.path, aside))
}

func (f *File[T]) parse(text []byte) (T, error) {
	var e struct {
		Version int             `json:"version"`
		Value   json.RawMessage `json:"value"`
	}
	var value T
	if err := json.Unmarshal(text, &e); err != nil {
		return value, err
	}
	if e.Version != version {
		return value, fmt.Errorf("version %d, want %d", e.Version, version)
	}
	if f.options.Flat {
		e.Value = text
	}
	if e.Value != nil {
		if err := json.Unmarshal(e.Value, &value); err != nil {
			return value, err
		}
	}
	if v, ok := any(value).(interface{ Validate() error }); ok {
		return value, v.Validate()
	}
	return value, nil
}

// Store writes the value.
func (f *File[T]) Store(value T) error {
	f.Value = value
	if f.options.NoZero && reflect.ValueOf(&value).Elem().IsZero() {
		if err := os.Remove(f.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("failed to remove the state file: %w", err)
		}
		return nil
	}
	text, err := f.format(value)
	if err == nil {
		err = Replace(f.path, text, f.options.Mode)
	}
	if err != nil {
		return fmt.Errorf("failed to write %s: %w", f.path, err)
	}
	return nil
}

func (f *File[T]) format(value T) ([]byte, error) {
	var fields any = value
	if !f.options.Flat {
		fields = struct {
			Value T `json:"value"`
		}{value}
	}
	inner, err := json.Marshal(fields)
	if err != nil {
		return nil, err
	}
	text := fmt.Appendf(nil, `{"version":%d`, version)
	if len(inner) > len("{}") {
		text = append(text, ',')
	}
	var out bytes.Buffer
	err = json.Indent(&out, append(text, inner[1:]...), "", "  ")
	out.WriteByte('\n')
	return out.Bytes(), err
}

// Replace writes a new file beside the old one and renames it, both flushed to the disk. Mode 0 stands for 0600. The error
// does not name the new file: its name differs each time, but the same failure must have the same text.
func Replace(path string, text []byte, mode fs.FileMode) error {
	return unnamed(replace(path, text, mode))
}

// unnamed returns an error without the name of the file.
func unnamed(err error) error {
	var file *fs.PathError
	var link *os.LinkError
	switch {
	case errors.As(err, &file):
		return fmt.Errorf("%s: %w", file.Op, file.Err)
	case errors.As(err, &link):
		return fmt.Errorf("%s: %w", link.Op, link.Err)
	}
	return err
}

func replace(path string, text []byte, mode fs.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".new-*")
	if err != nil {
		return err
	}
	err = account.Inherit(f)
	if err == nil {
		_, err = f.Write(text)
	}
	if mode != 0 {
		err = errors.Join(err, f.Chmod(mode))
	}
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
