// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"

	"github.com/tandem-lvs/tandem/integration/lab/report"
)

// A result is the measurements of a run.
type result struct {
	Revision string           `json:"revision"`         // of tandem's source
	Before   string           `json:"before,omitempty"` // of the older one beside it
	Took     string           `json:"took"`
	Machines []report.Machine `json:"machines"`
	Rows     []row            `json:"rows"`
}

// A row is one measurement.
type row struct {
	Section string   `json:"section"`
	Place   string   `json:"place"`
	Case    string   `json:"case"`
	Subject string   `json:"subject"`
	Value   *float64 `json:"value"` // null: it could not be measured
	Unit    string   `json:"unit"`
	// Goal is what the value should be; null: there is no goal.
	Goal *report.Goal `json:"goal,omitempty"`
	Note string       `json:"note,omitempty"` // helps to read the number, or says why there is none
}

func (r row) String() string {
	if r.Value == nil {
		return "not measured"
	}
	text := fmt.Sprintf("%.4g %s", *r.Value, r.Unit)
	if r.Goal != nil {
		text += " (" + r.Goal.Judge(*r.Value) + ")"
	}
	return text
}

// A message is what the inner run tells the outer one.
type message = report.Message[row]

// take adds a message to the result.
func (r *result) take(text []byte) error { return report.Take(text, &r.Machines, &r.Rows) }

// failed returns why the run has failed: something could not be measured, or misses its goal by a wide margin, or a firm one. nil: it has not.
func (r *result) failed() error {
	unmeasured := 0
	var errs []error
	for _, row := range r.Rows {
		switch {
		case row.Value == nil:
			unmeasured++
		case row.Goal != nil && row.Goal.Missed(*row.Value):
			how := " by a wide margin"
			if row.Goal.Firm {
				how = ""
			}
			errs = append(errs, fmt.Errorf("%s: %s, %s: %s: it misses its goal%s", row.Section, row.Case, row.Subject, row, how))
		}
	}
	if unmeasured > 0 {
		errs = append(errs, fmt.Errorf("%d of %d could not be measured", unmeasured, len(r.Rows)))
	}
	return errors.Join(errs...)
}
