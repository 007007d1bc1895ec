// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Of packages that are added to a base, all files are there, except for the folders that are left out. Links stay links.
func TestPackagesOfAProgram(t *testing.T) {
	root := t.TempDir()
	for name, text := range map[string]string{
		"usr/bin/server": strings.Repeat("server", 1000), "etc/server/users": "nobody", "usr/share/doc/server/README": "read me",
	} {
		file := filepath.Join(root, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(text), 0o640)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Symlink("server", filepath.Join(root, "usr/bin/alias")), os.Symlink("usr/bin", filepath.Join(root, "bin"))); err != nil {
		t.Fatal(err)
	}
	p := Packages{Name: "servers", Without: []string{"/usr/share/doc"}}
	extra, err := p.pack(root, []string{"/x/server_1%3a2.3-4_amd64.deb"})
	if err != nil {
		t.Fatal(err)
	}

	var first bytes.Buffer
	w := &treeWriter{tar: tar.NewWriter(&first), made: map[string]bool{}}
	w.file("/usr/bin/ip", 0o755, []byte("a program of the base"))
	if err := w.close(); err != nil {
		t.Fatal(err)
	}
	got := make(map[string]string)
	for in := tar.NewReader(bytes.NewReader(joinArchives(first.Bytes(), extra))); ; {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		text, readErr := io.ReadAll(in)
		if err := errors.Join(err, readErr); err != nil {
			t.Fatal(err)
		}
		if h.Typeflag != tar.TypeDir {
			got[h.Name] = string(text) + h.Linkname
		}
	}
	want := map[string]string{
		"usr/bin/ip": "a program of the base", "usr/bin/server": strings.Repeat("server", 1000), "usr/bin/alias": "server",
		"etc/server/users": "nobody", "lab/servers.packages": "server_1%3a2.3-4_amd64.deb\n",
	}
	for name, text := range want {
		if got[name] != text {
			t.Errorf("%s: %.40q, want %.40q", name, got[name], text)
		}
		delete(got, name)
	}
	for name := range got {
		t.Errorf("%s must not be there", name)
	}
}
