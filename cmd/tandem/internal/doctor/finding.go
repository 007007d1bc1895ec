// SPDX-License-Identifier: Apache-2.0

// Package doctor finds what keeps a director or a real server from working, though nothing reports an error.
//
// It gathers a Snapshot of the machine and its network (gather.go), judges it without looking at anything else
// (director.go, realserver.go), and mends what is safe to mend (fix.go).
package doctor

import (
	"encoding/json"
	"fmt"
	"slices"
)

// A Severity is how bad a finding is.
type Severity uint8

// The severities, by their names in JSON: note, warning, error.
const (
	Note    Severity = iota + 1 // worth knowing; all works
	Warning                     // works now, and will not in a case that comes
	Error                       // does not work
)

// String returns the severity as JSON names it.
func (s Severity) String() string {
	switch s {
	case Note:
		return "note"
	case Warning:
		return "warning"
	case Error:
		return "error"
	}
	return "unknown"
}

// MarshalText implements encoding.TextMarshaler.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// A Finding is one thing wrong.
type Finding struct {
	ID       string   `json:"id"`
	Severity Severity `json:"severity"`
	What     string   `json:"what"`
	Why      string   `json:"why"`
	Mend     string   `json:"mend"` // the command that mends it, or what to do where there is none
	fix      *fix
}

// Fixable tells whether Mend does it: without danger to anything else on the machine.
func (f Finding) Fixable() bool { return f.fix != nil }

// MarshalJSON implements json.Marshaler.
func (f Finding) MarshalJSON() ([]byte, error) {
	type plain Finding
	return json.Marshal(struct {
		plain
		Fixable bool `json:"fixable"`
	}{plain(f), f.Fixable()})
}

// String is the finding in one line.
func (f Finding) String() string {
	return fmt.Sprintf("%s %s: %s; %s; mend: %s", f.Severity, f.ID, f.What, f.Why, f.Mend)
}

// Worst returns the greatest severity, 0 without findings.
func Worst(findings []Finding) Severity {
	var worst Severity
	for _, f := range findings {
		worst = max(worst, f.Severity)
	}
	return worst
}

// sorted returns the findings with the worst first, those of one severity in the order in which they were found.
func sorted(findings []Finding) []Finding {
	slices.SortStableFunc(findings, func(a, b Finding) int { return int(b.Severity) - int(a.Severity) })
	return findings
}
