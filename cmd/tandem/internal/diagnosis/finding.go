// SPDX-License-Identifier: Apache-2.0

// Package diagnosis only puts known faults into words; package doctor examines a machine to find them. tandem status,
// tandem doctor and tandem check use this package, so that they have the same words for the same fault. Its functions are pure.
package diagnosis

// A Severity is how bad a finding is.
type Severity uint8

// The severities, by their names in JSON: note, warning, error.
const (
	Note    Severity = iota + 1 // everything works
	Warning                     // works now, but will fail in a case that must be expected
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

// A Finding is one fault.
type Finding struct {
	ID       string   `json:"id"`
	Severity Severity `json:"severity"`
	What     string   `json:"what"`
	Why      string   `json:"why"`  // the effect of the fault on clients or operators
	Mend     string   `json:"mend"` // the command that repairs it, or advice if there is no command
}

// Advice returns the finding in one sentence: the fault, and what to do.
func (f Finding) Advice() string { return f.What + "; " + f.Mend }
