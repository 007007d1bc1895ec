// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// A breakage is a build of tandem that is broken on purpose, and a drill that must notice it.
type breakage struct {
	name    string
	program lab.Cargo
	kind    kind
	before  bool // the connections are there before the drill, which is refused then
	says    string
}

var (
	planned = kind{name: "failover"}
	cut     = kind{name: "cable", noticed: true}
)

var breakages = []breakage{
	{name: "make before break is off", program: brokenHandOver, kind: planned, says: "clients saw an outage of "},
	{name: "announcements are off", program: brokenAnnouncements, kind: cut, says: "clients saw an outage of "},
	{name: "announcements are off", program: brokenAnnouncements, kind: planned, says: "clients saw an outage of "},
	{name: "connection sync is off", program: brokenSync, kind: planned, says: fmt.Sprintf(" of %d connections of the clients broke", connections)},
	{name: "connection sync is off, and the clients come before the drill", program: brokenSync, kind: planned, before: true,
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
		p.rows = append(p.rows, row{b.name + ": " + b.kind.name, b.told})
	}
	return p
}

// told makes the drill with both builds.
func (b breakage) told(t *lab.Attempt) []string {
	broken, stall := b.drill(t, b.program)
	// An outage that the machine made would prove nothing.
	if outage := broken.clientsOutage(); !b.before && b.program.Tags != brokenSync.Tags && outage < 2*stall {
		t.Errorf("the clients of the broken build missed answers for %s, and the machine stalled for %s", outage, stall)
	}
	if broken.Passed || !strings.Contains(broken.text, b.says) {
		t.Errorf("the broken build: passed: %t, it says %q, want %q", broken.Passed, broken.text, b.says)
	}
	right, _ := b.drill(t, lab.Tandem)
	return []string{broken.outage(), broken.broken(), broken.text, right.outage(), right.broken(), "passed"}
}

// drill makes the drill on a pair of its own with a build.
func (b breakage) drill(t *lab.Attempt, program lab.Cargo) (r drilled, stall time.Duration) {
	inner := lab.NewAttempt(program.Name)
	reason := inner.Do(func() {
		s := newSite(inner, program, synced)
		flows := connections
		if b.before {
			flows = 1
			s.hold(connections)
			if program == lab.Tandem {
				s.awaitCopies()
			}
		}
		s.probe(flows)
		r, stall = s.undisturbed(b.kind.command("--budget", s.bound(b.kind).String())...)
		if program == lab.Tandem && !r.Passed {
			inner.Errorf("the right build does not pass: %s", r.text)
		}
	})
	for _, line := range inner.Logs() {
		t.Logf("%s", line)
	}
	if reason != "" {
		t.Fatalf("%s: %s", program.Name, reason)
	}
	return r, stall
}
