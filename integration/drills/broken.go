// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// A breakage is a build of tandem that is broken on purpose, and a drill that must notice it.
type breakage struct {
	name    string
	program lab.Cargo
	kind    string
	before  bool // the connections are there before the drill, which is refused then
	says    string
}

var breakages = []breakage{
	{name: "make before break is off", program: brokenHandOver, kind: "failover", says: "clients saw an outage of "},
	{name: "announcements are off", program: brokenAnnouncements, kind: "cable", says: "clients saw an outage of "},
	{name: "announcements are off", program: brokenAnnouncements, kind: "failover", says: "clients saw an outage of "},
	{name: "connection sync is off", program: brokenSync, kind: "failover", says: fmt.Sprintf(" of %d connections of the clients broke", connections)},
	{name: "connection sync is off, and the clients come before the drill", program: brokenSync, kind: "failover", before: true,
		says: "established connections would not survive: no connection sync runs here"},
}

func brokenPart() part {
	p := part{
		name:  "broken",
		title: "A build of tandem that is broken on purpose, and the right build: the same drill tells them apart.",
		heading: []string{"build and drill", "broken: longest time without an answer", "broken connections", "what the drill says",
			"right: longest time without an answer", "broken connections", "result"},
	}
	for _, b := range breakages {
		p.rows = append(p.rows, row{b.name + ": " + b.kind, b.told})
	}
	return p
}

// told makes the drill with both builds.
func (b breakage) told(t *lab.Attempt) []string {
	broken := b.drill(t, b.program)
	if broken.Passed || !strings.Contains(broken.text, b.says) {
		t.Errorf("the broken build: passed: %t, it says %q, want %q", broken.Passed, broken.text, b.says)
	}
	right := b.drill(t, lab.Tandem)
	result := "passed"
	if !right.Passed {
		result = "failed"
		t.Errorf("the right build does not pass: %s", right.text)
	}
	return []string{broken.outage(), broken.broken(), broken.text, right.outage(), right.broken(), result}
}

// drill makes the drill on a pair of its own with a build.
func (b breakage) drill(t *lab.Attempt, program lab.Cargo) (r drilled) {
	inner := lab.NewAttempt(program.Name)
	reason := inner.Do(func() {
		s := newSite(inner, program, "")
		bound := "0s"
		if b.kind == "cable" {
			bound = (s.foreseen() + late).String()
		}
		flows := connections
		if b.before {
			flows = 1
			s.hold(connections)
		}
		s.probe(flows)
		r = s.drill(b.kind, "--budget", bound)
	})
	for _, line := range inner.Logs() {
		t.Logf("%s", line)
	}
	if reason != "" {
		t.Fatalf("%s: %s", program.Name, reason)
	}
	return r
}
