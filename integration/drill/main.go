// SPDX-License-Identifier: Apache-2.0

// Command drill causes the faults that pairs of directors meet in the field, and prints what the clients of the VIP saw: with
// tandem, and with keepalived in the same network with the same settings.
//
// Each fault is a row of a table: its bound, the figure of each subject, and pass or fail. Tandem passes if its figure is
// within the bound. Rows share a site; each row puts back what it has changed, and a site that is not as it was before is made
// anew. Both subjects have sites of their own in one lab, and run a row at the same time unless the row takes the processors.
//
// The rows of pools kill a server behind one scheduler after the other. What they find for TCP and UDP, with and without
// persistence, is printed as a matrix below the table.
package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
	"github.com/tandem-lvs/tandem/integration/lab/report"
)

// limit is the maximum time of the rows of one place. A virtual machine whose kernel hangs ends then.
const limit = 30 * time.Minute

type options struct {
	only     *regexp.Regexp // nil: all
	seed     uint64
	soak     int
	json     string
	markdown string
	verbose  bool
	list     bool
	native   bool // only what needs no IPVS
}

func main() {
	var o options
	flag.Func("only", "drill only rows whose group and name match `REGEXP`, as \"kill: .*SIGKILL\"", func(text string) (err error) {
		o.only, err = regexp.Compile(text)
		return err
	})
	flag.StringVar(&o.json, "json", "", "write the result to a `FILE` as JSON")
	flag.StringVar(&o.markdown, "markdown", "", "write the table to a `FILE` in Markdown")
	flag.DurationVar(&advert, "advert", advert, "interval of advertisements; bounds that are made of it change with it")
	flag.Uint64Var(&o.seed, "seed", 1, "`SEED` of the soak, which draws faults at random")
	flag.IntVar(&o.soak, "soak", 12, "`NUMBER` of faults that the soak draws")
	flag.BoolVar(&o.verbose, "v", false, "print what the programs wrote in each row that they failed")
	flag.BoolVar(&o.list, "list", false, "print the rows and their bounds, and do nothing")
	flag.BoolVar(&o.native, "native", false, "drill only the rows that need no IPVS, and so no virtual machine")
	flag.Parse()
	rows := choose(allRows(o.seed, o.soak), o)
	switch {
	case len(rows) == 0:
		fmt.Fprintln(os.Stderr, "drill: no row is chosen; -list prints all")
		os.Exit(2)
	case o.list:
		list(os.Stdout, rows)
	case report.Inside() != "" || !lab.Outside():
		lab.Enter("github.com/tandem-lvs/tandem/integration/drill", limit, lab.Tandem)
		newDrill(o, report.Inside()).run(rows)
	default:
		if err := outer(o, rows); err != nil {
			fmt.Fprintln(os.Stderr, "drill:", err)
			os.Exit(1)
		}
	}
}

// allRows returns the rows of all groups.
func allRows(seed uint64, soakLength int) []row {
	var all []row
	for _, g := range []struct {
		name string
		rows []row
	}{
		{"kill", killRows()}, {"network", networkRows()}, {"kernel", kernelRows()}, {"strangers", strangerRows()},
		{"machine", machineRows()}, {"configuration", configurationRows()}, {"real servers", serverRows()},
		{"pools", poolRows()},
	} {
		for _, r := range g.rows {
			r.group = g.name
			if r.on == 0 {
				r.on = duo
			}
			all = append(all, r)
		}
	}
	return append(all, soakRow(all, seed, soakLength))
}

// choose returns the rows that match.
func choose(rows []row, o options) (chosen []row) {
	for _, r := range rows {
		if (o.only == nil || o.only.MatchString(r.String())) && !(o.native && r.on.ipvs()) {
			chosen = append(chosen, r)
		}
	}
	return chosen
}

// outer runs the program inside, gathers what it measures there, and writes the result.
func outer(o options, rows []row) error {
	began := time.Now()
	r := result{Revision: report.Revision(), Seed: o.seed, Advert: advert.String()}
	for _, kind := range []report.Kind{report.Native, report.IPVS} {
		if !slices.ContainsFunc(rows, func(r row) bool { return r.on.kind() == kind }) {
			continue
		}
		if err := report.Gather(kind, r.take); err != nil {
			return err
		}
	}
	slices.SortFunc(r.Rows, func(a, b outcome) int { return cmp.Compare(a.Order, b.Order) })
	r.Took = time.Since(began).Round(time.Second).String()
	r.print(os.Stdout)
	if err := errors.Join(write(o.json, r.writeJSON), write(o.markdown, r.markdown)); err != nil {
		return err
	}
	if failed, undecided := r.count(fail), r.count(undecided); failed+undecided > 0 {
		return fmt.Errorf("%d of %d rows failed, %d are undecided", failed, len(r.Rows), undecided)
	}
	return nil
}

// write writes a file, unless it has no name.
func write(file string, to func(io.Writer) error) error {
	if file == "" {
		return nil
	}
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	return errors.Join(to(f), f.Close())
}
