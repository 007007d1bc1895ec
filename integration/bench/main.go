// SPDX-License-Identifier: Apache-2.0

// Command bench measures tandem side by side with keepalived: in one run, in the same network, with the same settings.
//
// Sections that need IPVS run in the lab's virtual machine if this kernel has none. All others run in namespaces on this
// machine's own kernel, because emulation distorts times. The table says where each section ran. Every number in it was
// measured in this run. If something could not be measured, the table says so and the exit code is 1. Some numbers have a goal, which
// is beside them: a number that misses it by a factor of 2, or misses a firm goal at all, makes the exit code 1 too.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
	"github.com/tandem-lvs/tandem/integration/lab/report"
)

// A section measures one thing.
type section struct {
	name  string
	about string
	ipvs  bool // it needs IPVS
	run   func(*bench)
}

var sections = []section{
	{name: "outage", about: "what a client sees that asks every millisecond", run: measureOutages},
	{name: "cost", about: "what many virtual routers cost", run: measureCosts},
	{name: "probe", about: "what tandem probe sees of a pause, and what it costs", run: measureProbes},
	{name: "checks", about: "what health checks cost", ipvs: true, run: measureChecks},
	{name: "gap", about: "how late advertisements are on a busy machine", run: measureGaps},
	{name: "table", about: "what a large IPVS table costs", ipvs: true, run: measureTables},
	{name: "weight", about: "how soon one changed weight is in the kernel", ipvs: true, run: measureWeights},
	{name: "traffic", about: "what the looks at clients' connections cost", ipvs: true, run: measureTraffic},
	{name: "idle", about: "what a director costs that has nothing to do", ipvs: true, run: measureIdle},
}

func (s section) kind() report.Kind {
	if s.ipvs {
		return report.IPVS
	}
	return report.Native
}

// beforeVar tells the inner run where the source of the older revision is.
const beforeVar = "TANDEM_LAB_BENCH_BEFORE"

type options struct {
	run    string
	json   string
	before string // a revision, "" for none
	long   bool
	only   *regexp.Regexp // nil: all
}

func main() {
	var o options
	names := make([]string, 0, len(sections))
	for _, s := range sections {
		names = append(names, s.name)
	}
	flag.StringVar(&o.run, "run", strings.Join(names, ","), "`SECTIONS` to run, separated by commas")
	flag.StringVar(&o.json, "json", "", "write the result to a `FILE` as well")
	flag.Func("only", "measure only what matches `REGEXP`, as \"200 routers, adverts every 100ms\"", func(text string) (err error) {
		o.only, err = regexp.Compile(text)
		return err
	})
	flag.StringVar(&o.before, "before", "", "measure the tandem of an older git `REVISION` as well")
	flag.BoolVar(&o.long, "long", false, "measure costs for 30 s and pauses for 3 minutes each")
	flag.Parse()
	chosen, err := choose(o.run)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(2)
	}
	if report.Inside() != "" || !lab.Outside() {
		cargo := []lab.Cargo{lab.Tandem}
		if tandemBefore.Dir = os.Getenv(beforeVar); tandemBefore.Dir != "" {
			cargo = append(cargo, tandemBefore)
		}
		if report.Inside() != report.IPVS && slices.ContainsFunc(chosen, func(s section) bool { return s.name == "probe" }) {
			cargo = append(cargo, vegeta)
		}
		lab.Enter("github.com/tandem-lvs/tandem/integration/bench", 0, cargo...)
		inner(report.Inside(), chosen, o)
		return
	}
	if err := outer(chosen, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// choose returns the named sections in their own order.
func choose(names string) ([]section, error) {
	var chosen []section
	wanted := strings.Split(names, ",")
	for _, s := range sections {
		if slices.Contains(wanted, s.name) {
			chosen = append(chosen, s)
			wanted = slices.DeleteFunc(wanted, func(n string) bool { return n == s.name })
		}
	}
	if len(wanted) > 0 {
		return nil, fmt.Errorf("there is no section %s", strings.Join(wanted, ", "))
	}
	return chosen, nil
}

// outer runs the program again in each place that the sections need, and gathers what it measures there.
func outer(chosen []section, o options) error {
	if o.before != "" {
		dir, err := source(o.before)
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		if err := os.Setenv(beforeVar, dir); err != nil {
			return err
		}
	}
	began := time.Now()
	r := result{Revision: report.Revision(), Before: o.before}
	for _, kind := range []report.Kind{report.Native, report.IPVS} {
		if !slices.ContainsFunc(chosen, func(s section) bool { return s.kind() == kind }) {
			continue
		}
		if err := report.Gather(kind, r.take); err != nil {
			return err
		}
	}
	r.Took = time.Since(began).Round(time.Second).String()
	r.print(os.Stdout)
	if o.json != "" {
		text, err := json.MarshalIndent(r, "", "  ")
		if err != nil {
			return err
		}
		if err := os.WriteFile(o.json, append(text, '\n'), 0o644); err != nil {
			return err
		}
	}
	return r.failed()
}

// source writes the source of a revision to a new directory.
func source(revision string) (dir string, err error) {
	if dir, err = os.MkdirTemp("", "bench-before-"); err != nil {
		return "", err
	}
	archive := exec.Command("git", "archive", "--format=tar", revision)
	unpack := exec.Command("tar", "-x", "-C", dir)
	archive.Stderr, unpack.Stderr = os.Stderr, os.Stderr
	if unpack.Stdin, err = archive.StdoutPipe(); err == nil {
		if err = archive.Start(); err == nil {
			err = errors.Join(unpack.Run(), archive.Wait())
		}
	}
	if err != nil {
		return "", errors.Join(fmt.Errorf("failed to unpack revision %s: %w", revision, err), os.RemoveAll(dir))
	}
	return dir, nil
}

// inner runs sections and writes what they measure, one line of JSON each.
func inner(kind report.Kind, chosen []section, o options) {
	b := &bench{options: o, machine: report.ThisMachine()}
	report.Emit(message{Machine: &b.machine})
	for _, s := range chosen {
		if s.kind() == kind {
			b.section = s
			s.run(b)
		}
	}
}
