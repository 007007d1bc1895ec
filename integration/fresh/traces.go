// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"github.com/tandem-lvs/tandem/integration/lab/report"
)

// Traces are what a machine has that tandem might leave behind: for each name of a list its lines, and the files.
type traces map[string][]string

const (
	sysctls = "sysctl net"
	files   = "files"
)

// looks are the lists of the network, with the command that prints them.
var looks = []struct {
	name    string
	command []string
}{
	{"ip addr", []string{"ip", "-oneline", "addr"}},
	{"ip link", []string{"ip", "-oneline", "link"}},
	{"ip rule", []string{"ip", "-4", "rule"}},
	{"ip -6 rule", []string{"ip", "-6", "rule"}},
	{"ip route", []string{"ip", "-4", "route", "show", "table", "all"}},
	{"ip -6 route", []string{"ip", "-6", "route", "show", "table", "all"}},
	{"ipvsadm -Sn", []string{"ipvsadm", "-Sn"}},
	{"ipvsadm daemons", []string{"ipvsadm", "-l", "--daemon"}},
	{"ipvsadm timeouts", []string{"ipvsadm", "-l", "--timeout"}},
	{"nft ruleset", []string{"nft", "list", "ruleset"}},
}

// network returns the traces in a machine's kernel.
func (m *machine) network() traces {
	t := make(traces)
	for _, look := range looks {
		out, err := m.TryRun(look.command[0], look.command[1:]...)
		if err != nil {
			m.scene.Fatalf("on %s: %v", m.Name, err)
		}
		for line := range strings.Lines(out) {
			t[look.name] = append(t[look.name], strings.TrimSpace(line))
		}
	}
	if err := m.Do(func() (err error) { t[sysctls], err = readSysctls(); return err }); err != nil {
		m.scene.Fatalf("sysctls of %s: %v", m.Name, err)
	}
	return t
}

// readSysctls returns those of the network of this thread.
func readSysctls() (lines []string, err error) {
	const dir = "/proc/sys/"
	err = filepath.WalkDir(dir+"net", func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		// Some can only be written, and some have no value yet.
		if text, err := os.ReadFile(path); err == nil {
			lines = append(lines, strings.TrimPrefix(path, dir)+" = "+strings.TrimSpace(string(text)))
		}
		return nil
	})
	return lines, err
}

// elsewhere are folders whose files are not compared: the records of the system and of dpkg, and what ends with the machine.
var elsewhere = []string{"/var/log", "/var/lib/dpkg", "/run", "/tmp", "/proc", "/sys", "/dev"}

// all returns the traces in a machine's kernel and in its files.
func (m *machine) all() traces {
	t := m.network()
	var err error
	if t[files], err = readFiles(m.root); err != nil {
		m.scene.Fatalf("files of %s: %v", m.Name, err)
	}
	return t
}

// readFiles returns a line for each file and folder below a root: its name, mode, owner, size, and what it contains. The times are left
// out: a file that was replaced by one with the same content is no trace.
func readFiles(root string) (lines []string, err error) {
	err = filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := strings.TrimPrefix(path, root)
		if slices.Contains(elsewhere, name) {
			return fs.SkipDir
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		line := fmt.Sprintf("%s %s", name, info.Mode())
		if owner, is := info.Sys().(*syscall.Stat_t); is {
			line += fmt.Sprintf(" %d:%d", owner.Uid, owner.Gid)
		}
		switch {
		case info.Mode().IsRegular():
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			line += fmt.Sprintf(" %d bytes, sum %.12x", len(text), sha256.Sum256(text))
		case info.Mode()&fs.ModeSymlink != 0:
			to, err := os.Readlink(path)
			if err != nil {
				return err
			}
			line += " to " + to
		}
		lines = append(lines, line)
		return nil
	})
	return lines, err
}

// An exception is a difference that is not tandem's doing.
type exception struct {
	list    string
	pattern *regexp.Regexp // of the line, with its sign
	reason  string
}

var exceptions []exception

// compare returns the lines that only one of two traces has, with a sign: + is what is new, - what is lost. Those of the exceptions are
// separate, with their reasons.
func compare(before, after traces, exceptions []exception) (differences, excused []string) {
	for _, list := range slices.Sorted(maps.Keys(after)) {
		for _, text := range report.Differences(before[list], after[list]) {
			i := slices.IndexFunc(exceptions, func(e exception) bool { return e.list == list && e.pattern.MatchString(text) })
			if i >= 0 {
				excused = append(excused, fmt.Sprintf("%s: %s (%s)", list, text, exceptions[i].reason))
			} else {
				differences = append(differences, list+": "+text)
			}
		}
	}
	return differences, excused
}

// size says how much the traces are.
func (t traces) size() string {
	lines := 0
	for list, all := range t {
		if list != files && list != sysctls {
			lines += len(all)
		}
	}
	return fmt.Sprintf("%d files, %d sysctls and %d lines of ip, ipvsadm and nft", len(t[files]), len(t[sysctls]), lines)
}
