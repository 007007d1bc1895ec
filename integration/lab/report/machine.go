// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// A Machine is where something was measured, and what was measured there.
type Machine struct {
	Place      string  `json:"place"` // vm or direct
	Processor  string  `json:"processor"`
	CPUs       int     `json:"cpus"`
	Kernel     string  `json:"kernel"`
	Load       float64 `json:"load"` // load average of the last minute, at the start
	Tandem     string  `json:"tandem"`
	Keepalived string  `json:"keepalived"`
}

func (m Machine) String() string {
	where := "namespaces of the machine's own kernel"
	if m.Place == "vm" {
		where = "a virtual machine under emulation"
	}
	return fmt.Sprintf("%s: %s: Linux %s, %d × %s, load %.2f at the start; tandem %s, %s",
		m.Place, where, m.Kernel, m.CPUs, m.Processor, m.Load, m.Tandem, m.Keepalived)
}

// ThisMachine describes the machine of an inner run.
func ThisMachine() Machine {
	m := Machine{Place: lab.Place(), CPUs: runtime.NumCPU(), Processor: "unknown processor"}
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		m.Kernel = unix.ByteSliceToString(u.Release[:])
	}
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
				m.Processor = strings.TrimSpace(value)
				break
			}
		}
	}
	if text, err := os.ReadFile("/proc/loadavg"); err == nil {
		first, _, _ := strings.Cut(string(text), " ")
		m.Load, _ = strconv.ParseFloat(first, 64)
	}
	m.Tandem = strings.TrimPrefix(version(lab.Tandem.Path(), "version"), "tandem ")
	m.Keepalived = version("keepalived", "--version")
	return m
}

// version returns the first line of a program's version text.
func version(program string, args ...string) string {
	text, err := exec.Command(program, args...).CombinedOutput()
	if err != nil {
		return "unknown (" + err.Error() + ")"
	}
	line, _, _ := strings.Cut(strings.TrimSpace(string(text)), "\n")
	return line
}

// Revision names the source that is measured.
func Revision() string {
	text, err := exec.Command("git", "describe", "--always", "--dirty", "--tags").Output()
	if err != nil {
		return "a source without a revision"
	}
	return strings.TrimSpace(string(text))
}
