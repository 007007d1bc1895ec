// SPDX-License-Identifier: Apache-2.0

// Package doctor finds the usual faults of a director or a real server that no error message names.
//
// It works in three steps: gather.go and gather_*.go collect a Snapshot of the machine and its network. Director and RealServer
// (examine_*.go) judge the Snapshot and do no I/O. Fix (fix.go) runs the repairs that are safe. If one fault causes another,
// such as two masters, only the cause is a finding.
package doctor

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/diagnosis"
)

// A Finding is one fault.
type Finding struct {
	diagnosis.Finding
	fix *fix // nil: Fix does not repair it
}

// Fixable reports whether Fix repairs it. Such a repair is no danger to anything else on the machine.
func (f Finding) Fixable() bool { return f.fix != nil }

// MarshalJSON implements json.Marshaler.
func (f Finding) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		diagnosis.Finding
		Fixable bool `json:"fixable"`
	}{f.Finding, f.Fixable()})
}

// String writes the finding in one line.
func (f Finding) String() string {
	return fmt.Sprintf("%s %s: %s; %s; fix: %s", f.Severity, f.ID, f.What, f.Why, f.Mend)
}

// Worst returns the greatest severity, 0 without findings.
func Worst(findings []Finding) diagnosis.Severity {
	var worst diagnosis.Severity
	for _, f := range findings {
		worst = max(worst, f.Severity)
	}
	return worst
}

// sorted returns the findings, the worst first. Findings of the same severity keep their order.
func sorted(findings []Finding) []Finding {
	slices.SortStableFunc(findings, func(a, b Finding) int { return int(b.Severity) - int(a.Severity) })
	return findings
}
