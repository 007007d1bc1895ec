// SPDX-License-Identifier: Apache-2.0

// Command topologies sets up each shipped topology by the commands that its page prints, breaks the master in each way that
// matters, and prints what a client saw: a table of outages, with VRRP's bound.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/integration/lab"
	"github.com/tandem-lvs/tandem/integration/topology"
)

const limit = 40 * time.Minute

// What the table allows beyond a bound: one question of the client, and the announcement. A stall of the machine comes on top.
const allowance = 50 * time.Millisecond

// back is the bound when the former master returns: two masters hear each other within an advertisement interval.
const back = time.Second

func main() {
	only := flag.String("only", "", "measure the topologies whose names match this `expression`")
	fault := flag.String("fault", "", "measure the faults whose names match this `expression`")
	verbose := flag.Bool("v", false, "print each command with its output")
	flag.Parse()
	names, err := regexp.Compile(*only)
	faults, failed := regexp.Compile(*fault)
	err = errors.Join(err, failed)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	lab.Enter("github.com/tandem-lvs/tandem/integration/topologies", limit, lab.Tandem)

	dirs, err := fs.ReadDir(configs.Shipped, "topologies")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Printf("A client asks for a new connection every 10 ms. Its longest time without one:\n\n%s\n", head)
	ok := true
	for _, d := range dirs {
		if d.IsDir() && names.MatchString(d.Name()) {
			ok = measure(d.Name(), faults, *verbose) && ok
		}
	}
	if !ok {
		os.Exit(1)
	}
}

const head = "| topology | the master's | bound | outage | when it is master again |\n|---|---|---:|---:|---:|"

// measure prints the rows of a topology and reports whether all is within bounds.
func measure(name string, faults *regexp.Regexp, verbose bool) bool {
	attempt := lab.NewAttempt(name)
	ok := true
	reason := attempt.Do(func() {
		n := topology.Build(attempt, name)
		n.SetUp()
		n.Look()
		n.FailOver()
		for _, f := range n.Faults() {
			if !faults.MatchString(f.Name) {
				continue
			}
			r := n.Measure(f)
			outage, within := show(r.Outage, r.Bound)
			again, soon := show(r.Back, back)
			fmt.Printf("| %s | %s | %s | %s | %s |\n", r.Topology, r.Fault, milliseconds(r.Bound), outage, again)
			ok = ok && within && soon
			if verbose || !within || !soon {
				attempt.Logf("%s, %s: the outages began at %s and %s", name, f.Name, r.Outage.Began.UTC(), r.Back.Began.UTC())
			}
		}
		if verbose || !ok {
			n.LogPrograms()
		}
		n.Undo()
	})
	if reason != "" {
		fmt.Printf("| %s | failed: %s | | | |\n", name, strings.ReplaceAll(reason, "\n", " "))
	}
	if verbose || !ok || reason != "" {
		fmt.Fprintln(os.Stderr, strings.Join(attempt.Logs(), "\n"))
	}
	return ok && reason == ""
}

// show prints an outage, and reports whether it is within the bound. A stall of the whole machine is no outage.
func show(o lab.Outage, bound time.Duration) (string, bool) {
	text := milliseconds(o.Longest)
	const normal = 30 * time.Millisecond
	if o.Gap > normal {
		text += fmt.Sprintf(" (the machine stood still for %s)", milliseconds(o.Gap))
	}
	within := o.Longest <= bound+allowance+max(0, o.Gap-normal)
	return text + map[bool]string{false: " **too long**"}[within], within
}

func milliseconds(d time.Duration) string { return fmt.Sprintf("%d ms", d.Milliseconds()) }
