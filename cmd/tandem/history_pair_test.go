// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spf13/cobra"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control"
)

// twinEvents gives both directors a history. The clock of lb2 is an hour behind.
func twinEvents(a, b *twin) {
	at := func(hour, second int) time.Time { return time.Date(2026, 11, 22, hour, 0, second, 0, time.Local) }
	router := func(t time.Time, what, cause, old string) control.Event {
		return control.Event{Time: t, Kind: "transition", On: "router", Name: "web", What: "became " + what, Cause: cause, Old: old, New: what}
	}
	a.events = []control.Event{router(at(3, 0), "backup", "it began", "initialize"), router(at(3, 3), "master", "higher priority", "backup")}
	b.events = []control.Event{router(at(2, 1), "master", "nobody was there", "backup"), router(at(2, 4), "backup", "it gave way", "master")}
	for i := range 2 {
		a.events[i].Director, b.events[i].Director = "lb1", "lb9"
	}
}

// TestHistoryPair: the events of both are in the order of time by this director's clock, each with its director, which cannot pretend
// to be another one.
func TestHistoryPair(t *testing.T) {
	t.Parallel()
	a, b, socket := twins(t)
	twinEvents(a, b)
	const want = `lb1  2026-11-22 03:00:00.000  transition  router web became backup: it began
lb2  2026-11-22 03:00:01.000  transition  router web became master: nobody was there
lb1  2026-11-22 03:00:03.000  transition  router web became master: higher priority
lb2  2026-11-22 03:00:04.000  transition  router web became backup: it gave way
`
	const told = "the clock of lb2 is 1h0m0s behind ours: its times are corrected by that\n"
	if out, errs, err := execute(t, "history", "--pair", "--socket", socket); err != nil || out != want || errs != told {
		t.Errorf("%v, %q\n%s", err, errs, out)
	}
	out, _, err := execute(t, "history", "--pair", "--json", "--socket", socket)
	var ev control.Event
	if lines := strings.Split(out, "\n"); err != nil || len(lines) != 5 || json.Unmarshal([]byte(lines[1]), &ev) != nil || ev.Director != "lb2" || ev.Time.Local().Hour() != 3 {
		t.Errorf("%v, %s", err, out)
	}
	b.version = "v0"
	out, _, err = execute(t, "history", "--pair", "--socket", socket)
	if err == nil || err.Error() != "the events of the other director are missing: lb2 is older (tandem v0) and cannot do it: update it" || strings.Count(out, "\n") != 2 {
		t.Errorf("an older director: %v, %s", err, out)
	}
}

// TestEventsPair: what happens to both from now on is printed, and nothing that has happened before.
func TestEventsPair(t *testing.T) {
	t.Parallel()
	a, b, socket := twins(t)
	twinEvents(a, b)
	soon := time.Now().Add(time.Hour).Truncate(time.Second)
	later := soon.Add(time.Second)
	a.events = append(a.events, control.Event{Time: soon, Director: "lb1", Kind: "repair", On: "service", Name: "www", What: "was repaired"})
	b.events = append(b.events, control.Event{Time: later.Add(-time.Hour), Director: "lb9", Kind: "repair", On: "service", Name: "www", What: "was repaired"})
	out, errs, err := execute(t, "events", "--pair", "--socket", socket)
	want := "lb1  " + soon.Format("2006-01-02 15:04:05.000") + "  repair      service www was repaired\n" +
		"lb2  " + later.Format("2006-01-02 15:04:05.000") + "  repair      service www was repaired\n"
	if err == nil || !strings.Contains(err.Error(), "the director has ended the stream of events") || out != want ||
		errs != "the clock of lb2 is 1h0m0s behind ours: its times are corrected by that\n" {
		t.Errorf("%v, %q\n%s\nwant\n%s", err, errs, out, want)
	}
	if _, _, err := execute(t, "events", "--pair", "--socket", serveControl(t, &statusOnly{})); !errors.Is(err, errNoPeer) {
		t.Errorf("no channel: %v", err)
	}
	b.version = "v0"
	if out, _, err := execute(t, "events", "--pair", "--socket", socket); err == nil || !strings.Contains(err.Error(), "the events of the other director are missing: lb2 is older") || out != "" {
		t.Errorf("an older director: %v, %s", err, out)
	}
}

// TestWhyCommandPair: both sides are told in one line; if the other one cannot be asked, what this one knows, and the exit code is 1.
func TestWhyCommandPair(t *testing.T) {
	t.Parallel()
	a, b, socket := twins(t)
	twinEvents(a, b)
	out, _, err := execute(t, "why", "web", "--pair", "--socket", socket)
	at := func(second string) string { return "2026-11-22 03:00:0" + second }
	if time.Now().Format(time.DateOnly) == "2026-11-22" {
		at = func(second string) string { return "03:00:0" + second }
	}
	want := "web: lb1 became master at " + at("3") + ": higher priority. lb2 became backup at " + at("4") + ": it gave way.\n"
	if err != nil || out != want {
		t.Errorf("%v\n%s\nwant\n%s", err, out, want)
	}
	b.version = "v0"
	out, _, err = execute(t, "why", "web", "--pair", "--socket", socket)
	if want = "web: lb1 became master at " + at("3") + ": higher priority.\n"; err == nil || !strings.HasPrefix(err.Error(), "this is what one director knows: lb2 is older") || out != want {
		t.Errorf("an older director: %v\n%s\nwant\n%s", err, out, want)
	}
}

// TestFollowPair: each event of the other director is printed once, also after it could not be asked for a while.
func TestFollowPair(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out, errs bytes.Buffer
		cmd := &cobra.Command{}
		cmd.SetOut(&out)
		cmd.SetErr(&errs)
		var mu sync.Mutex
		var all []control.Event
		var lost error
		happens := func(what string, failure error) {
			mu.Lock()
			defer mu.Unlock()
			lost = failure
			all = append(all, control.Event{Time: time.Now().In(time.FixedZone("", 5400)), What: what})
		}
		o := otherSide{name: "lb2", ask: func(_ context.Context, q control.HistoryQuery) (found []control.Event, err error) {
			mu.Lock()
			defer mu.Unlock()
			for _, ev := range all {
				if ev.Time = ev.Time.In(time.FixedZone("", 5400)); q.Matches(ev) && lost == nil {
					found = append(found, ev)
				}
			}
			return found, lost
		}}
		happens("one", nil)
		seen, _ := o.history(t.Context(), control.HistoryQuery{})
		ctx, cancel := context.WithCancel(t.Context())
		p := pairPrinter{cmd: cmd, f: &eventFlags{width: 3}}
		var running sync.WaitGroup
		running.Go(func() { p.poll(ctx, o, control.HistoryQuery{}, seen) })
		for _, what := range []string{"two", "three", "lost", "four"} {
			var failure error
			if what == "lost" {
				failure = errors.New("it fell silent")
			}
			happens(what, failure)
			time.Sleep(3 * time.Minute)
		}
		cancel()
		running.Wait()
		if want := "the events of the other director are missing: it fell silent\nlb2 can be asked again\n"; errs.String() != want {
			t.Errorf("%q", errs.String())
		}
		var order []string
		for line := range strings.Lines(out.String()) {
			fields := strings.Fields(line)
			order = append(order, fields[len(fields)-1])
		}
		if strings.Join(order, " ") != "two three lost four" || !strings.HasPrefix(out.String(), "lb2  ") {
			t.Errorf("%s", out.String())
		}
	})
}
