// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/netip"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control"
)

// TestCompletion asks as the scripts do.
func TestCompletion(t *testing.T) {
	server := func(addr string) control.Server {
		return control.Server{Address: netip.MustParseAddr(addr), Port: 80, Health: "healthy", Weight: 1, EffectiveWeight: 1}
	}
	two := serveControl(t, &remembering{status: control.Status{
		VRRP: []control.Router{{Name: "web", State: "master"}, {Name: "mail", State: "backup"}},
		Services: []control.Service{
			{Name: "www", Protocol: "tcp", Virtual: "192.0.2.100:80", Servers: []control.Server{server("192.0.2.11"), server("2001:db8::12")}},
			{Name: "mx", Protocol: "tcp", Virtual: "192.0.2.100:25", Servers: []control.Server{server("192.0.2.11")}},
		},
	}})
	one := serveControl(t, &remembering{status: control.Status{Services: []control.Service{{Name: "www", Servers: []control.Server{server("192.0.2.11")}}}}})
	const space, noSpace = ":4", ":6"
	for _, c := range []struct{ socket, line, want string }{
		{two, "failover ", "web\tMASTER mail\tBACKUP " + space},
		{two, "failover web m", "mail\tBACKUP " + space},
		{two, "release w", "web\tMASTER " + space},
		{two, "drain ", "www/\t2 servers mx/\t1 server " + noSpace},
		{two, "undrain ww", "www/\t2 servers " + noSpace},
		{two, "weight www/", "www/192.0.2.11:80\thealthy, weight 1 www/[2001:db8::12]:80\thealthy, weight 1 " + space},
		{two, "disable mx/192", "mx/192.0.2.11:80\thealthy, weight 1 " + space},
		{two, "enable www/192.0.2.11:80 ", space}, // no second one
		{one, "drain ", "www/192.0.2.11:80\thealthy, weight 1 " + space},
		{two, "why w", "web\tMASTER www\ttcp 192.0.2.100:80 www/\t2 servers " + space},
		{two, "history --router m", "mail\tBACKUP " + space},
		{two, "probe --server www/192", "www/192.0.2.11:80\thealthy, weight 1 " + space},
		{two, "events --service m", "mx\ttcp 192.0.2.100:25 " + space},
		{filepath.Join(t.TempDir(), "none"), "drain ", space}, // no director
		{two, "completion ", "bash zsh fish " + space},
	} {
		t.Setenv("TANDEM_SOCKET", c.socket)
		out, _, err := execute(t, append([]string{cobra.ShellCompRequestCmd}, strings.Split(c.line, " ")...)...)
		if got := strings.ReplaceAll(strings.TrimSuffix(out, "\n"), "\n", " "); err != nil || !strings.HasPrefix(got, c.want) {
			t.Errorf("%q: %v, got %q, want %q", c.line, err, got, c.want)
		}
	}
}

func TestCompletionScripts(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish"} {
		if out, _, err := execute(t, "completion", shell); err != nil || !strings.Contains(out, cobra.ShellCompRequestCmd) {
			t.Errorf("%s: %v, %d bytes", shell, err, len(out))
		}
	}
	if _, _, err := execute(t, "completion", "tcsh"); err == nil || err.Error() != `unknown shell "tcsh": want bash, zsh or fish` {
		t.Errorf("another shell: %v", err)
	}
}
