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
func (b *bench) measure(what, subject string, f func(*lab.Attempt)) {
	if only := b.options.only; only != nil && !only.MatchString(what+", "+subject) {
		return
	}
	a := lab.NewAttempt(what)
	reason := a.Do(func() { f(a) })
	if reason == "" {
		return
	}
	b.progress("%s, %s: not measured: %s", what, subject, reason)
	for _, text := range a.Logs() {
		fmt.Fprintln(os.Stderr, text)
	}
	b.emit(message{Row: &row{
		Section: b.section.name, Place: b.place.Kind, Case: what, Subject: subject, Note: reason,
	}})
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
