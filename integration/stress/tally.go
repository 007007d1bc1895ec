// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"text/tabwriter"
)

// A tally counts the results of tests.
type tally struct{ rows []*row }

// A row is what was seen of a test.
type row struct {
	name, test   string // of the package and of the test in it
	runs, failed int
	sum, longest float64 // seconds
}

// wholeRun stands for a run that failed by no test's own verdict: a panic, a data race at the end, a timeout.
const wholeRun = "(the run as a whole)"

// add counts the results of one run, and returns how many have failed.
func (t *tally) add(name string, out []byte, err error) (fails int) {
	for _, m := range verdict.FindAllSubmatch(out, -1) {
		if string(m[1]) == "SKIP" {
			continue
		}
		r := t.row(name, string(m[2]))
		seconds, _ := strconv.ParseFloat(string(m[3]), 64)
		r.runs, r.sum, r.longest = r.runs+1, r.sum+seconds, max(r.longest, seconds)
		if string(m[1]) == "FAIL" {
			r.failed++
			fails++
		}
	}
	if err != nil && fails == 0 {
		r := t.row(name, wholeRun)
		r.runs, r.failed, fails = r.runs+1, r.failed+1, 1
	}
	return fails
}

func (t *tally) row(name, test string) *row {
	for _, r := range t.rows {
		if r.name == name && r.test == test {
			return r
		}
	}
	r := &row{name: name, test: test}
	t.rows = append(t.rows, r)
	return r
}

func (t *tally) failed() bool {
	return slices.ContainsFunc(t.rows, func(r *row) bool { return r.failed > 0 })
}

// print writes the tests, those that failed most often first, then the slowest.
func (t *tally) print(w io.Writer) {
	rows := slices.Clone(t.rows)
	slices.SortStableFunc(rows, func(a, b *row) int {
		return cmp.Or(cmp.Compare(b.rate(), a.rate()), cmp.Compare(b.longest, a.longest))
	})
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "failed\truns\trate\tmean\tlongest\t  test")
	quick := 0
	for _, r := range rows {
		if r.failed == 0 && r.longest < 0.05 {
			quick++
			continue
		}
		fmt.Fprintf(table, "%d\t%d\t%.1f %%\t%.2f s\t%.2f s\t  %s %s\n",
			r.failed, r.runs, 100*r.rate(), r.sum/float64(max(r.runs, 1)), r.longest, r.name, r.test)
	}
	_ = table.Flush()
	fmt.Fprintf(w, "%d more tests, of less than 0.05 s each, never failed.\n", quick)
}

func (r *row) rate() float64 { return float64(r.failed) / float64(max(r.runs, 1)) }
