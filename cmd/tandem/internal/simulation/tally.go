// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tandem-lvs/tandem/configs"
)

// A Tally is the result of many runs.
type Tally struct {
	Seeds    int
	Events   uint64
	Time     time.Duration // that was simulated
	Faults   [kinds]int
	Findings map[string][]uint64 // the seeds that broke an invariant, by kind
}

// A Search runs the scenarios of many seeds, one after the other.
type Search struct {
	First  uint64
	Stride uint64        // from one seed to the next; 0: 1
	Count  int           // of seeds; 0: no limit
	Limit  time.Duration // 0: no limit
	Only   []Kind        // every fault becomes one of these; empty: they are of all kinds
	// Out gets the transcript of the first finding of each kind, with as few faults as possible, in one piece.
	Out   io.Writer
	Clock func() time.Time
}

// Run runs seeds until there are enough, or the time is over.
func (s Search) Run() *Tally {
	t := NewTally()
	end := s.Clock().Add(s.Limit)
	parsed := make(map[string]*configs.Config)
	for seed := s.First; (s.Count == 0 || t.Seeds < s.Count) && (s.Limit == 0 || s.Clock().Before(end)); seed += max(s.Stride, 1) {
		scenario := s.Scenario(seed)
		scenario.parsed = parsed
		r := Run(scenario)
		t.add(seed, r)
		if r.Broken != nil && len(t.Findings[r.Broken.Kind]) == 1 {
			var b bytes.Buffer
			Write(&b, scenario, r.Broken.Kind)
			_, _ = s.Out.Write(b.Bytes())
		}
	}
	return t
}

// Scenario makes the scenario of a seed.
func (s *Search) Scenario(seed uint64) *Scenario {
	scenario := NewScenario(seed)
	for i := range scenario.Faults {
		if f := &scenario.Faults[i]; len(s.Only) > 0 {
			f.Kind = s.Only[int(f.Kind)%len(s.Only)]
		}
	}
	return scenario
}

// NewTally returns an empty tally.
func NewTally() *Tally { return &Tally{Findings: make(map[string][]uint64)} }

// Add adds the results of other runs.
func (t *Tally) Add(more *Tally) {
	t.Seeds += more.Seeds
	t.Events += more.Events
	t.Time += more.Time
	for k, n := range more.Faults {
		t.Faults[k] += n
	}
	for kind, seeds := range more.Findings {
		t.Findings[kind] = slices.Sorted(slices.Values(append(t.Findings[kind], seeds...)))
	}
}

func (t *Tally) add(seed uint64, r Result) {
	t.Seeds++
	t.Events += r.Events
	t.Time += r.Time
	for k, n := range r.Faults {
		t.Faults[k] += n
	}
	if r.Broken != nil {
		t.Findings[r.Broken.Kind] = append(t.Findings[r.Broken.Kind], seed)
	}
}

// Write writes the transcript of a scenario. One that breaks an invariant of a kind is minimised first.
func Write(out io.Writer, s *Scenario, kind string) {
	var r Result
	if kind != "" {
		s, r = Minimise(s, kind)
	} else {
		r = Run(s)
	}
	fmt.Fprintln(out, s)
	for _, f := range s.Faults {
		fmt.Fprintln(out, "  ", f)
	}
	for _, l := range r.Lines {
		fmt.Fprintln(out, l)
	}
}

// String returns the tally in lines.
func (t *Tally) String() string {
	var b strings.Builder
	sum := 0
	for _, n := range t.Faults {
		sum += n
	}
	fmt.Fprintf(&b, "%d seeds, %.1f simulated hours, %d events, %d faults, %d kinds of findings\n",
		t.Seeds, t.Time.Hours(), t.Events, sum, len(t.Findings))
	for k, n := range t.Faults {
		if n > 0 {
			fmt.Fprintf(&b, "  %-26s %7d\n", Kind(k), n)
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(t.Findings)) {
		seeds := t.Findings[kind]
		fmt.Fprintf(&b, "FINDING: %s: %d seeds: %v\n", kind, len(seeds), seeds[:min(len(seeds), 10)])
	}
	return b.String()
}
