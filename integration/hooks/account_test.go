// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// history makes events of words: "+master" is a transition, "ok master", "failed master 1", "slow master 1" and "replaced master" are
// about the hook, "other master" is about another hook, "start", "stop", "reload" and "left" about the director. Event n is of second n.
func history(text string) (all []event) {
	for word := range strings.SplitSeq(text, ";") {
		f := strings.Fields(word)
		now := noon.Add(time.Duration(len(all)) * time.Second)
		ev := event{Kind: "hook", On: "router", Name: "web"}
		switch f[0] {
		case "start", "stop":
			ev = event{Kind: "director", On: "director", Name: "a", What: f[0] + map[string]string{"start": "ed", "stop": "ped"}[f[0]]}
		case "reload":
			ev = event{Kind: "reload", On: "director", Name: "a", What: "loaded its file"}
		case "left":
			ev = event{
				Kind: "warning", On: "director", Name: "a", What: "left out 16 events of virtual routers and of the director",
				Cause: "there were too many",
			}
		case "other":
			ev.What = "told hook other the event " + f[1]
		case "ok":
			ev.What = "told hook all the event " + f[1]
		case "failed":
			ev.What, ev.Cause = fmt.Sprintf("failed to tell hook all the event %s, attempt %s", f[1], f[2]), "exit code 7"
		case "slow":
			ev.What, ev.Cause = fmt.Sprintf("failed to tell hook all the event %s, attempt %s", f[1], f[2]), tooLong
		case "replaced":
			ev.What, ev.Cause = "does not tell hook all the event "+f[1], "a newer event replaces this one"
		case "+stop":
			ev.Kind, ev.What = "transition", "stopped"
		default:
			ev.Kind, ev.New = "transition", f[0][1:]
			ev.What = "became " + ev.New
		}
		ev.Time = now
		all = append(all, ev)
	}
	return all
}

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// written makes what a hook wrote: "EVENT ATTEMPT DOES TIME UPTIME". The time "@1500ms" is noon and 1.5 s, as in a history.
func written(text string) string {
	var b strings.Builder
	for word := range strings.SplitSeq(text, ";") {
		if f := strings.Fields(word); len(f) == 5 {
			if after, err := time.ParseDuration(strings.TrimPrefix(f[3], "@")); err == nil {
				f[3] = noon.Add(after).Format(time.RFC3339Nano)
			}
			fmt.Fprintln(&b, "begin all web", f[0], f[1], f[2], f[3], f[4])
		}
	}
	return b.String()
}

func checkAccount(t *testing.T, on []string, events, wrote string, want tally, problem string) {
	t.Helper()
	runs, problems := readRuns(written(wrote))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	a := account{hook: "all", on: on, runs: runs}
	a.check("web", history(events), []time.Duration{0, 20 * time.Second})
	found := strings.Join(a.problems, "\n")
	if problem == "" && (found != "" || a.tally != want) || !strings.Contains(found, problem) {
		t.Errorf("%+v, %s; want %+v, %q", a.tally, found, want, problem)
	}
}

func TestAccount(t *testing.T) {
	for _, tt := range []struct {
		name, history, runs string
		want                tally
		problem             string // "": none
	}{
		{
			"each once, and a retry", "start;+backup;ok backup;+master;failed master 1;ok master;+stop;stop;ok stop",
			"backup 1 nothing t1 1;master 1 fails t2 2;master 2 nothing t2 3;stop 1 nothing t3 4",
			tally{heard: 3, told: 3, runs: 4, failed: 1}, "",
		},
		{
			"the newer state replaces what has not started", "start;+backup;+master;+backup;replaced master;ok backup;slow backup 1;ok backup",
			"backup 1 nothing t1 1;backup 1 hangs t3 2;backup 2 nothing t3 3",
			tally{heard: 3, told: 2, replaced: 1, runs: 3, failed: 1, killed: 1}, "",
		},
		{
			"a retry is replaced", "start;+backup;failed backup 1;+master;replaced backup;ok master",
			"backup 1 fails t1 1;master 1 nothing t2 2", tally{heard: 2, told: 2, runs: 2, failed: 1}, "",
		},
		{
			"killed, and told again", "start;+backup;ok backup;+master;start;+backup;+master;replaced backup;ok master",
			"backup 1 nothing t1 1;master 1 hangs t2 2;master 1 nothing t3 30",
			tally{heard: 4, told: 2, replaced: 1, lost: 1, runs: 2, cut: 1}, "",
		},
		{
			"the state of before the restart", "start;+backup;ok backup;start;+backup;+master;ok master",
			"backup 1 nothing t1 1;master 1 nothing t3 30", tally{heard: 3, told: 2, known: 1, runs: 2}, "",
		},
		{
			"a reload tells what has failed", "start;+backup;failed backup 1;failed backup 2;reload;ok backup",
			"backup 1 fails t1 1;backup 2 fails t1 2;backup 1 nothing t1 3", tally{heard: 1, told: 1, runs: 3, failed: 2, again: 1}, "",
		},
		{
			"killed before it wrote", "start;+backup;slow backup 1;ok backup", "backup 2 nothing t1 2",
			tally{heard: 1, told: 1, runs: 2, failed: 1, killed: 1, slow: 1}, "",
		},
		{"twice", "start;+backup;ok backup;ok backup", "backup 1 nothing t1 1;backup 1 nothing t1 2", tally{}, "told already"},
		{"a reload tells what was told", "start;+backup;ok backup;reload;ok backup", "backup 1 nothing t1 1;backup 1 nothing t1 2", tally{}, "told already"},
		{"out of order", "start;+backup;+master;ok master;ok backup", "master 1 nothing t2 1;backup 1 nothing t1 2", tally{}, "before the older event backup"},
		{
			"an old state, though a newer one is there", "start;+backup;+master;+backup;ok backup;ok master;replaced backup",
			"backup 1 nothing t1 1;master 1 nothing t2 2", tally{}, "a newer state was there",
		},
		{"never told", "start;+backup;ok backup;+master;stop", "backup 1 nothing t1 1", tally{}, "master was neither told nor replaced"},
		{"the present state is dropped", "start;+backup;ok backup;+master;replaced master", "backup 1 nothing t1 1", tally{}, "it is the present state"},
		{"not in the history", "start;+backup;ok backup;stop", "backup 1 nothing t1 1;backup 1 nothing t1 2", tally{}, "a run that the history lacks"},
		{"not run", "start;+backup;ok backup", "", tally{}, "it did not run"},
		{"a failure that counts as success", "start;+backup;ok backup", "backup 1 fails t1 1", tally{}, `ends with "exit code 7"`},
		{"a success that counts as failure", "start;+backup;failed backup 1", "backup 1 nothing t1 1", tally{}, `"exit code 7", but the run`},
		{"an attempt too many", "start;+backup;failed backup 1;ok backup", "backup 1 fails t1 1;backup 3 nothing t1 2", tally{}, "attempt 3 of an event"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			checkAccount(t, []string{"master", "backup", "fault", "stop"}, tt.history, tt.runs, tt.want, tt.problem)
		})
	}
	if _, problems := readRuns("begin all web master 1 nothing t 1.5\noverlap all web backup 1 nothing t 1.6\nbegin all web\n"); len(problems) != 2 {
		t.Errorf("%q", problems)
	}
}

// TestAccountOfOneState: a hook that hears one state only is not told it after a restart if it knows it.
func TestAccountOfOneState(t *testing.T) {
	const known = "start;+backup;ok backup;start;+backup;+fault;+backup;"
	for _, tt := range []struct {
		name, history, runs string
		want                tally
		problem             string // "": none
	}{
		{
			"known, and told the next", known + "ok backup", "backup 1 nothing @1100ms 1;backup 1 nothing @6100ms 30",
			tally{heard: 3, told: 2, known: 1, runs: 2}, "",
		},
		{
			"known, and the next is tried again", known + "slow backup 1;ok backup",
			"backup 1 nothing @1100ms 1;backup 1 hangs @6100ms 30;backup 2 nothing @6100ms 31",
			tally{heard: 3, told: 2, known: 1, runs: 3, failed: 1, killed: 1}, "",
		},
		{
			"known, and the next was killed before it wrote", known + "other backup;slow backup 1;ok backup",
			"backup 1 nothing @1100ms 1;backup 2 nothing @6100ms 31",
			tally{heard: 3, told: 2, known: 1, runs: 3, failed: 1, killed: 1, slow: 1}, "",
		},
		{
			"known, and the next is replaced", known + "+fault;replaced backup;+backup;ok backup",
			"backup 1 nothing @1100ms 1;backup 1 nothing @9100ms 30", tally{heard: 4, told: 2, replaced: 1, known: 1, runs: 2}, "",
		},
		{
			"the same state again and again", known + "ok backup;+fault;+backup;ok backup;+fault;+backup;ok backup",
			"backup 1 nothing @1100ms 1;backup 1 nothing @6100ms 30;backup 1 nothing @9100ms 31;backup 1 nothing @12100ms 32",
			tally{heard: 5, told: 4, known: 1, runs: 4}, "",
		},
		{
			"not known, and it ran when the next state came", "start;+backup;slow backup 1;start;+backup;+fault;+backup;ok backup;ok backup",
			"backup 1 hangs @1100ms 1;backup 1 nothing @4100ms 30;backup 1 nothing @6100ms 31",
			tally{heard: 3, told: 3, runs: 3, failed: 1, killed: 1, again: 1}, "",
		},
		{
			"not known, and told when the next state was there", known + "other backup;ok backup;ok backup",
			"backup 1 nothing @1100ms 1;backup 1 nothing @4100ms 30;backup 1 nothing @6100ms 31", tally{}, "a newer state was there",
		},
		{
			"stale without a restart", "start;+backup;+fault;+backup;other backup;ok backup;ok backup",
			"backup 1 nothing @1100ms 1;backup 1 nothing @3100ms 2", tally{}, "a newer state was there",
		},
		{
			"told twice", known + "ok backup;ok backup",
			"backup 1 nothing @1100ms 1;backup 1 nothing @6100ms 30;backup 1 nothing @6100ms 31", tally{}, "told already",
		},
		{"never told", known + "stop", "backup 1 nothing @1100ms 1", tally{}, "backup was neither told nor replaced"},
	} {
		t.Run(tt.name, func(t *testing.T) { checkAccount(t, []string{"backup"}, tt.history, tt.runs, tt.want, tt.problem) })
	}
}

// TestAccountOfGaps: what a history left out is not a fault of the hooks. After the next start all is checked again.
func TestAccountOfGaps(t *testing.T) {
	for _, tt := range []struct {
		name, history, runs string
		want                tally
		problem             string // "": none
	}{
		{
			"the next state is missing", "start;+backup;ok backup;+master;left;slow master 1;start;+backup;ok backup",
			"backup 1 nothing t1 1;master 1 hangs t2 2;backup 1 nothing t3 30", tally{heard: 2, told: 2, runs: 2, again: 1}, "",
		},
		{
			"what replaced a state is missing", "start;+backup;+master;left;ok master;stop;start;+backup;ok backup",
			"master 1 nothing t2 2;backup 1 nothing t3 30", tally{heard: 1, told: 1, runs: 1, again: 1}, "",
		},
		{
			"the result of a run is missing", "start;+backup;left;ok master;stop;start;+backup;ok backup",
			"backup 1 forks-and-fails t1 1;master 1 nothing t2 2;backup 1 nothing t3 30", tally{heard: 1, told: 1, runs: 1, again: 1}, "",
		},
		{
			"a state and its first attempt are missing", "start;+backup;ok backup;left;failed fault 2;start;+backup;ok backup",
			"backup 1 nothing t1 1;fault 1 fails t2 2;fault 2 fails t2 2;backup 1 nothing t3 30",
			tally{heard: 2, told: 2, runs: 2, again: 1}, "",
		},
		{
			"out of order before", "start;+backup;+master;ok master;left", "master 1 nothing t2 1", tally{}, "before the older event backup",
		},
		{
			"twice after the next start", "start;left;start;+backup;ok backup;ok backup", "backup 1 nothing t1 30;backup 1 nothing t1 31",
			tally{}, "told already",
		},
		{"never told after the next start", "start;left;start;+backup;+master;ok backup;stop", "backup 1 nothing t1 30", tally{}, "master was neither"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			checkAccount(t, []string{"master", "backup", "fault", "stop"}, tt.history, tt.runs, tt.want, tt.problem)
		})
	}
}

// TestAdded: a history may have the same line again.
func TestAdded(t *testing.T) {
	for _, tt := range []struct{ known, lines, want string }{
		{"", "a b", "a b"},
		{"a b", "a b", ""},
		{"a b", "a b c b d", "c b d"},
		{"a b c b", "c b d", "d"},
		{"a b", "c d", "dropped"},
	} {
		fresh, ok := added(strings.Fields(tt.known), strings.Fields(tt.lines))
		got := strings.Join(fresh, " ")
		if !ok {
			got = "dropped"
		}
		if got != tt.want {
			t.Errorf("%q, then %q: %q, want %q", tt.known, tt.lines, got, tt.want)
		}
	}
}
