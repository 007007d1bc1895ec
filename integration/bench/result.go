// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// A result is the measurements of a run.
type result struct {
	Revision string  `json:"revision"`         // of tandem's source
	Before   string  `json:"before,omitempty"` // of the older one beside it
	Took     string  `json:"took"`
	Places   []place `json:"places"`
	Rows     []row   `json:"rows"`
}

// A place is the machine and kernel where sections ran.
type place struct {
	Kind       string  `json:"kind"` // vm or direct
	Machine    string  `json:"machine"`
	CPUs       int     `json:"cpus"`
	Kernel     string  `json:"kernel"`
	Load       float64 `json:"load"` // load average of the last minute, at the start
	Tandem     string  `json:"tandem"`
	Keepalived string  `json:"keepalived"`
}

func (p place) String() string {
	kind := "this machine's own kernel, in namespaces"
	if p.Kind == "vm" {
		kind = "a virtual machine, under emulation"
	}
	return fmt.Sprintf("%s: Linux %s, %d × %s, load %.2f at the start; tandem %s, %s",
		kind, p.Kernel, p.CPUs, p.Machine, p.Load, p.Tandem, p.Keepalived)
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

// A message is a line from the inner run to the outer one.
type message struct {
	Place *place `json:"place,omitempty"`
	Row   *row   `json:"row,omitempty"`
}

// mark begins the line of a message, to distinguish it from other output.
const mark = "bench: "

// take adds a message to the result. It returns false if the line is not a message.
func (r *result) take(line []byte) bool {
	text, ok := bytes.CutPrefix(line, []byte(mark))
	var m message
	if !ok || json.Unmarshal(text, &m) != nil {
		return false
	}
	if m.Place != nil {
		r.Places = append(r.Places, *m.Place)
	}
	if m.Row != nil {
		r.Rows = append(r.Rows, *m.Row)
	}
	return true
}

func (r *result) failed() int {
	n := 0
	for _, row := range r.Rows {
		if row.Value == nil {
			n++
		}
	}
	return n
}

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
		align(w, table)
		for _, row := range rows {
			if row.Value == nil {
				fmt.Fprintf(w, "  not measured: %s, %s: %s\n", row.Case, row.Subject, row.Note)
			}
		}
		i := slices.IndexFunc(r.Places, func(p place) bool { return p.Kind == rows[0].Place })
		fmt.Fprintf(w, "  measured on %s\n", r.Places[i])
	}
	fmt.Fprintf(w, "\nTandem was built from %s. The run took %s.\n", r.Revision, r.Took)
	if r.Before != "" {
		fmt.Fprintf(w, "%q was built from %s.\n", before.name, r.Before)
	}
}

// align writes lines of cells, the first column to the left and the others to the right.
func align(w io.Writer, table [][]string) {
	widths := make([]int, len(table[0]))
	for _, line := range table {
		for i, cell := range line {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for _, line := range table {
		for i, cell := range line {
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if i == 0 {
				fmt.Fprint(w, cell, pad)
				continue
			}
			fmt.Fprint(w, "  ", pad, cell)
		}
		fmt.Fprintln(w)
	}
}
