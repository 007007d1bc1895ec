// SPDX-License-Identifier: Apache-2.0

package realserver

import (
	"os"
	"path/filepath"
	"testing"
)

// TestKeep: a kept setting is in force and in its file until Remove. A setting that somebody else has changed since stays.
func TestKeep(t *testing.T) {
	m := newShifting(t)
	value := func(name string) (text string) {
		m.ns.Do(func() {
			b, err := os.ReadFile(filepath.Join(procSys, name))
			if err != nil {
				t.Error(err)
			}
			text = string(b)
		})
		return text
	}
	m.do("keep")
	const want = "# Written by tandem doctor --fix --persist. `tandem realserver remove` removes it.\n" +
		"-net/ipv4/conf/all/send_redirects = 0\n-net/ipv4/ip_forward = 1\n"
	if text, err := os.ReadFile(m.file + ".doctor"); err != nil || string(text) != want {
		t.Errorf("the file is %q, %v, want %q", text, err, want)
	}
	for name, want := range map[string]string{"net/ipv4/ip_forward": "1\n", "net/ipv4/conf/all/send_redirects": "0\n"} {
		if got := value(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	m.ns.Do(func() {
		if err := os.WriteFile(filepath.Join(procSys, "net/ipv4/conf/all/send_redirects"), []byte("1"), 0); err != nil {
			t.Error(err)
		}
	})
	m.do("remove")
	if forward, redirects := value("net/ipv4/ip_forward"), value("net/ipv4/conf/all/send_redirects"); forward != "0\n" || redirects != "1\n" {
		t.Errorf("after the removal ip_forward is %q, send_redirects %q", forward, redirects)
	}
	if _, err := os.Stat(m.file + ".doctor"); !os.IsNotExist(err) {
		t.Errorf("the file is left: %v", err)
	}
}
