// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/tandem-lvs/tandem/integration/lab/report"
)

// TestGoalsAreJudged: a figure with a goal is printed with the goal and whether it is reached. The run fails if the figure misses the
// goal by a wide margin, or if something could not be measured.
func TestGoalsAreJudged(t *testing.T) {
	for _, tt := range []struct {
		name   string
		figure float64
		goal   *report.Goal
		prints string
		fails  string // empty: it does not
	}{
		{"no goal", 7, nil, "7 % of a core\n", ""},
		{"reached", 0.5, report.AtMost(1), "0.5 % of a core (goal at most 1, reached yes)\n", ""},
		{"missed a little", 1.5, report.AtMost(1), "1.5 % of a core (goal at most 1, reached no)\n", ""},
		{"missed by a wide margin", 2.5, report.AtMost(1), "2.5 % of a core (goal at most 1, reached no)\n",
			"traffic: the looks at them, tandem: 2.5 % of a core (goal at most 1, reached no): it misses its goal by a wide margin"},
		{"a firm goal missed a little", 1.5, report.AtMost(1).Firmly(), "1.5 % of a core (goal at most 1, reached no)\n",
			"traffic: the looks at them, tandem: 1.5 % of a core (goal at most 1, reached no): it misses its goal"},
	} {
		r := result{Machines: []report.Machine{{Place: "vm"}}}
		r.Rows = []row{{Section: "traffic", Place: "vm", Case: "the looks at them", Subject: "tandem", Value: &tt.figure, Unit: "% of a core", Goal: tt.goal}}
		var out bytes.Buffer
		r.print(&out)
		if !strings.Contains(out.String(), tt.prints) {
			t.Errorf("%s: printed %q, want %q", tt.name, out.String(), tt.prints)
		}
		if err := r.failed(); (err == nil) != (tt.fails == "") || err != nil && err.Error() != tt.fails {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.fails)
		}
	}
	r := result{Rows: []row{{Section: "traffic", Case: "one look"}, {Section: "traffic", Case: "the looks at them"}}}
	if err := r.failed(); err == nil || err.Error() != "2 of 2 could not be measured" {
		t.Errorf("not measured: %v", err)
	}
}
