// SPDX-License-Identifier: Apache-2.0

package realserver

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/lvs/internal/nstest"
)

// TestWhoUsesAModule: an interface that is up counts also in a network namespace that has a name and no process. Veth stands
// for a tunnel, which this kernel may not have.
func TestWhoUsesAModule(t *testing.T) {
	here, other := nstest.New(t), nstest.New(t)
	dir := t.TempDir()
	named := filepath.Join(dir, "other")
	if err := os.WriteFile(named, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	before := namespaces
	namespaces = []string{filepath.Join(dir, "*")} // not those of this machine
	t.Cleanup(func() { namespaces = before })
	used := func() (yes bool) {
		here.Do(func() {
			var err error
			if yes, err = usedElsewhere("tunl0", "veth"); err != nil {
				t.Error(err)
			}
		})
		return yes
	}
	nstest.Veth(t, other, "tunl0", other, "peer0")
	if used() {
		t.Error("a namespace that nothing leads to is seen")
	}
	other.Do(func() {
		if err := unix.Mount("/proc/thread-self/ns/net", named, "", unix.MS_BIND, ""); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { _ = unix.Unmount(named, unix.MNT_DETACH) })
	if !used() {
		t.Error("a namespace with a name is not seen")
	}
}
