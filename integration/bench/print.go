// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/tandem-lvs/tandem/integration/lab/report"
)

// print writes a table for each section: cases down, subjects across.
func (r *result) print(w io.Writer) {
	for _, s := range sections {
		rows := slices.DeleteFunc(slices.Clone(r.Rows), func(row row) bool { return row.Section != s.name })
		if len(rows) == 0 {
			continue
		}
		var cases, subjects []string
		cells := map[[2]string]string{}
		for _, row := range rows {
			if !slices.Contains(cases, row.Case) {
				cases = append(cases, row.Case)
			}
			if !slices.Contains(subjects, row.Subject) {
				subjects = append(subjects, row.Subject)
			}
			cells[[2]string{row.Case, row.Subject}] = row.String()
		}
		table := [][]string{append([]string{s.name + ": " + s.about}, subjects...)}
		for _, c := range cases {
			line := []string{"  " + c}
			for _, subject := range subjects {
				// A subject without a row does not have this case.
				line = append(line, cmp.Or(cells[[2]string{c, subject}], "–"))
			}
			table = append(table, line)
		}
		fmt.Fprintln(w)
		report.Table(w, "l"+strings.Repeat("r", len(subjects)), table)
		for _, row := range rows {
			if row.Value == nil {
				fmt.Fprintf(w, "  not measured: %s, %s: %s\n", row.Case, row.Subject, row.Note)
			}
		}
		i := slices.IndexFunc(r.Machines, func(m report.Machine) bool { return m.Place == rows[0].Place })
		fmt.Fprintf(w, "  measured on %s\n", r.Machines[i])
	}
	fmt.Fprintf(w, "\nTandem was built from %s. The run took %s.\n", r.Revision, r.Took)
	if r.Before != "" {
		fmt.Fprintf(w, "%q was built from %s.\n", before.name, r.Before)
	}
}
