// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tandem-lvs/tandem/configs"
)

// A Tally is what came of many runs.
type Tally struct {
	Seeds    int
	Events   uint64
	Time     time.Duration // that was simulated
	Faults   [kinds]int
	Findings map[string][]uint64 // the seeds that broke an invariant, by kind
}

// A Search runs the scenarios of many seeds.
type Search struct {
	First   uint64
	Count   int           // of seeds; 0: no limit
	Limit   time.Duration // 0: no limit
	Workers int           // seeds at a time
	// Out gets the transcript of the first finding of each kind, with as few faults as possible.
	Out   io.Writer
	Clock func() time.Time
}

// Run runs seeds until there are enough, or the time is over.
func (s Search) Run() *Tally {
	t := &Tally{Findings: make(map[string][]uint64)}
	end := s.Clock().Add(s.Limit)
	var mu sync.Mutex
	begun := 0
	next := func() (seed uint64, more bool) {
		mu.Lock()
		defer mu.Unlock()
		seed = s.First + uint64(begun)
		begun++
		return seed, (s.Count == 0 || begun <= s.Count) && (s.Limit == 0 || s.Clock().Before(end))
	}
	var workers sync.WaitGroup
	for range max(s.Workers, 1) {
		workers.Go(func() {
			parsed := make(map[string]*configs.Config)
			for seed, more := next(); more; seed, more = next() {
				scenario := NewScenario(seed)
				scenario.parsed = parsed
				r := Run(scenario)
				mu.Lock()
				t.add(seed, r)
				first := r.Broken != nil && len(t.Findings[r.Broken.Kind]) == 1
				mu.Unlock()
				if first {
					var b bytes.Buffer
					Write(&b, scenario, r.Broken.Kind)
					mu.Lock()
					_, _ = s.Out.Write(b.Bytes())
					mu.Unlock()
				}
			}
		})
	}
	workers.Wait()
	for _, seeds := range t.Findings {
		slices.Sort(seeds)
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
	for _, kind := range slices.Sorted(maps.Keys(t.Findings)) {
		seeds := t.Findings[kind]
		fmt.Fprintf(&b, "FINDING: %s: %d seeds: %v\n", kind, len(seeds), seeds[:min(len(seeds), 10)])
	}
	return b.String()
}
