// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
	"github.com/tandem-lvs/tandem/integration/lab/report"
)

// probeGoal is the processor time that a question each millisecond may cost, in percent of a core.
const probeGoal = 10

// A question is what clients ask every millisecond.
type question struct {
	what string
	args []string // of tandem probe
	goal *report.Goal
}

var questions = []question{
	{"HTTP", []string{probedHTTP, "--http", "/"}, report.AtMost(probeGoal)},
	{"TCP, connections only", []string{probedHTTP}, nil},
	{"UDP", []string{probedEcho, "--udp", "--send", "?"}, nil},
}

// measureProbeCost measures the processor time of clients that ask every millisecond. The system calls alone are what this machine's
// kernel takes for the same connections, whoever asks. That is more than between two machines: the kernel does the server's half of the
// work within the client's system calls.
func measureProbeCost(b *bench) {
	span := 10 * time.Second
	if b.options.long {
		span = 30 * time.Second
	}
	for _, q := range questions {
		what := fmt.Sprintf("a question every %s, %s", cadence, q.what)
		tell := func(name string, asked int, used time.Duration, note string, goal *report.Goal) {
			// Of a client that asked less often than it should, because the machine was busy, it is what all questions would have cost.
			each := used.Seconds() / float64(asked)
			b.judge(what, name, 100*each/cadence.Seconds(), "% of a core",
				fmt.Sprintf("%.1f us a question, %d questions in %s%s", 1e6*each, asked, span, note), goal)
		}
		for _, subject := range b.subjects(tandem) {
			b.measure(what, subject.name, func(t *lab.Attempt) {
				r, p := newProbeScene(b, t).probe(subject.program(), span, q.args...)
				tell(subject.name, r.Asked, p.CPU(), fmt.Sprintf("; by its own report %.2f %%, without its other threads", 100*r.Prober.CPU/r.Seconds), q.goal)
			})
		}
		if q.goal == nil {
			continue // the others are there for comparison with HTTP
		}
		b.measure(what, vegeta.Name, func(t *lab.Attempt) {
			s := newProbeScene(b, t)
			p := s.attack(span)
			tell(vegeta.Name, s.attacked().asked, p.CPU(), "", nil)
		})
		const alone = "system calls alone"
		b.measure(what, alone, func(t *lab.Attempt) {
			asked, used, err := bareQuestions(newProbeScene(b, t).client, probedHTTP, span)
			if err != nil {
				t.Fatalf("%s: %v", alone, err)
			}
			tell(alone, asked, used, "; blocking calls in a loop that does nothing else", nil)
		})
	}
}
