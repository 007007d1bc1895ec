// SPDX-License-Identifier: Apache-2.0

package live

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// TestRefusedWrites: a directory and what is in it refuse writes, and accept them again. Where the file system or the rights of this
// process do not allow that, it fails, and nothing is left behind.
func TestRefusedWrites(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "orders.json")
	write := func() error {
		f, err := os.OpenFile(file, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
		if err != nil {
			return err
		}
		_, err = f.WriteString("x")
		return errors.Join(err, f.Close())
	}
	if err := write(); err != nil {
		t.Fatal(err)
	}
	unfit := unfitForRefusal(dir)
	err := setImmutable(dir, true)
	t.Cleanup(func() { _ = setImmutable(dir, false) })
	if err == nil {
		if is := writeItems(dir)[0].Is; write() == nil || os.WriteFile(filepath.Join(dir, "new"), nil, 0o600) == nil || is != "refuses writes" || unfit != "" {
			t.Errorf("it is written: %s; unfit: %q", is, unfit)
		}
		if unfitForRefusal(dir) == "" {
			t.Error("a directory that refuses writes already is fit for a drill")
		}
		if err := setImmutable(dir, false); err != nil {
			t.Error(err)
		}
	} else if unfit == "" && !errors.Is(err, unix.EPERM) {
		t.Errorf("it is fit, and %v", err)
	}
	if err := write(); err != nil {
		t.Error(err)
	}
	if is := writeItems(dir)[0].Is; is == "refuses writes" {
		t.Error("it refuses writes still")
	}
}
