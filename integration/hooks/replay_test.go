// SPDX-License-Identifier: Apache-2.0

package main

import (
	"reflect"
	"slices"
	"strings"
	"testing"
)

// pastSoak is the output of a soak with one virtual router.
const pastSoak = `23 problems
   0.014 lab                  director-a starts tandem

the starts of director-a:
10ms
20.5s

the history of director-a:
{"time":"2026-11-22T12:00:00Z","kind":"director","on":"director","name":"director-a","what":"started"}
{"time":"2026-11-22T12:00:01Z","kind":"transition","on":"router","name":"db","what":"became master","old":"initialize","new":"master"}
{"time":"2026-11-22T12:00:01.1Z","kind":"hook","on":"router","name":"db","what":"told hook all the event master"}
{"time":"2026-11-22T12:00:01.2Z","kind":"hook","on":"router","name":"db","what":"told hook masters the event master"}
{"time":"2026-11-22T12:00:20.5Z","kind":"director","on":"director","name":"director-a","what":"started"}

what the hooks wrote of director-a:
begin all db master 1 nothing 2026-11-22T12:00:01Z 1.00
begin masters db master 1 nothing 2026-11-22T12:00:01Z 1.10

exit status 1
`

func TestReplay(t *testing.T) {
	records, err := parseRecords(pastSoak)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := parseRecords(writeRecords(records)); err != nil || !reflect.DeepEqual(again, records) || len(records) != 1 {
		t.Fatalf("%+v, %v, want %+v", again, err, records)
	}
	if v := judge(records); len(v.problems) > 0 || v.told != 2 || v.heard != 2 || v.transitions != 1 {
		t.Errorf("%+v", v)
	}
	if _, err := parseRecords("nothing\n"); err == nil {
		t.Error("nothing is a record")
	}
	if _, err := parseRecords("the starts of x:\nnever\n"); err == nil {
		t.Error("never is a time")
	}
}

// TestReplayOfGaps: a history that is not complete is a problem, once for each start.
func TestReplayOfGaps(t *testing.T) {
	const left = `{"time":"2026-11-22T12:00:02Z","kind":"warning","on":"director","name":"director-a",` +
		`"what":"left out 4 events of virtual routers and of the director"}` + "\n"
	records, err := parseRecords(strings.Replace(pastSoak, "\n\nwhat", "\n"+left+left+"\nwhat", 1))
	if err != nil {
		t.Fatal(err)
	}
	if v := judge(records); len(v.problems) != 1 || !strings.Contains(v.problems[0], "left out 4 events") {
		t.Errorf("%q", v.problems)
	}
}

// TestRestartPlaces: a director ends before its history leaves out events.
func TestRestartPlaces(t *testing.T) {
	for _, rounds := range []int{fewest / 2, 50, 80, 81, 250, 5000} {
		places := restartPlaces(rounds)
		if n := len(places); n < 4 || n%4 != 0 || len(slices.Compact(slices.Clone(places))) != n {
			t.Errorf("%d rounds: %v", rounds, places)
		}
		for _, first := range []int{0, 1} { // the directors in turn
			last := 0
			for i := first; i < len(places); i += 2 {
				if places[i]-last > 40 {
					t.Errorf("%d rounds: %d rounds without a restart", rounds, places[i]-last)
				}
				last = places[i]
			}
			if rounds-last > 40 {
				t.Errorf("%d rounds: %d rounds after the last restart", rounds, rounds-last)
			}
		}
	}
}
