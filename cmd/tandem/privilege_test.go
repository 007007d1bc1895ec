// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// userEnv holds arguments. With it this test's binary is tandem.
const userEnv = "TANDEM_TEST_USER_ARGS"

// TestNeedsRoot: which jobs need root, they say to an ordinary user, and why.
func TestNeedsRoot(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("this test needs root")
	}
	private := t.TempDir()
	if err := os.Chmod(private, 0o700); err != nil {
		t.Fatal(err)
	}
	state := filepath.Join(private, "state")
	for _, c := range []struct{ args, want string }{
		{"realserver check --vip 192.0.2.100 --state-dir " + state, "tandem realserver check needs root, because it reads the ARP filter and the record of apply: "},
		{"realserver apply --vip 192.0.2.100 --state-dir " + state, "tandem realserver apply needs root, because it sets addresses, sysctls and the ARP filter: "},
		{"realserver run --vip 192.0.2.100 --state-dir " + state, "tandem realserver run needs root, because it sets addresses, sysctls and the ARP filter: "},
		{"realserver remove --state-dir " + state, "tandem realserver remove needs root, because it sets addresses, sysctls and the ARP filter: "},
		{"doctor --vip 192.0.2.100 --state-dir " + state, "tandem doctor needs root, because it reads the firewall and the ARP filter, and --fix changes sysctls: "},
		{"doctor --fix --vip 192.0.2.100 --state-dir " + state, "tandem doctor needs root, because it reads the firewall and the ARP filter, and --fix changes sysctls: "},
		{"cleanup --state-dir " + private, "tandem cleanup needs root, because it removes services, connection sync and sysctls from the kernel: "},
	} {
		cmd := exec.Command("/proc/self/exe", "-test.run=^TestAsOrdinaryUser$")
		cmd.Env = append(os.Environ(), userEnv+"="+c.args)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		out, err := cmd.CombinedOutput()
		if err == nil || !strings.HasPrefix(string(out), c.want) {
			t.Errorf("tandem %s: %v, want %q in\n%s", c.args, err, c.want, out)
		}
	}
}

// TestAsOrdinaryUser is the tandem of TestNeedsRoot.
func TestAsOrdinaryUser(t *testing.T) {
	args, is := os.LookupEnv(userEnv)
	if !is {
		return
	}
	root := newRoot()
	root.SetArgs(strings.Fields(args))
	if err := root.Execute(); err != nil {
		_, _ = os.Stderr.WriteString(err.Error() + "\n")
		os.Exit(1)
	}
	os.Exit(0)
}
