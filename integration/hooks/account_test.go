// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// history makes events of words: "+master" is a transition, "ok master", "failed master 1", "slow master 1" and "replaced master" are
// about the hook, "start", "stop" and "reload" about the director.
func history(text string) (all []event) {
	for word := range strings.SplitSeq(text, ";") {
		f := strings.Fields(word)
		ev := event{Kind: "hook", On: "router", Name: "web"}
		switch f[0] {
		case "start", "stop":
			ev = event{Kind: "director", On: "director", Name: "a", What: f[0] + map[string]string{"start": "ed", "stop": "ped"}[f[0]]}
		case "reload":
			ev = event{Kind: "reload", On: "director", Name: "a", What: "loaded its file"}
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
		all = append(all, ev)
	}
	return all
}

// written makes what a hook wrote: "EVENT ATTEMPT DOES TIME UPTIME".
func written(text string) string {
	var b strings.Builder
	for word := range strings.SplitSeq(text, ";") {
		if f := strings.Fields(word); len(f) == 5 {
			fmt.Fprintln(&b, "begin all web", f[0], f[1], f[2], f[3], f[4])
		}
	}
	return b.String()
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
			runs, problems := readRuns(written(tt.runs))
			if len(problems) > 0 {
				t.Fatal(problems)
			}
			a := account{hook: "all", on: []string{"master", "backup", "fault", "stop"}, runs: runs}
			a.check("web", history(tt.history), []time.Duration{0, 20 * time.Second})
			found := strings.Join(a.problems, "\n")
			if tt.problem == "" && (found != "" || a.tally != tt.want) || !strings.Contains(found, tt.problem) {
				t.Errorf("%+v, %s; want %+v, %q", a.tally, found, tt.want, tt.problem)
			}
		})
	}
	if _, problems := readRuns("begin all web master 1 nothing t 1.5\noverlap all web backup 1 nothing t 1.6\nbegin all web\n"); len(problems) != 2 {
		t.Errorf("%q", problems)
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
