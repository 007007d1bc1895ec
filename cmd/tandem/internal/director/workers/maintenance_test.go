// SPDX-License-Identifier: Apache-2.0

package workers

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/core"
)

// What exists is present, whatever it is: also a link to nothing, and a pipe. A path that cannot exist is not.
func TestFilesOfMaintenance(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	for _, err := range []error{
		os.WriteFile(path("file"), nil, 0), os.Symlink("/nowhere", path("link")), syscall.Mkfifo(path("pipe"), 0o600),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	want := core.Maintenance{
		path("file"): true, path("link"): true, path("pipe"): true, dir: true, path("missing"): false, path("file/below"): false,
	}
	var paths []string
	for p := range want {
		paths = append(paths, p)
	}
	if got := ReadMaintenance(paths); !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	// The disk cannot say (here: the name is too long): nothing changes.
	long := path(string(make([]byte, 300)))
	for _, was := range []bool{true, false} {
		if got := present([]string{long}, core.Maintenance{long: was}); got[long] != was {
			t.Errorf("was %v, is %v", was, got[long])
		}
	}
	if ReadMaintenance(nil) != nil {
		t.Error("files without paths")
	}
}

// The worker tells what exists once a configuration names files, and then each change within a second.
func TestFilesOfMaintenanceAreWatched(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		told := make(chan core.Maintenance, 10)
		w := Presence{Post: func(ev core.Event) { told <- ev.(core.Maintenance) }, In: NewMailbox[[]string]()}
		done := make(chan error)
		go func() { done <- w.Run(ctx) }()
		next := func(want bool) {
			t.Helper()
			select {
			case is := <-told:
				if !maps.Equal(is, core.Maintenance{file: want}) {
					t.Errorf("told %v, want %v", is, want)
				}
			case <-time.After(numberInterval + time.Millisecond):
				t.Errorf("told nothing, want %v", want)
			}
		}
		time.Sleep(time.Minute) // without files
		w.In.Put([]string{file})
		next(false)
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Error(err)
		}
		next(true)
		time.Sleep(time.Minute) // nothing changes
		if err := os.Remove(file); err != nil {
			t.Error(err)
		}
		next(false)
		cancel()
		if err := <-done; err != nil || len(told) > 0 {
			t.Errorf("%v; told %d more times", err, len(told))
		}
	})
}
