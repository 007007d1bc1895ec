// SPDX-License-Identifier: Apache-2.0

// Command masters breaks the network between two directors in each way, and prints a table: how long both had the VIP, how long
// nobody had it, and what a client of it saw, with tandem and with keepalived. It fails if tandem breaks a promise:
//
//   - One of two paths is cut: there is no transition, and the client misses no answer.
//   - The backup reaches no witness: it does not take over.
//   - The master reaches no witness: it lets go after witness_release.
package main

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
	"github.com/tandem-lvs/tandem/integration/lab/report"
)

const (
	limit  = 15 * time.Minute
	atOnce = 4 // pairs. They wait for most of their time
)

func main() {
	only := flag.String("only", "", "do only what matches this `expression`: \"FAULT: PROTECTION: DAEMON\"")
	verbose := flag.Bool("v", false, "print what happened")
	flag.Parse()
	match, err := regexp.Compile(*only)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	// An emulated machine would distort the times, and IPVS is not needed.
	lab.Prefer("direct")
	lab.Enter("github.com/tandem-lvs/tandem/integration/masters", limit, lab.Tandem)

	fmt.Println(report.ThisMachine())
	fmt.Printf(`
A is the master, B the backup. Each fault lasts %s. The advertisement interval is %s. The carrier stays up. "witness" includes
witness_release = "%s". The client is a machine of the LAN, and the witness too. It asks every millisecond. Each director answers by
itself, so this client does not notice that there are two holders. A cell has two figures: in the fault / after it. "not over": no answer
until the end of the measurement.

| fault | protection | | two holders | no holder | transitions | longest time without an answer |
|---|---|---|---:|---:|---:|---:|
`, span, advert, release)
	if !table(match, *verbose) {
		os.Exit(1)
	}
}

// A done row is its line of the table, and what else there is to print.
type done struct {
	line, reason string
	logs         []string
}

// table measures the rows that match, prints them in order, and reports whether all is as promised.
func table(match *regexp.Regexp, verbose bool) bool {
	chosen := slices.DeleteFunc(rows(), func(r row) bool { return !match.MatchString(r.String()) })
	ok := true
	for is := range lab.InOrder(atOnce, chosen, func(r row) done { return r.try(verbose) }) {
		fmt.Println(is.line)
		if is.reason != "" {
			ok = false
			fmt.Println("FAIL:", is.reason)
		}
		if verbose || is.reason != "" {
			fmt.Fprintln(os.Stderr, strings.Join(is.logs, "\n"))
		}
	}
	return ok
}

// try measures a row.
func (r row) try(verbose bool) done {
	attempt := lab.NewAttempt(r.String())
	cells := "| | | | |"
	reason := attempt.Do(func() {
		is := r.measure(attempt)
		cells = fmt.Sprintf("| %s | %s | %d / %d | %s / %s |", pair(is.fault.two, is.after.two), pair(is.fault.none, is.after.none),
			is.fault.transitions, is.after.transitions, outage(is.client), outage(is.returned))
	})
	if reason != "" {
		reason = r.String() + ": " + reason
	}
	return done{fmt.Sprintf("| %s | %s | %s %s", r.name, r.protection, r.daemon(), cells), reason, attempt.Logs()}
}

func pair(fault, after time.Duration) string {
	return fmt.Sprintf("%d / %d ms", fault.Milliseconds(), after.Milliseconds())
}

// outage is the longest time without an answer. One that lasts until the end of the prober goes on.
func outage(o lab.Outage) string {
	text := fmt.Sprintf("%d ms", o.Longest.Milliseconds())
	if o.Open {
		text += ", not over"
	}
	return text
}
