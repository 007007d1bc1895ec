// SPDX-License-Identifier: Apache-2.0

package state

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A fullFile is a file on a disk that takes a few more bytes.
type fullFile struct {
	*os.File
	room int
	sync error
}

func (f fullFile) Write(text []byte) (int, error) {
	n, err := f.File.Write(text[:min(len(text), f.room)])
	if err == nil && n < len(text) {
		err = &fs.PathError{Op: "write", Path: f.Name(), Err: unix.ENOSPC}
	}
	return n, err
}

func (f fullFile) Sync() error { return f.sync }

func text(t *testing.T, j *Journal) string {
	t.Helper()
	lines, err := j.Lines()
	if err != nil {
		t.Fatal(err)
	}
	return string(bytes.Join(lines, []byte("|")))
}

func write(t *testing.T, j *Journal, lines string) {
	t.Helper()
	if err := j.Append([]byte(lines)); err != nil {
		t.Fatal(err)
	}
}

// TestJournal: a journal is bounded, and keeps at least its maximum size of the latest lines.
func TestJournal(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.jsonl")
	j := NewJournal(path, 30)
	if got := text(t, j); got != "" {
		t.Errorf("a missing file has %q", got)
	}
	for i := range 10 {
		write(t, j, fmt.Sprintf("line %d..\n", i)) // 9 bytes
	}
	if got := text(t, j); got != "line 6..|line 7..|line 8..|line 9.." {
		t.Errorf("got %q", got)
	}
	for _, name := range []string{path, path + ".1"} {
		if info, err := os.Stat(name); err != nil || info.Size() > 30 || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	// One write that is larger than the file is not cut.
	write(t, j, strings.Repeat("x", 50)+"\n")
	if got := text(t, j); got != "line 9..|"+strings.Repeat("x", 50) {
		t.Errorf("got %q", got)
	}
}

// TestJournalAfterACrash: a line that a crash has cut off does not damage the next one.
func TestJournalAfterACrash(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.jsonl")
	if err := os.WriteFile(path, []byte("one\n{\"time\": \"20"), 0o600); err != nil {
		t.Fatal(err)
	}
	j := NewJournal(path, 1000)
	write(t, j, "two\n")
	if got := text(t, j); got != `one|{"time": "20|two` {
		t.Errorf("got %q", got)
	}
}

// TestJournalOnAFullDisk: what does not fit is taken back, and the next write works.
func TestJournalOnAFullDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.jsonl")
	j := NewJournal(path, 1000)
	write(t, j, "one\n")
	open := j.open
	for name, wrong := range map[string]fullFile{"no room": {room: 3}, "failed to flush": {room: 100, sync: unix.EIO}} {
		j.open = func(path string) (journalFile, error) {
			f, err := open(path)
			wrong.File, _ = f.(*os.File)
			return wrong, err
		}
		err := j.Append([]byte("two\nthree\n"))
		if err == nil || !strings.HasPrefix(err.Error(), "failed to write "+path+": ") {
			t.Errorf("%s: error %v", name, err)
		}
		if wrong.sync == nil && !errors.Is(err, unix.ENOSPC) {
			t.Errorf("%s: error %v", name, err)
		}
		if got := text(t, j); got != "one" {
			t.Errorf("%s: got %q", name, got)
		}
	}
	j.open = open
	write(t, j, "four\n")
	if got := text(t, j); got != "one|four" {
		t.Errorf("got %q", got)
	}
}
