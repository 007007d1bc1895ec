// SPDX-License-Identifier: Apache-2.0

package state

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/tandem-lvs/tandem/configs/account"
)

// A Journal is a file to which lines are appended. When it is full it is renamed to PATH.1, which replaces the former PATH.1, so
// at least the latest lines of its maximum size are kept. It opens the file for each call: there is nothing to close.
type Journal struct {
	path string
	max  int64
	open func(path string) (journalFile, error)
}

// A journalFile is an open file of a Journal.
type journalFile interface {
	io.WriteCloser
	io.ReaderAt
	Stat() (fs.FileInfo, error)
	Truncate(size int64) error
	Sync() error
}

// NewJournal returns the journal at path. max is the size in bytes above which a new file is begun.
func NewJournal(path string, max int64) *Journal {
	return &Journal{path: path, max: max, open: func(path string) (journalFile, error) {
		const flags = os.O_RDWR | os.O_APPEND
		f, err := os.OpenFile(path, flags, 0)
		if !errors.Is(err, fs.ErrNotExist) {
			return f, err
		}
		if f, err = os.OpenFile(path, flags|os.O_CREATE|os.O_EXCL, 0o600); err != nil {
			return nil, err
		}
		if err := account.Inherit(f); err != nil {
			return nil, errors.Join(err, f.Close())
		}
		return f, nil
	}}
}

// Append writes whole lines, flushed to the disk. After an error, none of them is in the file, as far as this can be undone.
func (j *Journal) Append(lines []byte) error {
	if err := unnamed(j.append(lines)); err != nil {
		return fmt.Errorf("failed to write %s: %w", j.path, err)
	}
	return nil
}

func (j *Journal) append(lines []byte) error {
	f, size, err := j.ready(int64(len(lines)))
	if err != nil {
		return err
	}
	text := lines
	if size > 0 {
		last := make([]byte, 1)
		if _, err := f.ReadAt(last, size-1); err != nil {
			return errors.Join(err, f.Close())
		}
		if last[0] != '\n' { // a crash has cut off the last line
			text = append([]byte{'\n'}, lines...)
		}
	}
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	if err != nil {
		_ = f.Truncate(size) // if this fails too, the rest of a line is ended at the next call
		return errors.Join(err, f.Close())
	}
	if err := f.Close(); err != nil || size > 0 {
		return err
	}
	dir, err := os.Open(filepath.Dir(j.path)) // the file is new
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// ready opens the file, and begins a new one if the present one has no room for n bytes.
func (j *Journal) ready(n int64) (f journalFile, size int64, err error) {
	for {
		f, err := j.open(j.path)
		if err != nil {
			return nil, 0, err
		}
		info, err := f.Stat()
		if err != nil {
			return nil, 0, errors.Join(err, f.Close())
		}
		if info.Size() == 0 || info.Size()+n <= j.max {
			return f, info.Size(), nil
		}
		if err := errors.Join(f.Close(), os.Rename(j.path, j.path+".1")); err != nil {
			return nil, 0, err
		}
	}
}

// Lines returns the lines of both files, the oldest first. A missing file has none. A line that a crash has cut off is returned
// as it is.
func (j *Journal) Lines() (all [][]byte, err error) {
	for _, path := range []string{j.path + ".1", j.path} {
		text, err := os.ReadFile(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return all, err
		}
		for line := range bytes.Lines(text) {
			if line = bytes.TrimSpace(line); len(line) > 0 {
				all = append(all, line)
			}
		}
	}
	return all, nil
}
