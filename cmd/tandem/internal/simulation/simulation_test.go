// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"flag"
	"fmt"
	"testing"
	"time"
)

var (
	seconds = flag.Int("seconds", 5, "how long to look for seeds that fail")
	first   = flag.Uint64("seed", 1, "the first seed")
	count   = flag.Int("count-seeds", 0, "stop after so many seeds; 0: when the time is over")
	print   = flag.Bool("print", false, "print the transcript of the first seed")
)

func TestSimulation(t *testing.T) {
	end := time.Now().Add(time.Duration(*seconds) * time.Second)
	found := make(map[string][]uint64)
	var simulated time.Duration
	n := 0
	for seed := *first; time.Now().Before(end) && (*count == 0 || n < *count); seed++ {
		s := NewScenario(seed)
		r := Run(s)
		n++
		simulated += r.Time
		if *print {
			if r.Broken != nil {
				s, r = Minimise(s, r.Broken.Kind)
			}
			fmt.Println(s)
			for _, f := range s.Faults {
				fmt.Println(f)
			}
			for _, l := range r.Lines {
				fmt.Println(l)
			}
		}
		if r.Broken != nil {
			found[r.Broken.Kind] = append(found[r.Broken.Kind], seed)
			if len(found[r.Broken.Kind]) <= 3 {
				t.Logf("seed %d: %s", seed, r.Broken)
			}
		}
	}
	t.Logf("%d seeds, %s simulated", n, simulated)
	for k, s := range found {
		t.Errorf("%s: %d: %v", k, len(s), s[:min(10, len(s))])
	}
}
