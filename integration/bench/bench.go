// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// A bench is the inner run.
type bench struct {
	options options
	place   place
	section section
}

// emit sends a message to the outer run.
func (b *bench) emit(m message) {
	text, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	fmt.Printf("%s%s\n", mark, text)
}

// progress tells the reader what the run is measuring.
func (b *bench) progress(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%s: %s\n", b.section.name, fmt.Sprintf(format, args...))
}

// report adds one measurement to the result. The note helps to read it.
func (b *bench) report(what, subject string, value float64, unit, note string) {
	b.progress("%s, %s: %.4g %s (%s)", what, subject, value, unit, note)
	b.emit(message{Row: &row{
		Section: b.section.name, Place: b.place.Kind, Case: what, Subject: subject, Value: &value, Unit: unit, Note: note,
	}})
}

// measure runs f, which makes its own lab. If f fails, the result has the reason instead of a number.
func (b *bench) measure(what, subject string, f func(*attempt)) {
	if only := b.options.only; only != nil && !only.MatchString(what+", "+subject) {
		return
	}
	a := &attempt{name: what}
	a.do(f)
	if a.reason == "" {
		return
	}
	b.progress("%s, %s: not measured: %s", what, subject, a.reason)
	for _, text := range a.logs {
		fmt.Fprintln(os.Stderr, text)
	}
	b.emit(message{Row: &row{
		Section: b.section.name, Place: b.place.Kind, Case: what, Subject: subject, Note: a.reason,
	}})
}

// An attempt is one measurement. The lab uses it as it uses a *testing.T in a test.
type attempt struct {
	name     string
	cleanups []func()
	logs     []string
	reason   string // the first, if it failed
}

var _ lab.T = (*attempt)(nil)

// A stopped ends an attempt from within.
type stopped struct{}

// do runs f and its cleanups.
func (a *attempt) do(f func(*attempt)) {
	guarded := func(f func()) {
		defer func() {
			switch r := recover().(type) {
			case nil, stopped:
			default:
				panic(r)
			}
		}()
		f()
	}
	guarded(func() { f(a) })
	for len(a.cleanups) > 0 {
		last := a.cleanups[len(a.cleanups)-1]
		a.cleanups = a.cleanups[:len(a.cleanups)-1]
		guarded(last)
	}
}

// The methods of lab.T.
func (a *attempt) Helper()          {}
func (a *attempt) Name() string     { return a.name }
func (a *attempt) Failed() bool     { return a.reason != "" }
func (a *attempt) Cleanup(f func()) { a.cleanups = append(a.cleanups, f) }
func (a *attempt) Logf(format string, args ...any) {
	a.logs = append(a.logs, fmt.Sprintf(format, args...))
}

// Errorf stores the first reason of a failure.
func (a *attempt) Errorf(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	a.logs = append(a.logs, text)
	if a.reason == "" {
		a.reason = text
	}
}

// Fatalf ends the attempt.
func (a *attempt) Fatalf(format string, args ...any) {
	a.Errorf(format, args...)
	panic(stopped{})
}

// TempDir makes a directory that is removed after the attempt.
func (a *attempt) TempDir() string {
	dir, err := os.MkdirTemp("", "bench-")
	if err != nil {
		a.Fatalf("make a directory: %v", err)
	}
	a.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// describe returns the place of this run.
func describe() place {
	p := place{Kind: lab.Place(), CPUs: runtime.NumCPU(), Machine: "unknown processor"}
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		p.Kernel = unix.ByteSliceToString(u.Release[:])
	}
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
				p.Machine = strings.TrimSpace(value)
				break
			}
		}
	}
	if text, err := os.ReadFile("/proc/loadavg"); err == nil {
		first, _, _ := strings.Cut(string(text), " ")
		p.Load, _ = strconv.ParseFloat(first, 64)
	}
	p.Tandem = version(lab.Tandem.Path(), "version")
	p.Keepalived = version("keepalived", "--version")
	return p
}

// version returns the first line of a program's version text.
func version(program string, args ...string) string {
	text, err := exec.Command(program, args...).CombinedOutput()
	if err != nil {
		return "unknown (" + err.Error() + ")"
	}
	line, _, _ := strings.Cut(strings.TrimSpace(string(text)), "\n")
	return strings.TrimPrefix(line, "tandem ")
}
