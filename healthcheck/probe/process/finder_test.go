// SPDX-License-Identifier: Apache-2.0

package process

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/healthcheck/internal/probetest"
)

func target(name string) *healthcheck.Target {
	return &healthcheck.Target{Config: healthcheck.Config{Type: healthcheck.Process, Process: name}}
}

// sleeper copies sleep(1) to a program of its own name, and returns its path.
func sleeper(t *testing.T, name string) string {
	t.Helper()
	original, err := exec.LookPath("sleep")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(original)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, text, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func start(t *testing.T, path string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(path, args...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { end(cmd) })
	return cmd
}

func end(cmd *exec.Cmd) {
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
}

// unique returns a name of so many bytes.
func unique(bytes int) string { return fmt.Sprintf("t%0*d", bytes-1, os.Getpid()) }

// A process is found while it runs, also if the kernel cuts its name. A zombie is not found.
func TestFinder(t *testing.T) {
	for _, bytes := range []int{10, maxComm, maxComm + 1, 40} {
		name := unique(bytes)
		f := NewFinder()
		defer f.Close()
		// A child has its program's name, and a killed process is dead, only a moment later.
		want := func(what string, want healthcheck.Result) {
			t.Helper()
			var got healthcheck.Result
			if !probetest.Eventually(10*time.Second, func() bool { got = f.Probe(target(name)); return got == want }) {
				t.Errorf("%d bytes, %s: %+v, want %+v", bytes, what, got, want)
			}
		}
		found, none := healthcheck.Pass(runs), healthcheck.Fail(healthcheck.NotRunning, missing)
		path := sleeper(t, name)
		want("not started", none)
		first, second := start(t, path, "100"), start(t, path, "100")
		want("two run", found)
		held := f.found[name].pid
		if held != first.Process.Pid && held != second.Process.Pid {
			t.Errorf("%d bytes: process %d was found", bytes, held)
		}
		if held == second.Process.Pid {
			first, second = second, first
		}
		end(first)
		want("the one that was found has ended", found)
		if err := second.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		want("both have ended, and one is a zombie", none)
		start(t, path, "100")
		want("another one has started", found)
	}
}

// A program is found by its own name, not by that of its interpreter's file alone. Neither a part of the name, nor the name as an
// argument, is enough.
func TestFinderOfScripts(t *testing.T) {
	name := unique(20)
	script := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(script, []byte("#!/bin/sh\nsleep 100\n:\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	f := NewFinder()
	defer f.Close()
	passes := func(name string) bool { return f.Probe(target(name)).Outcome == healthcheck.Passed }
	cmd := exec.Command(script)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL); _ = cmd.Wait() }()
	if !probetest.Eventually(10*time.Second, func() bool { return passes(name) }) {
		t.Error("the script was not found")
	}
	start(t, sleeper(t, unique(12)), "100")
	for _, other := range []string{name[:maxComm], name[:maxComm] + "x", unique(12)[:11]} {
		if passes(other) {
			t.Errorf("%s was found", other)
		}
	}
}

func TestNamesOfPrograms(t *testing.T) {
	for stat, want := range map[string]string{
		"1 (systemd) S 0 1 1 0 -1 4194560 1 2":        "systemd",
		"7 (a) b (c) R 0 1 1 0 -1 4194560 1 2":        "a) b (c",
		"7 () R 0 1 1 0 -1 4194560 1 2":               "",
		"2 (kthreadd) S 0 0 0 0 -1 2129984 0 0":       "-",
		"9 (sleep) Z 0 1 1 0 -1 4194560 1 2":          "-",
		"9 (sleep) X 0 1 1 0 -1 4194560 1 2":          "-",
		"9 (sleep) S 0 1 1 0 -1 a 1 2":                "-",
		"9 (sleep) S 0 1":                             "-",
		"9 sleep) S 0 1 1 0 -1 4194560":               "-",
		"9 (sleep S 0 1 1 0 -1 4194560":               "-",
		")(":                                          "-",
		"":                                            "-",
		"1 (systemd) S 0 1 1 0 -1 4194560 1 2 3 4 \n": "systemd",
	} {
		got, ok := program(stat)
		if !ok {
			got = "-"
		}
		if got != want {
			t.Errorf("%q: %q, want %q", stat, got, want)
		}
	}
}

// Without a list of the processes, nothing is known about them.
func TestFinderWithoutProc(t *testing.T) {
	f := NewFinder()
	f.proc = filepath.Join(t.TempDir(), "proc")
	if got := f.Probe(target("init")); got.Outcome != healthcheck.NotRun || !strings.Contains(got.Reason, "no such file") {
		t.Errorf("%+v", got)
	}
}

// BenchmarkFinder is a probe of a process that was found before, and one that goes through all processes.
func BenchmarkFinder(b *testing.B) {
	self, err := os.ReadFile("/proc/self/comm")
	if err != nil {
		b.Fatal(err)
	}
	f := NewFinder()
	defer f.Close()
	b.Run("runs", func(b *testing.B) {
		for b.Loop() {
			f.Probe(target(strings.TrimSpace(string(self))))
		}
	})
	b.Run("missing", func(b *testing.B) {
		for b.Loop() {
			f.Probe(target("no-such-process"))
		}
	})
}
