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

// Doctor runs tandem doctor on the host and returns its findings and its exit code. It leaves out the finding whether the
// clock is synchronised, because that depends on the machine that runs the lab.
func (h *Host) Doctor(args ...string) (found []Finding, code int) {
	h.lab.t.Helper()
	p := h.Start(Tandem.Path(), append([]string{"doctor", "--json", "--state-dir", filepath.Join(h.dir, "realserver")}, args...)...)
	code = p.Wait(30 * time.Second)
	p.AwaitOutput(5*time.Second, "]\n")
	text := p.Output()
	text = text[strings.Index(text, "["):] // --fix writes text before it
	if err := json.NewDecoder(strings.NewReader(text)).Decode(&found); err != nil {
		h.lab.t.Fatalf("doctor on %s, exit code %d: %v\n%s", h.Name, code, err, text)
	}
	return slices.DeleteFunc(found, func(f Finding) bool { return f.ID == "clock-unsynchronised" }), code
}
