// SPDX-License-Identifier: Apache-2.0

package packages

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A root is a directory in which dpkg installs, as if it were a machine with systemd. There systemctl is a fake, and tandem is the stub:
// both write down how they are called.
type root struct {
	t   *testing.T
	dir string
}

const fakeSystemctl = "#!/bin/sh\necho \"systemctl $*\" >>\"$DPKG_ROOT/calls\"\n"

func newRoot(t *testing.T) *root {
	r := &root{t, t.TempDir()}
	r.write("programs/systemctl", fakeSystemctl, 0o755)
	r.write("programs/systemd-sysusers", "#!/bin/sh\n", 0o755) // this machine gets no user
	r.write("run/systemd/system/x", "", 0o644)
	r.write("var/lib/dpkg/status", "", 0o644)
	for _, dir := range []string{"var/lib/dpkg/info", "var/lib/dpkg/updates", "var/lib/dpkg/triggers", "var/log"} {
		if err := os.MkdirAll(filepath.Join(r.dir, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

func (r *root) write(name, text string, mode fs.FileMode) {
	r.t.Helper()
	path := filepath.Join(r.dir, name)
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if err == nil {
		err = os.WriteFile(path, []byte(text), mode)
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

// dpkg runs dpkg in the root. It returns the calls of systemctl and tandem, what dpkg says, and whether it succeeds.
func (r *root) dpkg(args ...string) (calls, said string, ok bool) {
	r.t.Helper()
	_ = os.Remove(filepath.Join(r.dir, "calls"))
	// The scripts run outside of the root, which has no shell, and get its name as DPKG_ROOT. What the root lacks is no question here.
	args = append([]string{"--root=" + r.dir, "--force-script-chrootless", "--force-depends", "--force-not-root", "--force-unsafe-io"}, args...)
	cmd := exec.Command("dpkg", args...)
	cmd.Env = []string{"PATH=" + filepath.Join(r.dir, "programs") + ":/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"}
	out, err := cmd.CombinedOutput()
	text, _ := os.ReadFile(filepath.Join(r.dir, "calls"))
	return strings.Join(strings.Split(strings.TrimSpace(string(text)), "\n"), ", "), string(out), err == nil
}

// files returns the files and folders below the root, without those of dpkg itself.
func (r *root) files() (names []string) {
	r.t.Helper()
	err := filepath.WalkDir(r.dir, func(path string, e fs.DirEntry, err error) error {
		name := strings.TrimPrefix(path, r.dir)
		if name == "/var/lib/dpkg" {
			return fs.SkipDir
		}
		if name != "/calls" && name != "/var/log/dpkg.log" {
			names = append(names, name)
		}
		return err
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return names
}

// state returns what dpkg says about the package.
func (r *root) state() string {
	out, _ := exec.Command("dpkg-query", "--admindir="+filepath.Join(r.dir, "var/lib/dpkg"), "--show",
		"--showformat=${Version} ${db:Status-Status}", "tandem").Output()
	return string(out)
}

// checkDpkg has a package's whole life in a root: installed, upgraded, refused, rolled back, removed, purged. Nothing is left.
func checkDpkg(t *testing.T, older, newer []byte) {
	r := newRoot(t)
	dir := t.TempDir()
	write := func(name string, text []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, text, 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	v1, v2 := write("1.deb", older), write("2.deb", newer)
	before := r.files()
	const upgrade = "systemctl daemon-reload, systemctl try-restart tandem-realserver.service, tandem upgrade"
	step := func(name, calls, state string, ok bool, args ...string) {
		t.Helper()
		gotCalls, said, succeeded := r.dpkg(args...)
		if got := r.state(); gotCalls != calls || got != state || succeeded != ok {
			t.Fatalf("%s: called %s\n want %s\n state %q, want %q, success %t, said:\n%s", name, gotCalls, calls, got, state, succeeded, said)
		}
	}
	const one, two = "1.2.3~rc1+4.gabcdef0", "1.2.3"
	step("installed", "systemctl daemon-reload", one+" installed", true, "-i", v1)
	r.write("etc/default/tandem", "TANDEM_NAME=lb1\n", 0o644)
	r.write("etc/tandem/tandem.toml", "name = \"lb1\"\n", 0o644)
	r.write("var/lib/tandem/orders.json", "{}", 0o600)
	r.write("run/tandem/director.lock", "", 0o600)
	step("upgraded", upgrade, two+" installed", true, "-i", v2)
	if text, err := os.ReadFile(filepath.Join(r.dir, "etc/default/tandem")); string(text) != "TANDEM_NAME=lb1\n" {
		t.Errorf("the upgrade changed /etc/default/tandem to %q (%v)", text, err)
	}
	step("back to the former version", upgrade, one+" installed", true, "-i", v1)
	r.write("refuses", "upgrade", 0o644)
	step("the new version is refused", upgrade, two+" half-configured", false, "-i", v2)
	if err := os.Remove(filepath.Join(r.dir, "refuses")); err != nil {
		t.Fatal(err)
	}
	step("rolled back by the package manager", upgrade, one+" installed", true, "-i", v1)
	step("the same again, after a correction", upgrade, one+" installed", true, "-i", v1)
	step("removed", "systemctl stop tandem.service tandem-realserver.service, "+
		"systemctl --no-reload disable tandem.service tandem-realserver.service, tandem cleanup, tandem realserver remove, systemctl daemon-reload",
		one+" config-files", true, "--remove", "tandem")
	left := []string{"/etc/default/tandem", "/etc/tandem/tandem.toml", "/var/lib/tandem/orders.json"}
	for _, name := range r.files() {
		if strings.Contains(name, "tandem") && !slices.ContainsFunc(left, func(l string) bool { return strings.HasPrefix(l, name) }) {
			t.Errorf("after the removal there is still %s", name)
		}
	}
	step("purged", "", "", true, "--purge", "tandem")
	for _, name := range r.files() {
		if !slices.Contains(before, name) && filepath.Dir(name) != "/" {
			t.Errorf("after the purge there is still %s", name)
		}
	}
}
