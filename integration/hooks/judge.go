// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// judge compares what the hooks have written with the histories, prints what was counted, and returns the problems.
func (s *soak) judge(out io.Writer, took time.Duration) []string {
	var all tally
	problems := slices.Clone(s.problems)
	transitions := 0
	for _, m := range []*machine{s.a, s.b} {
		events, err := readEvents(m.history)
		if err != nil {
			return append(problems, err.Error())
		}
		for _, ev := range events {
			if ev.Kind == "transition" && (ev.What == "stopped" || strings.HasPrefix(ev.What, "became ")) {
				transitions++
			}
		}
		runs, beside := s.runs(m)
		for _, p := range beside {
			problems = append(problems, m.Name+": "+p)
		}
		for _, h := range soakHooks {
			for _, router := range h.routers {
				a := account{hook: h.name, on: h.on}
				for _, r := range runs {
					if r.hook == h.name && r.router == router {
						a.runs = append(a.runs, r)
					}
				}
				a.check(router, events, m.starts)
				all.add(a.tally)
				for _, p := range a.problems {
					problems = append(problems, fmt.Sprintf("%s, %s: %s", m.Name, router, p))
				}
			}
		}
	}
	if sum := all.told + all.replaced + all.lost + all.known; sum != all.heard {
		problems = append(problems, fmt.Sprintf("hooks had to hear of transitions %d times, and %d are accounted for", all.heard, sum))
	}
	// A machine that stands still makes any run too long. More than a few such runs are a fault.
	if all.slow*20 > all.runs {
		problems = append(problems, fmt.Sprintf("of %d runs, %d were killed that would have ended by themselves", all.runs, all.slow))
	}
	s.print(out, all, transitions, took)
	return problems
}

func (s *soak) print(out io.Writer, all tally, transitions int, took time.Duration) {
	forced := 0
	var by []string
	for _, name := range slices.Sorted(maps.Keys(s.forced)) {
		forced += s.forced[name]
		by = append(by, fmt.Sprintf("%d by %s", s.forced[name], name))
	}
	slices.Sort(s.moves)
	fmt.Fprintf(out, "%d transitions were forced in %s, with an advertisement every %s: %s.\n",
		forced, took.Round(time.Second), soakAdvert, strings.Join(by, ", "))
	fmt.Fprintf(out, "The VIP was at its new place after %s in half of the cases, and after %s at most.\n",
		milliseconds(s.moves[len(s.moves)/2]), milliseconds(s.moves[len(s.moves)-1]))
	fmt.Fprintf(out, "While hooks ran: %s.\n", strings.Join(s.restarts, ", "))
	fmt.Fprintf(out, "Both histories have %d transitions of 2 virtual routers. Hooks had to hear of them %d times: %d were told, "+
		"%d were replaced by a newer state, %d were lost with a killed director, %d were known from before a restart.\n",
		transitions, all.heard, all.told, all.replaced, all.lost, all.known)
	fmt.Fprintf(out, "%d runs: %d failed, %d of them were killed after %s (%d would have ended by themselves), %d ended with their "+
		"director. %d times a state was told again after a reload or a restart.\n",
		all.runs, all.failed, all.killed, hookTimeout, all.slow, all.cut, all.again)
}

func milliseconds(d time.Duration) string { return fmt.Sprintf("%d ms", d.Milliseconds()) }
