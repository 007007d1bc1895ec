// SPDX-License-Identifier: Apache-2.0

package load

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/configs/internal/toml"
)

func TestFile(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "tandem.toml")
	if err := os.WriteFile(file, []byte("name = \"lb1\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := As("").File(file)
	if err != nil {
		t.Fatal(err)
	}
	// echo 'name = "lb1"' | sha256sum
	if want := "9c1f9a5de60139375fc2c0dc7af8cbbc"; c.File != file || c.Name != "lb1" || !strings.HasPrefix(c.SHA256, want) {
		t.Errorf("got %+v", c)
	}

	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	host, err := os.Hostname()
	if c, loaded := As("").File(file); err != nil || loaded != nil || c.Name != host {
		t.Errorf("without a name: %+v, %v, want the host name %q (%v)", c, loaded, host, err)
	}

	var ms configs.Mistakes
	if _, err := As("").File(filepath.Join(dir, "none.toml")); !errors.Is(err, fs.ErrNotExist) || errors.As(err, &ms) {
		t.Errorf("a missing file gives %v, want fs.ErrNotExist", err)
	}
	if _, err := As("").File(dir); err == nil || errors.As(err, &ms) {
		t.Errorf("a directory gives %v, want an error of reading", err)
	}
	if err := os.WriteFile(file, make([]byte, toml.MaxSize+1000), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := As("").File(file); !errors.As(err, &ms) || ms[0].File != file {
		t.Errorf("a file that is too large gives %v, want a mistake", err)
	}
}

// TestNoConfiguration: whoever starts without the usual file is told what to write. Another file was perhaps misspelt.
func TestNoConfiguration(t *testing.T) {
	const failed = "failed to read the configuration: file does not exist"
	if got := unreadConfig("t.toml", fs.ErrNotExist).Error(); got != failed {
		t.Error(got)
	}
	if got := unreadConfig(usual, fs.ErrNotExist).Error(); !strings.HasPrefix(got, failed+"; write one: tandem.toml(5)") {
		t.Error(got)
	}
	if err := unreadConfig(usual, fs.ErrPermission); !errors.Is(err, fs.ErrPermission) || strings.Contains(err.Error(), "write one") {
		t.Error(err)
	}
}
