// SPDX-License-Identifier: Apache-2.0

package director

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lvs/tandem/configs"
)

func TestDamagedFilesAreSetAside(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "orders.json"), "{\"version\": 1, \"value\": {\"www")
	write(t, filepath.Join(dir, "sysctls.json"), "x")
	var log lockedBuffer
	d := New(Options{Config: &configs.Config{}, Log: hclog.New(&hclog.LoggerOptions{Output: &log})})
	saved, err := d.openState(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(saved.orders.Value) != 0 || strings.Count(log.String(), "damaged") < 2 {
		t.Errorf("got %+v, log %s", saved.orders.Value, log.String())
	}
	if kept, _ := filepath.Glob(filepath.Join(dir, "orders.json.damaged-*")); len(kept) != 1 {
		t.Errorf("set aside as %v", kept)
	}
	if _, err := os.Stat(filepath.Join(dir, "orders.json")); err == nil {
		t.Error("the damaged file is still there")
	}
}
