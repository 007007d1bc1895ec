// SPDX-License-Identifier: Apache-2.0

// Package diagnosis describes faults that more than one command can see, so that tandem status, tandem doctor and tandem
// check name a fault in the same words. Its functions are pure: the caller brings the facts.
package diagnosis

// A Severity is how bad a finding is.
type Severity uint8

// The severities, by their names in JSON: note, warning, error.
const (
	Note    Severity = iota + 1 // everything works
	Warning                     // works now, and will fail in a case that is to be expected
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
	Why      string   `json:"why"`  // what the fault does to clients or operators
	Mend     string   `json:"mend"` // the command that repairs it, or what to do where no command can
}

// Advice is the finding in one sentence: what is wrong, and what to do.
func (f Finding) Advice() string { return f.What + "; " + f.Mend }
