// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// An event is a line of a director's history, by its documented names.
type event struct {
	Time                                  time.Time
	Kind, On, Name, What, Cause, Old, New string
}

// readEvents reads lines of JSON.
func readEvents(lines []string) (all []event, err error) {
	for _, line := range lines {
		var ev event
		if err := json.Unmarshal([]byte(line), &ev); err != nil {
			return nil, fmt.Errorf("%q: %w", line, err)
		}
		all = append(all, ev)
	}
	return all, nil
}

// A run is what a hook wrote about one of its runs.
type run struct {
	hook, router, event string
	attempt             int
	does                string // what the run does: see hookScript
	at                  string // TANDEM_TIME
	uptime              time.Duration
}

// readRuns reads what the hooks of a director wrote. Lines that say that two ran at the same time are problems.
func readRuns(text string) (all []run, problems []string) {
	for line := range strings.Lines(text) {
		word := strings.Fields(line)
		if len(word) != 8 {
			problems = append(problems, fmt.Sprintf("a hook wrote %q", line))
			continue
		}
		attempt, err := strconv.Atoi(word[4])
		seconds, err2 := strconv.ParseFloat(word[7], 64)
		r := run{
			hook: word[1], router: word[2], event: word[3], attempt: attempt, does: word[5], at: word[6],
			uptime: time.Duration(seconds * float64(time.Second)),
		}
		switch {
		case err != nil || err2 != nil:
			problems = append(problems, fmt.Sprintf("a hook wrote %q", line))
		case word[0] == "begin":
			all = append(all, r)
		default:
			problems = append(problems, "two hooks of a virtual router at the same time: "+line)
		}
	}
	return all, problems
}

// A tally counts what one or more hooks were told.
type tally struct {
	heard    int // transitions that the hooks hear
	told     int // of them with at least one attempt
	replaced int // of them not told, because a newer state came first
	lost     int // of them not told, because their director was killed
	known    int // of them the first of a director that was started again, which the hook knew
	runs     int
	failed   int // runs
	killed   int // of them for taking too long
	slow     int // of these, those that would have ended by themselves
	cut      int // runs that ended with their director
	again    int // states that were told again after a restart or a reload
}

func (t *tally) add(o tally) {
	t.heard += o.heard
	t.told += o.told
	t.replaced += o.replaced
	t.lost += o.lost
	t.known += o.known
	t.runs += o.runs
	t.failed += o.failed
	t.killed += o.killed
	t.slow += o.slow
	t.cut += o.cut
	t.again += o.again
}

// A heard is a transition that a hook has to be told.
type heard struct {
	event    string
	line     int       // of the history
	next     int       // the line of the next one that the hook hears; 0: none
	nextTime time.Time // of that one
	attempts int
	reloaded bool // since the last attempt, which failed
	restart  bool // it is the first of a director that was started again: a hook may know it already
}

// An account compares the transitions of one virtual router with the runs of one hook.
type account struct {
	hook     string
	on       []string // the events that the hook hears
	runs     []run    // of the hook, in their order
	open     []*heard
	newest   *heard
	line     int // of the history
	changed  int // the line of the latest transition
	ended    int // the line of the latest run of any hook of the virtual router, after which the next one starts
	tally    tally
	problems []string
	done     map[string]bool // TANDEM_TIME of what was told with success
	blind    bool            // events are missing: nothing is checked until the next start
}

// check reads the history of the virtual router's director. starts are the times at which its directors were started.
func (a *account) check(router string, events []event, starts []time.Duration) {
	a.done = make(map[string]bool)
	started, fresh := 0, true
	stopped := false
	for i, ev := range events {
		a.line = i + 1
		switch {
		case ev.On == "director" && ev.Kind == "director" && ev.What == "started":
			if started++; started > len(starts) {
				a.problem(ev, "the director was started more often than the test did")
				return
			}
			a.restart(starts[started-1], stopped)
			fresh, stopped, a.blind = true, false, false
		case a.blind:
		case leftOut(ev):
			a.forget()
		case ev.On == "director" && ev.What == "stopped":
			stopped = true
		case ev.Kind == "reload":
			for _, h := range a.open {
				h.reloaded = h.attempts > 0
			}
		case ev.On != "router" || ev.Name != router:
		case ev.Kind == "transition" && (strings.HasPrefix(ev.What, "became ") || ev.What == "stopped"):
			what := ev.New
			if ev.What == "stopped" {
				what = "stop"
			}
			a.changed = a.line
			if slices.Contains(a.on, what) {
				a.tally.heard++
				h := &heard{event: what, line: a.line, restart: fresh && started > 1}
				if a.newest != nil {
					a.newest.next, a.newest.nextTime = a.line, ev.Time
				}
				a.newest, a.open = h, append(a.open, h)
			}
			fresh = false
		case ev.Kind == "hook":
			a.result(ev)
		}
	}
	a.restart(1<<62, stopped)
}

// leftOut tells whether the history lacks events before this one. A director records at most 1000 events of virtual routers at once,
// and as many of hooks, and then one a second.
func leftOut(ev event) bool {
	return ev.On == "director" && strings.HasPrefix(ev.What, "left out ") && !strings.Contains(ev.What, "servers")
}

// forget ends the check until the next start. What waits to be told counts for nothing.
func (a *account) forget() {
	for _, h := range a.open {
		if h.attempts == 0 {
			a.tally.heard--
		}
	}
	a.open, a.newest, a.blind = nil, nil, true
}

// restart closes the account of a director that was followed by one that was started at a time.
func (a *account) restart(at time.Duration, stopped bool) {
	for _, h := range a.open {
		switch {
		case h.attempts > 0:
		case h.restart:
			a.tally.known++
		case stopped:
			a.problems = append(a.problems, fmt.Sprintf("hook %s: %s was neither told nor replaced", a.hook, h.event))
		default:
			a.tally.lost++
		}
	}
	a.open, a.newest, a.ended = nil, nil, 0
	for len(a.runs) > 0 && a.runs[0].uptime < at {
		if a.blind {
			a.runs = a.runs[1:]
			continue
		}
		if stopped {
			a.problems = append(a.problems, fmt.Sprintf("hook %s: a run that the history lacks: %+v", a.hook, a.runs[0]))
		}
		a.tally.cut++
		a.runs = a.runs[1:]
	}
}

func (a *account) problem(ev event, format string, args ...any) {
	a.problems = append(a.problems, fmt.Sprintf("hook %s, %s, %q: %s", a.hook, ev.Time.Format("15:04:05.000"), ev.What, fmt.Sprintf(format, args...)))
}

// tooLong is how the history explains that a run was killed for its time.
const tooLong = "it took too long, and was killed"

// result takes a line of the history about what the hook was told, or was not.
func (a *account) result(ev event) {
	var hook, what string
	attempt := 0
	line := strings.ReplaceAll(ev.What, ",", " ,")
	switch {
	case scan(line, "told hook %s the event %s", &hook, &what):
	case scan(line, "failed to tell hook %s the event %s , attempt %d", &hook, &what, &attempt):
	case scan(line, "does not tell hook %s the event %s", &hook, &what):
		if hook == a.hook {
			a.replaced(ev, what)
		}
		return
	default:
		a.problem(ev, "the history says something unknown about hooks")
		return
	}
	defer func() { a.ended = a.line }()
	if hook != a.hook {
		return
	}
	failed := attempt > 0
	a.tally.runs++
	if failed {
		a.tally.failed++
	}
	if strings.HasPrefix(ev.Cause, tooLong) {
		a.tally.killed++
	}
	var r *run
	switch {
	case len(a.runs) > 0 && a.runs[0].event == what && (!failed || a.runs[0].attempt == attempt):
		r, a.runs = &a.runs[0], a.runs[1:]
		attempt = r.attempt
	case strings.HasPrefix(ev.Cause, tooLong): // it was killed before it wrote anything
	default:
		a.problem(ev, "it did not run, or not in this order; the next run is %+v", a.runs[:min(1, len(a.runs))])
		return
	}
	if r == nil {
		a.attempted(ev, what, attempt, failed, "")
		a.tally.slow++
		return
	}
	a.attempted(ev, what, attempt, failed, r.at)
	if want := outcome[r.does]; !strings.HasPrefix(ev.Cause, want) || want == "" && failed {
		if !strings.HasPrefix(ev.Cause, tooLong) {
			a.problem(ev, "%q, but the run %+v ends with %q", ev.Cause, *r, want)
		}
		a.tally.slow++
	}
	if a.done[r.at] {
		a.problem(ev, "told again, although it was told with success: %+v", *r)
	}
	a.done[r.at] = a.done[r.at] || !failed
}

// attempted takes an attempt to tell an event. at is its TANDEM_TIME, if it is known.
func (a *account) attempted(ev event, what string, attempt int, failed bool, at string) {
	i := slices.IndexFunc(a.open, func(h *heard) bool { return h.event == what && h.attempts == attempt-1 && !a.known(h, at) })
	if i < 0 && attempt == 1 {
		// A reload tells the present state again to a hook that has failed.
		i = slices.IndexFunc(a.open, func(h *heard) bool { return h.event == what && h.reloaded })
	}
	if i < 0 {
		a.problem(ev, "attempt %d of an event that did not happen, or that was told already", attempt)
		return
	}
	for _, older := range a.open[:i] {
		if older.attempts == 0 && !older.restart {
			a.problem(ev, "it was told before the older event %s, which was not replaced", older.event)
		}
	}
	h := a.open[i]
	if h.next > 0 && h.next < a.ended {
		a.problem(ev, "it started although a newer state was there")
	}
	if h.reloaded && attempt == 1 || h.restart && h.attempts == 0 {
		a.tally.again++
	}
	if h.attempts == 0 {
		a.tally.told++
	}
	h.attempts, h.reloaded = attempt, false
	for _, older := range a.open[:i] {
		if older.restart && older.attempts == 0 {
			a.tally.known++
		}
	}
	if a.open = a.open[i:]; !failed {
		a.open = a.open[1:]
	}
}

// known tells whether an attempt that could be of the first state after a restart is of a later one. A hook that knows the first
// state is not told it, and nothing in the history says so. The attempt is of a later one if its event happened when that one was
// there. Of an attempt that wrote nothing, only its start is known.
func (a *account) known(h *heard, at string) bool {
	if !h.restart || h.attempts > 0 || h.next == 0 {
		return false
	}
	if happened, err := time.Parse(time.RFC3339Nano, at); err == nil {
		return !happened.Before(h.nextTime)
	}
	return h.next < a.ended
}

// replaced takes an event that was not told, or not tried again: the newest one, except the transition that has just replaced it.
// That one is the present state, and must be told.
func (a *account) replaced(ev event, what string) {
	for i, h := range slices.Backward(a.open) {
		if h.event != what || h.line == a.changed {
			continue
		}
		if h.attempts == 0 {
			a.tally.replaced++
		}
		a.open = slices.Delete(a.open, i, i+1)
		return
	}
	a.problem(ev, "it is the present state, or did not happen, or was told already")
}

// scan reads a line that has a form.
func scan(line, form string, to ...any) bool {
	n, err := fmt.Sscanf(line, form, to...)
	return err == nil && n == len(to)
}
