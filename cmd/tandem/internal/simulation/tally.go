// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// A Tally is what came of many runs.
type Tally struct {
	Seeds    int
	Events   uint64
	Time     time.Duration // that was simulated
	Faults   [kinds]int
	Findings map[string][]uint64 // the seeds that broke an invariant, by kind
	Known    map[string]int      // runs with a known finding
}

// Search runs the scenarios of seeds, from first on, until a time is over or count have been run; 0: no limit. It writes the
// transcript of the first finding of each kind, with as few faults as possible.
func Search(out io.Writer, first uint64, count int, limit time.Duration, clock func() time.Time) *Tally {
	t := &Tally{Findings: make(map[string][]uint64), Known: make(map[string]int)}
	end := clock().Add(limit)
	for seed := first; (count == 0 || t.Seeds < count) && clock().Before(end); seed++ {
		s := NewScenario(seed)
		r := Run(s)
		t.add(seed, r)
		if b := r.Broken; b != nil && len(t.Findings[b.Kind]) == 1 {
			Write(out, s, b.Kind)
		}
	}
	return t
}

func (t *Tally) add(seed uint64, r Result) {
	t.Seeds++
	t.Events += r.Events
	t.Time += r.Time
	for k, n := range r.Faults {
		t.Faults[k] += n
	}
	for _, why := range r.Known {
		t.Known[why]++
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

// String is the tally in lines.
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
	for _, why := range slices.Sorted(maps.Keys(t.Known)) {
		fmt.Fprintf(&b, "known: %s: %d seeds\n", why, t.Known[why])
	}
	for _, kind := range slices.Sorted(maps.Keys(t.Findings)) {
		seeds := t.Findings[kind]
		fmt.Fprintf(&b, "FINDING: %s: %d seeds: %v\n", kind, len(seeds), seeds[:min(len(seeds), 10)])
	}
	return b.String()
}
