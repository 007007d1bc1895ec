// SPDX-License-Identifier: Apache-2.0

package handoff

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// stageVar makes the test binary a program that is replaced (1), or the one that replaces it.
const stageVar = "TANDEM_TEST_STAGE"

func TestMain(m *testing.M) {
	switch os.Getenv(stageVar) {
	case "1":
		fmt.Println(replaced())
		os.Exit(1) // Exec has failed
	case "2":
		fmt.Println(replacing())
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// replaced is the former program. A child of it still runs.
func replaced() error {
	_ = os.Setenv(stageVar, "2")
	child := exec.Command("sleep", "0.2")
	if err := child.Start(); err != nil {
		return err
	}
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		return err
	}
	if _, err := unix.Write(pipe[1], []byte("still open")); err != nil {
		return err
	}
	d := document()
	d.Election.PID, d.Election.Socket, d.Election.Board = os.Getpid(), pipe[0], pipe[1]
	return Exec("/proc/self/exe", []string{"an argument"}, d)
}

// replacing is the program that follows.
func replacing() string {
	d, err := Inherited()
	if err != nil || d == nil {
		return fmt.Sprint("no document: ", err)
	}
	if again, err := Inherited(); again != nil || err != nil || slices.ContainsFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, variable) }) {
		return fmt.Sprint("the variable is still there: ", err)
	}
	b := make([]byte, 20)
	n, err := unix.Read(d.Election.Socket, b)
	if err != nil || string(b[:n]) != "still open" || d.Election.PID != os.Getpid() || os.Args[1] != "an argument" {
		return fmt.Sprintf("%q, %v, %+v, %q", b[:n], err, d.Election, os.Args)
	}
	for _, fd := range []int{d.Election.Socket, d.Election.Board} {
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
			return "programs that this one starts get the descriptors"
		}
	}
	for began := time.Now(); time.Since(began) < 10*time.Second; time.Sleep(5 * time.Millisecond) {
		text, err := os.ReadFile("/proc/self/task/" + strconv.Itoa(os.Getpid()) + "/children")
		if err != nil {
			return err.Error()
		}
		if len(text) == 0 {
			return "ok"
		}
	}
	return "a child of the former program was left as a zombie"
}

// TestExec: the process goes on with another program, its number and its descriptors. Nobody leaves a zombie.
func TestExec(t *testing.T) {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), stageVar+"=1")
	if out, err := cmd.CombinedOutput(); err != nil || string(out) != "ok\n" {
		t.Errorf("%v, %s", err, out)
	}
}

// TestExecFails: without the program nothing changes.
func TestExecFails(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	d := document()
	d.Election.Socket, d.Election.Board = int(r.Fd()), int(w.Fd())
	if err := Exec(filepath.Join(t.TempDir(), "missing"), nil, d); err == nil || !strings.Contains(err.Error(), "failed to run") {
		t.Error(err)
	}
	if flags, err := unix.FcntlInt(r.Fd(), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Error("programs that this one starts get the descriptors")
	}
	if _, err := w.WriteString("open"); err != nil {
		t.Error(err)
	}
	_ = w.Close()
	if text, err := io.ReadAll(r); string(text) != "open" {
		t.Errorf("%q, %v", text, err)
	}
}

// TestCheck: the words of a program that refuses are in the error.
func TestCheck(t *testing.T) {
	script := func(text string) string {
		name := filepath.Join(t.TempDir(), "program")
		if err := os.WriteFile(name, []byte("#!/bin/sh\n"+text), 0o755); err != nil {
			t.Fatal(err)
		}
		return name
	}
	if err := Check(t.Context(), script(`[ "$*" = "run -c file --check-handoff" ] && grep -q '"format":1'`), []string{"run", "-c", "file"}, document()); err != nil {
		t.Error(err)
	}
	for text, want := range map[string]string{
		"echo unknown flag >&2; exit 1": "cannot take over: exit status 1: unknown flag",
		"kill -9 $$":                    "signal: killed",
	} {
		if err := Check(t.Context(), script(text), nil, document()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	if err := Check(t.Context(), filepath.Join(t.TempDir(), "missing"), nil, document()); err == nil {
		t.Error("no error without a program")
	}
}
