// SPDX-License-Identifier: Apache-2.0

package main

import (
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/drill"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/screen"
)

// drills tells about the last drill of each kind. One under way is a warning.
func (p *statusPage) drills(all []control.Drill) {
	t := screen.Table{Header: []string{"DRILL", "RESULT", "OUTAGE", "BUDGET", "AGO", "LAST PASSED"}}
	for _, d := range all {
		style := screen.Green
		if !d.Passed() {
			style = screen.Red
		}
		t.Row(cell(d.Kind), screen.Span{Text: d.Result, Style: style}, cell(drillTime(d.OutageSeconds)), cell(drillTime(d.BudgetSeconds)),
			cell(ago(p.now, d.Ended)), cell(agoOrNever(p.now, d.LastPassed)))
	}
	p.table(t)
}

// drillTime writes a time of a drill; "-" if it is not known.
func drillTime(seconds *float64) string {
	if seconds == nil {
		return "-"
	}
	return drill.Seconds(*seconds).String()
}

// agoOrNever writes how long ago something was.
func agoOrNever(now, at time.Time) string {
	if at.IsZero() {
		return "never"
	}
	return ago(now, at) + " ago"
}
