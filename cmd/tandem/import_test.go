// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os/user"
	"path/filepath"
	"strings"
	"testing"
)

// TestImport: the exit codes, the flags, and that what was converted passes tandem check.
func TestImport(t *testing.T) {
	dir := t.TempDir()
	write := writerIn(t, dir)
	const instance = "vrrp_instance web {\n interface eth0\n virtual_router_id 51\n version 3\n @lb1 priority 150\n virtual_ipaddress {\n" +
		" 192.0.2.100/24\n }\n}\n"
	good, noted := write("good.conf", instance), write("noted.conf", instance+"global_defs {\n enable_dbus\n}\n")
	broken := write("broken.conf", "vrrp_instance web {\n")
	including := write("including.conf", "include go*.conf\n")
	table := write("table", "-A -t 192.0.2.100:80 -s rr\n-a -t 192.0.2.100:80 -r 192.0.2.11:80 -g -w 1\n")
	for _, c := range []struct {
		name      string
		args      []string
		code      int
		out, says string // what they contain
	}{
		{"all", []string{good, "--config-id", "lb1"}, 0, "priority  = 150", ""},
		{"an included file", []string{including, "--config-id", "lb1"}, 0, "priority  = 150", ""},
		{"for another machine", []string{good, "--config-id", "lb3"}, 2, "vrid      = 51", "lines begin with @lb1"},
		{"notes", []string{noted, "--config-id", "lb1"}, 2, "[[vrrp]]", noted + ":11: enable_dbus: has no equivalent"},
		{"refused", []string{broken}, 1, "", broken + `:1: the block of "vrrp_instance" has no closing }`},
		{"a pair", []string{good, "--config-id", "lb1", "--peer", good, "--peer-config-id", "lb2"}, 0, "[director.lb1]\nvrrp.web.priority = 150", ""},
		{"a pair with names", []string{good, "--config-id", "lb1", "--name", "a", "--peer", good, "--peer-config-id", "lb2", "--peer-name", "b"}, 0,
			"[director.a]", ""},
		{"a table", []string{"--ipvsadm", table}, 2, `virtual   = "192.0.2.100:80"`, "the kernel knows of no checks"},
		{"no file", []string{dir + "/none"}, 1, "", "failed to read the configuration of keepalived: " + dir + "/none: no such file"},
		{"a folder", []string{dir}, 1, "", dir + ": is not a file"},
		{"no argument", nil, 1, "", "a FILE is missing"},
		{"a table with a peer", []string{"--ipvsadm", table, "--peer", table}, 1, "", "--peer has no meaning with --ipvsadm"},
		{"keywords", []string{"--keywords"}, 0, "vrrp_instance", ""},
	} {
		out, stderr, err := execute(t, append([]string{"import"}, c.args...)...)
		code := 0
		if err != nil {
			code, stderr = exitCode(err), stderr+err.Error()
		}
		if code != c.code || !strings.Contains(out, c.out) || c.out == "" && out != "" || !strings.Contains(stderr, c.says) || c.says == "" && stderr != "" {
			t.Errorf("%s: code %d, %q, %q", c.name, code, out, stderr)
		}
		if code == 1 || c.name == "keywords" {
			continue
		}
		if _, said, err := execute(t, "check", write("tandem.toml", out)); err != nil {
			t.Errorf("%s: tandem check: %v, %s", c.name, err, said)
		}
		if _, _, err := execute(t, "fmt", "-d", filepath.Join(dir, "tandem.toml")); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// TestUsualScriptUser: without a user keepalived_script, keepalived runs scripts as root.
func TestUsualScriptUser(t *testing.T) {
	for _, there := range []string{"keepalived_script", "root"} {
		got := usualScriptUser(func(name string) (*user.User, error) {
			if name != there {
				return nil, user.UnknownUserError(name)
			}
			return &user.User{Username: name}, nil
		})
		if got != there {
			t.Errorf("on a machine with %s alone: scripts run as %s", there, got)
		}
	}
}

// TestCheckAcceptsWhatWasConverted: tandem check accepts each golden file of the importer, those for pairs as a pair.
func TestCheckAcceptsWhatWasConverted(t *testing.T) {
	for _, c := range []struct {
		pattern string
		least   int
		says    string
	}{{"*.toml", 40, ": ok (virtual routers: "}, {"pair-*/*.toml", 3, "\npair: ok (lb1 and lb2)"}} {
		files, err := filepath.Glob(filepath.Join("internal/importer/testdata", c.pattern))
		if err != nil || len(files) < c.least {
			t.Errorf("%s: %d files, want at least %d; %v", c.pattern, len(files), c.least, err)
		}
		for _, file := range files {
			out, _, err := execute(t, "check", file)
			if err != nil || !strings.Contains(out, c.says) {
				t.Errorf("tandem check %s: %v, %s", file, err, out)
			}
		}
	}
}
