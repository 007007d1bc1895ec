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

// A record is what is known of a director at the end.
type record struct {
	name    string
	starts  []time.Duration // on the clock of lab.Uptime
	history []string        // lines
	wrote   string          // by its hooks
}

// records returns what is known of both directors.
func (s *soak) records() (all []record) {
	for _, m := range []*machine{s.a, s.b} {
		all = append(all, record{m.Name, m.starts, m.history, s.wrote(m)})
	}
	return all
}

// A verdict is what a soak has shown.
type verdict struct {
	tally
	transitions int // of all virtual routers, in the histories
	problems    []string
}

// judge compares what the hooks have written with the histories.
func judge(records []record) (v verdict) {
	for _, m := range records {
		events, err := readEvents(m.history)
		if err != nil {
			v.problem("%s: %s", m.name, err)
			continue
		}
		complete := true // since the latest start
		for _, ev := range events {
			complete = complete || ev.Kind == "director" && ev.What == "started"
			if ev.Kind == "transition" && (ev.What == "stopped" || strings.HasPrefix(ev.What, "became ")) {
				v.transitions++
			}
			if complete && leftOut(ev) {
				complete = false
				v.problem("%s: its history %s before %s: what follows cannot be judged until the next start",
					m.name, ev.What, ev.Time.Format("15:04:05.000"))
			}
		}
		runs, beside := readRuns(m.wrote)
		for _, p := range beside {
			v.problem("%s: %s", m.name, p)
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
				v.add(a.tally)
				for _, p := range a.problems {
					v.problem("%s, %s: %s", m.name, router, p)
				}
			}
		}
	}
	if sum := v.told + v.replaced + v.lost + v.known; sum != v.heard {
		v.problem("hooks had to hear of transitions %d times, and %d are accounted for", v.heard, sum)
	}
	// A machine that stands still makes any run too long. More than a few such runs are a fault.
	if v.slow*20 > v.runs {
		v.problem("of %d runs, %d were killed that would have ended by themselves", v.runs, v.slow)
	}
	return v
}

func (v *verdict) problem(format string, args ...any) {
	v.problems = append(v.problems, fmt.Sprintf(format, args...))
}

func (v *verdict) print(out io.Writer) {
	fmt.Fprintf(out, "Both histories have %d transitions of 2 virtual routers. Hooks had to hear of them %d times: %d were told, "+
		"%d were replaced by a newer state, %d were lost with a killed director, %d were known from before a restart.\n",
		v.transitions, v.heard, v.told, v.replaced, v.lost, v.known)
	fmt.Fprintf(out, "%d runs: %d failed, %d of them were killed after %s (%d would have ended by themselves), %d ended with their "+
		"director. %d times a state was told again after a reload or a restart.\n",
		v.runs, v.failed, v.killed, hookTimeout, v.slow, v.cut, v.again)
}

// print prints what was done.
func (s *soak) print(out io.Writer, took time.Duration) {
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
	var ends []string
	for _, end := range slices.Sorted(maps.Keys(s.restarts)) {
		ends = append(ends, fmt.Sprintf("%s %d times", end, s.restarts[end]))
	}
	fmt.Fprintf(out, "While hooks ran: %s.\n", strings.Join(ends, ", "))
}

func milliseconds(d time.Duration) string { return fmt.Sprintf("%d ms", d.Milliseconds()) }
