// SPDX-License-Identifier: Apache-2.0

package main

import (
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
	Note    string   `json:"note,omitempty"` // helps to read the number, or says why there is none
}

func (r row) String() string {
	if r.Value == nil {
		return "not measured"
	}
	return fmt.Sprintf("%.4g %s", *r.Value, r.Unit)
}

// A message is what the inner run tells the outer one.
type message = report.Message[row]

// take adds a message to the result.
func (r *result) take(text []byte) error { return report.Take(text, &r.Machines, &r.Rows) }

func (r *result) failed() int {
	n := 0
	for _, row := range r.Rows {
		if row.Value == nil {
			n++
		}
	}
	return n
}
