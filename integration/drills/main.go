// SPDX-License-Identifier: Apache-2.0

// Command drills makes drills as an operator does: tandem drill on the master, tandem probe on a client's machine, and 200 connections
// through the VIP. It prints tables of five parts, and fails if tandem breaks a promise:
//
//   - kinds: each kind of drill passes, with what the clients saw.
//   - refused: without the other director no drill is made.
//   - deaths: a drill dies in the middle, by SIGKILL, with its terminal, or its operator's network breaks. All is restored.
//   - broken: a build of tandem that is broken on purpose fails the drill that the right build passes.
//   - synced: a director comes back, with preempt = "synced" and without: how many connections live. A director that was only cut off
//     ends none.
package main

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
	"github.com/tandem-lvs/tandem/integration/lab/report"
)

// limit is the maximum time of the program inside the lab.
const limit = 40 * time.Minute

// The builds of tandem that are broken on purpose. No other program has them.
var (
	brokenHandOver      = lab.Cargo{Name: "tandem-hand-over", Package: lab.Tandem.Package, Tags: "broken_handover"}
	brokenAnnouncements = lab.Cargo{Name: "tandem-announcements", Package: lab.Tandem.Package, Tags: "broken_announcements"}
	brokenSync          = lab.Cargo{Name: "tandem-sync", Package: lab.Tandem.Package, Tags: "broken_sync"}
)

// A part is one of the tables.
type part struct {
	name, title string
	heading     []string
	rows        []row
}

// A row does one thing, and returns its cells. What fails ends it by the lab's Fatalf.
type row struct {
	name string
	do   func(*lab.Attempt) []string
}

func parts() []part {
	return []part{kindsPart(), refusedPart(), deathsPart(), brokenPart(), syncedPart()}
}

func main() {
	only := flag.String("only", "", "do only the rows that match this `expression`: \"PART: ROW\", as \"deaths: cable\"")
	list := flag.Bool("list", false, "print the rows, and do nothing")
	verbose := flag.Bool("v", false, "print what happened")
	flag.Parse()
	match, err := regexp.Compile(*only)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	if *list {
		for _, p := range parts() {
			for _, r := range p.rows {
				fmt.Printf("%s: %s\n", p.name, r.name)
			}
		}
		return
	}
	// The disks and the control groups of the rows belong to a kernel, not to a namespace.
	lab.Prefer("vm")
	lab.Enter("github.com/tandem-lvs/tandem/integration/drills", limit, lab.Tandem, brokenHandOver, brokenAnnouncements, brokenSync)
	prepare()
	fmt.Println(report.ThisMachine())
	ok := true
	for _, p := range parts() {
		ok = p.print(match, *verbose) && ok
	}
	if !ok {
		os.Exit(1)
	}
}

// print does the rows of a part that match, prints its table, and reports whether all is as promised.
func (p part) print(match *regexp.Regexp, verbose bool) bool {
	ok, begun := true, false
	for _, r := range p.rows {
		if !match.MatchString(p.name + ": " + r.name) {
			continue
		}
		if !begun {
			fmt.Printf("\n%s\n\n| %s |\n|%s\n", p.title, strings.Join(p.heading, " | "), strings.Repeat("---|", len(p.heading)))
		}
		begun = true
		attempt := lab.NewAttempt(r.name)
		cells := make([]string, len(p.heading)-1)
		reason := attempt.Do(func() { cells = r.do(attempt) })
		fmt.Printf("| %s | %s |\n", r.name, strings.Join(cells, " | "))
		if reason != "" {
			ok = false
			fmt.Printf("FAIL: %s: %s: %s\n", p.name, r.name, reason)
		}
		if verbose || reason != "" {
			fmt.Fprintln(os.Stderr, strings.Join(attempt.Logs(), "\n"))
		}
	}
	return ok
}
