// SPDX-License-Identifier: Apache-2.0

package workers

import (
	"maps"
	"os"
	"path/filepath"
	"syscall"
	"testing"

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
