// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// A kind is a drill, and what its clients may see.
type kind struct {
	name string
	args string // beside the kind
	// noticed says that the other director has to notice the fault: the clients may miss what tandem status --pair foresees. Otherwise
	// they may miss nothing.
	noticed bool
	lose    int // connections that end on purpose
}

var kinds = []kind{
	{name: "failover"},
	{name: "crash", noticed: true},
	{name: "freeze", noticed: true},
	{name: "cable", noticed: true},
	{name: "silence", noticed: true},
	{name: "disk"},
	{name: "flap", args: "--hold 2s --flaps 2", noticed: true},
	{name: "server", args: "--server lines/192.0.2.11", lose: connections},
}

// late is added to what is foreseen: the announcement, the client's next question, and the way there and back on an emulated machine.
const late = 200 * time.Millisecond

func kindsPart() part {
	p := part{
		name: "kinds",
		title: fmt.Sprintf("Each kind of drill, with tandem probe on a client and %d connections through the VIP. The bound is 0 for what is "+
			"planned, else what tandem status --pair foresees, and %s. The configuration has preempt = \"synced\": see the last table.",
			connections, milliseconds(late)),
		heading: []string{"kind", "longest time without an answer", "bound", "broken connections", "compared and as before", "machine stalled for"},
	}
	for _, k := range kinds {
		p.rows = append(p.rows, row{k.name, k.drilled})
	}
	return p
}

// drilled makes the drill on a pair of its own.
func (k kind) drilled(t *lab.Attempt) []string {
	s := newSite(t, lab.Tandem, synced)
	s.probe(connections)
	before := s.snapshot()
	bound := s.bound(k)
	r, stall := s.undisturbed(k.command("--budget", bound.String(), "--lose", fmt.Sprint(k.lose))...)
	if !r.Passed {
		t.Errorf("the drill did not pass: %s", r.text)
	}
	restored := fmt.Sprintf("%d items", r.Compared)
	if text := s.differs(before, 5*time.Second); text != "" {
		restored = "no"
		t.Errorf("not as before: %s", text)
	}
	return []string{r.outage(), milliseconds(bound), r.broken(), restored, milliseconds(stall)}
}

// bound is how long the clients of a drill may be without an answer.
func (s *site) bound(k kind) time.Duration {
	if k.noticed {
		return s.foreseen() + late
	}
	return 0
}

// undisturbed makes a drill, and again while the machine stalls in it: clients, and a director, may miss something then. The second
// result is the longest stall.
func (s *site) undisturbed(args ...string) (r drilled, stall time.Duration) {
	const tries = 3
	for try := 1; ; try++ {
		watch := s.WatchStalls()
		r = s.drill(args...)
		if stall = watch.Stop(); r.Passed || stall < late || try == tries {
			return r, stall
		}
		s.Logf("the machine stalled for %s: again", stall)
		s.await(90 * time.Second)
	}
}

// command returns the arguments of tandem drill.
func (k kind) command(more ...string) []string {
	return append(append([]string{k.name}, strings.Fields(k.args)...), more...)
}
