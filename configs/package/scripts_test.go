// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A machine is a root directory in which the package manager's scripts run. tandem and systemctl are fakes: they write down their
// arguments, and fail if the file fail-NAME-FIRST-ARGUMENT has an exit code.
type machine struct {
	t    *testing.T
	root string
}

const fake = `#!/bin/sh
name=${0##*/}
echo "$name $*" >>"$DPKG_ROOT/calls"
[ ! -e "$DPKG_ROOT/fail-$name-$1" ] || exit "$(cat "$DPKG_ROOT/fail-$name-$1")"
`

func newMachine(t *testing.T, files ...string) *machine {
	m := &machine{t, t.TempDir()}
	m.write("usr/sbin/tandem", fake, 0o755)
	for _, name := range []string{"chown", "runuser", "systemctl"} {
		m.write("bin/"+name, fake, 0o755)
	}
	m.write("bin/systemd-sysusers", "#!/bin/sh\n[ \"$*\" = \"--root=$DPKG_ROOT tandem.conf\" ]\n", 0o755)
	m.write("calls", "", 0o644)
	for _, name := range files {
		name, text, _ := strings.Cut(name, "=")
		m.write(name, text, 0o644)
	}
	return m
}

func (m *machine) write(name, text string, mode fs.FileMode) {
	m.t.Helper()
	path := filepath.Join(m.root, name)
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if err == nil {
		err = os.WriteFile(path, []byte(text), mode)
	}
	if err != nil {
		m.t.Fatal(err)
	}
}

// run runs a script as the package manager does. It returns the calls, the exit code and what was said.
func (m *machine) run(script string, args ...string) (calls string, code int, said string) {
	m.t.Helper()
	text, err := maintainerScript(os.DirFS(top), script)
	if err != nil {
		m.t.Fatal(err)
	}
	m.write(script, string(text), 0o755)
	cmd := exec.Command(filepath.Join(m.root, script), args...)
	cmd.Env = []string{"DPKG_ROOT=" + m.root, "PATH=" + filepath.Join(m.root, "bin") + ":/usr/bin:/bin"}
	out, err := cmd.CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		code = exit.ExitCode()
	} else if err != nil {
		m.t.Fatal(err)
	}
	made, err := os.ReadFile(filepath.Join(m.root, "calls"))
	if err != nil {
		m.t.Fatal(err)
	}
	return strings.Join(strings.Split(strings.TrimSpace(string(made)), "\n"), ", "), code, string(out)
}

const (
	booted     = "run/systemd/system/x"
	reloaded   = "systemctl daemon-reload"
	upgradedAs = reloaded + ", systemctl try-restart tandem-realserver.service, tandem upgrade"
	offline    = "systemctl --no-reload disable tandem.service tandem-realserver.service, tandem cleanup, tandem realserver remove"
	removedAs  = "systemctl stop tandem.service tandem-realserver.service, " + offline
)

// TestScripts: what the scripts do, by the package manager's calls.
func TestScripts(t *testing.T) {
	for _, c := range []struct {
		name   string
		script string // with its arguments
		files  string // of the machine
		want   string
		code   int
		said   string
	}{
		{"the first installation starts nothing", "deb-postinst configure", booted, reloaded, 0, ""},
		{"an upgrade restarts what runs", "deb-postinst configure 1.0.0", booted, upgradedAs, 0, ""},
		{"an upgrade without a peer succeeds", "deb-postinst configure 1.0.0", booted + " fail-tandem-upgrade=2", upgradedAs, 0, ""},
		{"an upgrade that is refused fails", "deb-postinst configure 1.0.0", booted + " fail-tandem-upgrade=1", upgradedAs, 1, ""},
		{"a real server that does not restart is no reason to fail", "deb-postinst configure 1.0.0", booted + " fail-systemctl-try-restart=1",
			upgradedAs, 0, "failed to restart tandem-realserver"},
		{"while an image is built", "deb-postinst configure", "", "", 0, ""},
		{"upgrade while an image is built", "deb-postinst configure 1.0.0", "", "", 0, ""},
		{"units from before the package", "deb-postinst configure", booted + " etc/systemd/system/tandem.service", reloaded, 0,
			"/etc/systemd/system/tandem.service hides the unit of this package"},
		{"dpkg takes the upgrade back", "deb-postinst abort-upgrade 1.0.0", booted, "", 0, ""},
		{"an unknown call", "deb-postinst explode", booted, "", 1, "explode"},
		{"remove", "deb-prerm remove", booted, removedAs, 0, ""},
		{"remove although nothing can be undone", "deb-prerm remove", booted + " fail-systemctl-stop=1 fail-tandem-cleanup=1 fail-tandem-realserver=1",
			removedAs, 0, "left in this kernel"},
		{"remove while an image is built", "deb-prerm remove", "", offline, 0, ""},
		{"the former version before an upgrade", "deb-prerm upgrade 2.0.0", booted, "", 0, ""},
		{"an unknown call before", "deb-prerm explode", booted, "", 1, "explode"},
		{"after the removal", "deb-postrm remove", booted, reloaded, 0, ""},
		{"after an upgrade", "deb-postrm upgrade 2.0.0", booted, "", 0, ""},
		{"purge", "deb-postrm purge", booted, "", 0, ""},
		{"an unknown call after", "deb-postrm explode", booted, "", 1, "explode"},
		{"rpm: the first installation", "rpm-post 1", booted, reloaded, 0, ""},
		{"rpm: an upgrade", "rpm-post 2", booted, upgradedAs, 0, ""},
		{"rpm: the former version at an upgrade", "rpm-preun 1", booted, "", 0, ""},
		{"rpm: remove", "rpm-preun 0", booted, removedAs, 0, ""},
		{"rpm: after an upgrade", "rpm-postun 1", booted, reloaded, 0, ""},
		{"rpm: after the removal", "rpm-postun 0", booted + " etc/tandem/tandem.toml", reloaded, 0, "/etc/tandem stays"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newMachine(t, strings.Fields(c.files)...)
			script := strings.Fields(c.script)
			calls, code, said := m.run(script[0], script[1:]...)
			if calls != c.want || code != c.code {
				t.Errorf("calls %s\n want %s\n exit code %d, want %d, said %s", calls, c.want, code, c.code, said)
			}
			if !strings.Contains(said, c.said) || c.said == "" && said != "" {
				t.Errorf("said %q, want %q", said, c.said)
			}
		})
	}
}

// TestDirectorWasRoot: an upgrade of a director that has run as root gives its keys to the new user. It leaves the director root if
// the configuration has something that only root may do.
func TestDirectorWasRoot(t *testing.T) {
	const state, service = "var/lib/tandem/orders.json", "name = \"lb1\"\n"
	for _, c := range []struct {
		name, config, said string
		checkSays          string
		own                int // of the state directory
		chown, root        bool
	}{
		{"nothing needs root", service, "", "ok", 0, true, false},
		{"hooks", service + "[[hook]]\n", "keeps it root", "ok", 0, true, true},
		{"scripts", service + "track = [{ script = [\"/x\"] }]\n", "keeps it root", "ok", 0, true, true},
		{"a hook in a comment", service + "# [[hook]]\n", "", "ok", 0, true, false},
		{"a port of root", service + "[web]\nlisten = \"192.0.2.1:443\"\n", "keeps it root", "ok", 0, true, true},
		{"a higher port", service + "[web]\nlisten = \"192.0.2.1:9106\"\n", "", "ok", 0, true, false},
		{"a key elsewhere", service, "keeps it root", "warning: /etc/ssl/x.key cannot be read by this user", 0, true, true},
		{"the director was not root", service + "[[hook]]\n", "", "ok", 4711, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newMachine(t, booted, state)
			m.write("etc/tandem/tandem.toml", c.config, 0o644)
			m.write("etc/tandem/peer.key", "secret", 0o600)
			m.write("usr/share/tandem/as-root.conf", "[Service]\n", 0o644)
			m.write("bin/runuser", "#!/bin/sh\necho '"+c.checkSays+"' >&2\n", 0o755)
			if err := os.Chown(filepath.Join(m.root, "var/lib/tandem"), c.own, c.own); err != nil {
				t.Fatal(err)
			}
			calls, code, said := m.run("deb-postinst", "configure", "1.0.0")
			want := upgradedAs
			if c.chown {
				want = "chown tandem " + filepath.Join(m.root, "etc/tandem/peer.key") + ", " + want
			}
			_, err := os.Stat(filepath.Join(m.root, "etc/systemd/system/tandem.service.d/as-root.conf"))
			if calls != want || code != 0 || (err == nil) != c.root {
				t.Errorf("calls %s\n want %s\n exit code %d, said %s, stays root: %t, want %t", calls, want, code, said, err == nil, c.root)
			}
			if !strings.Contains(said, c.said) || c.said == "" && said != "" {
				t.Errorf("said %q, want %q", said, c.said)
			}
			if m.run("deb-postrm", "purge"); c.root {
				if _, err := os.Stat(filepath.Join(m.root, "etc/systemd/system/tandem.service.d")); err == nil {
					t.Error("the drop-in is there after the purge")
				}
			}
		})
	}
}

// TestWhatIsLeft: removing leaves what the administrator has written, and purge leaves nothing.
func TestWhatIsLeft(t *testing.T) {
	all := []string{
		booted, "etc/tandem/tandem.toml", "etc/tandem/peer.key", "var/lib/tandem/orders.json", "run/tandem/director.lock",
		"etc/sysctl.d/60-tandem-realserver.conf", "etc/sysctl.d/60-tandem-doctor.conf", "etc/sysctl.d/99-other.conf", "var/lib/other/x",
	}
	m := newMachine(t, all...)
	left := func() (names []string) {
		for _, name := range all[1:] {
			if _, err := os.Stat(filepath.Join(m.root, name)); err == nil {
				names = append(names, name)
			}
		}
		return names
	}
	m.run("deb-postrm", "remove")
	if got, want := strings.Join(left(), " "), strings.Join([]string{all[1], all[2], all[3], all[5], all[6], all[7], all[8]}, " "); got != want {
		t.Errorf("after remove: %s\n want %s", got, want)
	}
	if _, code, said := m.run("deb-postrm", "purge"); code != 0 {
		t.Errorf("purge: exit code %d, %s", code, said)
	}
	if got := strings.Join(left(), " "); got != all[7]+" "+all[8] {
		t.Errorf("after purge: %s", got)
	}
	for _, dir := range []string{"etc/tandem", "var/lib/tandem", "run/tandem"} {
		if _, err := os.Stat(filepath.Join(m.root, dir)); err == nil {
			t.Errorf("after purge there is still /%s", dir)
		}
	}
}
