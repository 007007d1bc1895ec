// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/tandem-lvs/tandem/integration/lab/report"
)

// A result is what a drill measured.
type result struct {
	Revision string           `json:"revision"` // of tandem's source
	Seed     uint64           `json:"seed"`     // of the soak
	Advert   string           `json:"advert_interval"`
	Took     string           `json:"took"`
	Machines []report.Machine `json:"machines"`
	Rows     []outcome        `json:"rows"`
}

// An outcome is what a row gave.
type outcome struct {
	Order      int     `json:"order"`
	Place      string  `json:"place"` // vm or direct
	Group      string  `json:"group"`
	Name       string  `json:"name"`
	Bound      string  `json:"bound"`
	Why        string  `json:"why"` // of the bound
	Tandem     *figure `json:"tandem"`
	Keepalived *figure `json:"keepalived"`
	NoPeer     string  `json:"no_keepalived,omitempty"` // why keepalived was not asked
	Skipped    string  `json:"skipped,omitempty"`       // why the row was not drilled here
	Note       string  `json:"note,omitempty"`
	Verdict    verdict `json:"verdict"`
	Seconds    float64 `json:"seconds"`
}

func (r row) String() string     { return r.group + ": " + r.name }
func (o outcome) String() string { return strings.Join(o.cells(), "  ") }

// cells are the row of a table, from the name on.
func (o outcome) cells() []string {
	cell := func(f *figure) string {
		if f == nil {
			return "–"
		}
		return f.String()
	}
	return []string{o.Name, o.Bound, cell(o.Tandem), cell(o.Keepalived), cmp.Or(string(o.Verdict), "–"), o.Place,
		fmt.Sprintf("%.0f s", o.Seconds)}
}

// remarks say what the cells do not: why there is no figure, and what went wrong.
func (o outcome) remarks() (all []string) {
	add := func(who, format string, args ...any) {
		all = append(all, fmt.Sprintf("%s: %s%s", o.Name, who, fmt.Sprintf(format, args...)))
	}
	switch {
	case o.Skipped != "":
		add("", "not drilled: %s", o.Skipped)
	case o.Keepalived == nil:
		add("keepalived: – because ", "%s", o.NoPeer)
	}
	if o.Note != "" {
		add("", "%s", o.Note)
	}
	for _, x := range []struct {
		who string
		f   *figure
	}{{tandem.name, o.Tandem}, {keepalived.name, o.Keepalived}} {
		switch {
		case x.f == nil:
		case x.f.Error != "":
			add(x.who+" ", "failed: %s", firstLine(x.f.Error))
		case x.f.NotBack != "":
			add(x.who+" ", "was not as before: %s", firstLine(x.f.NotBack))
		case x.f.Note != "" && x.f.Served != nil && *x.f.Served < clients:
			add(x.who+": ", "%s", x.f.Note)
		}
	}
	if o.Verdict == undecided {
		add("", "undecided: the machine itself stood still for %s", milliseconds(o.Tandem.Stall))
	}
	return all
}

func firstLine(text string) string {
	line, _, more := strings.Cut(text, "\n")
	if more {
		line += " …"
	}
	return line
}

// count is how many rows have a verdict.
func (r *result) count(v verdict) (n int) {
	for _, o := range r.Rows {
		if o.Verdict == v {
			n++
		}
	}
	return n
}

// A message is what the inner run tells the outer one.
type message = report.Message[outcome]

// take adds a message to the result.
func (r *result) take(text []byte) error { return report.Take(text, &r.Machines, &r.Rows) }

func (r *result) writeJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// summary is the last line of a table.
func (r *result) summary() string {
	return fmt.Sprintf("%d rows: %d passed, %d failed, %d undecided. Tandem was built from %s. The drill took %s.",
		len(r.Rows), r.count(pass), r.count(fail), r.count(undecided), r.Revision, r.Took)
}

var heading = []string{"bound", tandem.name, keepalived.name, "verdict", "where", "took"}

// print writes the table: a heading for each group, its rows, and the remarks below.
func (r *result) print(w io.Writer) {
	table := [][]string{append([]string{"what clients of the VIP saw"}, heading...)}
	group := ""
	for _, o := range r.Rows {
		if o.Group != group {
			group = o.Group
			table = append(table, []string{group, "", "", "", "", "", ""})
		}
		line := o.cells()
		line[0] = "  " + line[0]
		table = append(table, line)
	}
	fmt.Fprintln(w)
	report.Table(w, "lrrrllr", table)
	fmt.Fprintln(w)
	for _, o := range r.Rows {
		for _, remark := range o.remarks() {
			fmt.Fprintln(w, remark)
		}
	}
	r.printMatrix(w)
	fmt.Fprintf(w, "\nmeasured with advertisements every %s\n", r.Advert)
	for _, m := range r.Machines {
		fmt.Fprintf(w, "%s\n", m)
	}
	fmt.Fprintln(w, r.summary())
}

// markdown writes the same as print.
func (r *result) markdown(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "| what clients of the VIP saw | %s |\n|---|---:|---:|---:|---|---|---:|\n", strings.Join(heading, " | "))
	group := ""
	for _, o := range r.Rows {
		if o.Group != group {
			group = o.Group
			fmt.Fprintf(&b, "| **%s** | | | | | | |\n", group)
		}
		fmt.Fprintf(&b, "| %s |\n", strings.Join(o.cells(), " | "))
	}
	b.WriteString("\n")
	for _, o := range r.Rows {
		for _, remark := range o.remarks() {
			fmt.Fprintf(&b, "- %s\n", remark)
		}
	}
	b.WriteString(r.matrixMarkdown())
	fmt.Fprintf(&b, "\nMeasured with advertisements every %s:\n\n", r.Advert)
	for _, m := range r.Machines {
		fmt.Fprintf(&b, "- %s\n", m)
	}
	fmt.Fprintf(&b, "\n%s\n", r.summary())
	_, err := io.WriteString(w, b.String())
	return err
}

// list writes the rows and where their bounds come from.
func list(w io.Writer, rows []row) {
	table := [][]string{}
	for _, r := range rows {
		table = append(table, []string{r.String(), r.bound.String(), r.bound.why})
	}
	report.Table(w, "lrl", table)
}
