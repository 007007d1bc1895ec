// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/tandem-lvs/tandem/integration/lab/report"
)

// matrixTitle says what the cells of the matrix are.
var matrixTitle = fmt.Sprintf("A server loses its power: how many of %d clients are served %.0f s later, "+
	"and the time after which every call was answered.", clients, noticed.Seconds())

// matrix returns the heading and the lines of all combinations, a line for each subject and scheduler. It is nil if none was
// drilled.
func (r *result) matrix() (lines [][]string) {
	for _, subject := range []string{tandem.name, keepalived.name} {
		for _, o := range r.Rows {
			f := o.Tandem
			if subject == keepalived.name {
				f = o.Keepalived
			}
			if f == nil || len(f.Cells) == 0 {
				continue
			}
			heading := []string{"matrix"}
			scheduler, _, _ := strings.Cut(o.Name, ",")
			line := []string{subject + ", " + scheduler}
			for _, c := range f.Cells {
				heading, line = append(heading, c.What), append(line, c.String())
			}
			if lines == nil {
				lines = append(lines, heading)
			}
			lines = append(lines, line)
		}
	}
	return lines
}

func (c cell) String() string {
	if c.Seconds == 0 {
		return fmt.Sprint(c.Served)
	}
	return fmt.Sprintf("%d, %.1f s", c.Served, c.Seconds)
}

// printMatrix writes the matrix as text, if there is one.
func (r *result) printMatrix(w io.Writer) {
	if lines := r.matrix(); lines != nil {
		fmt.Fprintf(w, "\n%s\n", matrixTitle)
		report.Table(w, "l"+strings.Repeat("r", len(lines[0])-1), lines)
	}
}

// matrixMarkdown returns the matrix in Markdown, if there is one.
func (r *result) matrixMarkdown() string {
	lines := r.matrix()
	if lines == nil {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\n%s\n\n", matrixTitle)
	for i, line := range lines {
		fmt.Fprintf(&b, "| %s |\n", strings.Join(line, " | "))
		if i == 0 {
			b.WriteString("|---|" + strings.Repeat("---:|", len(line)-1) + "\n")
		}
	}
	return b.String()
}
