// SPDX-License-Identifier: Apache-2.0

package simulation

import "slices"

// Minimise removes faults one by one while the scenario still breaks the same invariant. Without a fault fewer packets are
// lost, so the later random numbers have other effects: the result breaks the invariant, but perhaps in another way.
func Minimise(s *Scenario, kind string) (*Scenario, Result) { return minimise(s, kind, Run) }

func minimise(s *Scenario, kind string, run func(*Scenario) Result) (*Scenario, Result) {
	best, result := s, run(s)
	for again := true; again; {
		again = false
		for i := 0; i < len(best.Faults); i++ {
			less := *best
			less.Faults = slices.Delete(slices.Clone(best.Faults), i, i+1)
			if r := run(&less); r.Broken != nil && r.Broken.Kind == kind {
				best, result, again = &less, r, true
				i--
			}
		}
	}
	return best, result
}
