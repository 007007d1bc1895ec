// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// A Finding is a finding of tandem doctor, by its documented names.
type Finding struct {
	ID, Severity, What, Why, Mend string
	Fixable                       bool
}

// Doctor runs tandem doctor on the host and returns its findings and its exit code.
func (h *Host) Doctor(args ...string) (found []Finding, code int) {
	h.lab.t.Helper()
	return h.StartDoctor(args...).Findings()
}

// A Doctor is a tandem doctor that was started.
type Doctor struct {
	Began time.Time
	*Process
}

// StartDoctor starts tandem doctor on the host.
func (h *Host) StartDoctor(args ...string) Doctor {
	h.lab.t.Helper()
	began := time.Now()
	return Doctor{began, h.Start(Tandem.Path(), append([]string{"doctor", "--json", "--state-dir", filepath.Join(h.dir, "realserver")}, args...)...)}
}

// Findings waits for the end and returns the findings and the exit code. It leaves out the finding whether the clock is
// synchronised, because that depends on the machine that runs the lab.
func (d Doctor) Findings() (found []Finding, code int) {
	t := d.host.lab.t
	t.Helper()
	code = d.Wait(30 * time.Second)
	d.AwaitOutput(5*time.Second, "]\n")
	text := d.Output()
	text = text[max(strings.Index(text, "[\n"), strings.Index(text, "[]\n")):] // --fix writes text before it
	if err := json.NewDecoder(strings.NewReader(text)).Decode(&found); err != nil {
		t.Fatalf("doctor on %s, exit code %d: %v\n%s", d.host.Name, code, err, text)
	}
	return slices.DeleteFunc(found, func(f Finding) bool { return f.ID == "clock-unsynchronised" }), code
}
