// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// A Finding is one of the doctor's, by the documented names.
type Finding struct {
	ID, Severity, What, Why, Mend string
	Fixable                       bool
}

// Doctor runs tandem doctor on the host and returns what it found, and its exit code. Whether somebody keeps the clock is
// left out: hosts have that of the machine, and its state differs from one to the next.
func (h *Host) Doctor(args ...string) (found []Finding, code int) {
	h.lab.t.Helper()
	p := h.Start(Tandem.Path(), append([]string{"doctor", "--json", "--state-dir", filepath.Join(h.dir, "realserver")}, args...)...)
	code = p.Wait(30 * time.Second)
	p.AwaitOutput(5*time.Second, "]\n")
	text := p.Output()
	text = text[strings.Index(text, "["):] // what --fix says comes before
	if err := json.NewDecoder(strings.NewReader(text)).Decode(&found); err != nil {
		h.lab.t.Fatalf("doctor on %s, exit code %d: %v\n%s", h.Name, code, err, text)
	}
	return slices.DeleteFunc(found, func(f Finding) bool { return f.ID == "clock-unsynchronised" }), code
}
