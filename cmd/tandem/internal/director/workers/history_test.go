// SPDX-License-Identifier: Apache-2.0

package workers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/core"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/history"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/state"
)

// A fakeDisk is a HistoryFile that can be full, or hang.
type fakeDisk struct {
	mu    sync.Mutex
	lines []byte
	err   error
	hang  chan struct{} // nil: it does not
}

// set empties the disk, or not, and makes it fail from now on. nil: it works.
func (d *fakeDisk) set(err error, empty bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err = err; empty {
		d.lines = nil
	}
}

func (d *fakeDisk) Append(lines []byte) error {
	if d.hang != nil {
		<-d.hang
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err == nil {
		d.lines = append(d.lines, lines...)
	}
	return d.err
}

func (d *fakeDisk) Lines() ([][]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return bytes.Split(d.lines, []byte("\n")), nil
}

// has returns what the events on the disk say.
func (d *fakeDisk) has() string {
	lines, _ := d.Lines()
	return whats(history.Decode(lines))
}

func whats(events []api.Event, _ int) string {
	var all []string
	for _, ev := range events {
		all = append(all, ev.What)
	}
	return strings.Join(all, " ")
}

// recorded are events that are named by their numbers.
func recorded(from, upto int) core.Recorded {
	r := core.Recorded{Upto: uint64(upto)}
	for i := from; i <= upto; i++ {
		r.Events = append(r.Events, api.Event{Time: time.Unix(int64(i), 0), Director: "lb1", What: fmt.Sprint(i)})
	}
	return r
}

// writing runs a worker in a bubble until the test ends.
func writing(t *testing.T, d HistoryFile) (in Mailbox[core.Recorded], last func() core.HistoryStored) {
	in = NewMailbox[core.Recorded]()
	var latest core.HistoryStored
	w := &History{File: d, In: in, Loaded: func([]api.Event) {}, Post: func(ev core.Event) {
		if is, ok := ev.(core.HistoryStored); ok {
			latest = is
		}
	}}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- w.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	synctest.Wait()
	return in, func() core.HistoryStored {
		synctest.Wait()
		return latest
	}
}

// TestHistoryOnAFullDisk: events wait until there is room. If there are too many, the oldest are lost, and the file says how many.
func TestHistoryOnAFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &fakeDisk{}
		in, last := writing(t, d)
		in.Put(recorded(1, 2))
		if got := last(); got != (core.HistoryStored{Upto: 2}) || d.has() != "1 2" {
			t.Errorf("written: %+v, %q", got, d.has())
		}
		d.set(errors.New("no space left on device"), false)
		in.Put(recorded(3, 3))
		if got := last(); got != (core.HistoryStored{Upto: 2, Problem: "no space left on device"}) {
			t.Errorf("full: %+v", got)
		}
		in.Put(recorded(4, 4))
		synctest.Wait()
		d.set(nil, false)
		time.Sleep(historyRetryPause)
		if got := last(); got != (core.HistoryStored{Upto: 4}) || d.has() != "1 2 3 4" {
			t.Errorf("room again: %+v, %q", got, d.has())
		}
		d.set(errors.New("no space left on device"), false)
		in.Put(recorded(5, 5))
		synctest.Wait()
		for i := 6; i < 5000; i++ {
			in.Put(recorded(i, i))
			synctest.Wait()
		}
		lost := uint64(4999 - 4 - 4096)
		if got := last(); got.Lost != lost || got.Problem == "" {
			t.Errorf("too many: %+v, want %d lost", got, lost)
		}
		d.set(nil, true)
		time.Sleep(historyRetryPause)
		want := fmt.Sprintf("lost %d events of the history %d ", lost, 5+lost)
		if got := last(); got != (core.HistoryStored{Upto: 4999, Lost: lost}) || !strings.HasPrefix(d.has(), want) || !strings.HasSuffix(d.has(), " 4999") {
			t.Errorf("room again: %+v, %.80q", got, d.has())
		}
	})
}

// TestHistoryOnADiskThatHangs: the sender never waits, and a leaving director is not kept.
func TestHistoryOnADiskThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &fakeDisk{hang: make(chan struct{})}
		in, last := writing(t, d)
		for i := 1; i <= 5000; i++ {
			in.Merge(recorded(i, i), core.MergeRecorded)
		}
		if got := last(); got != (core.HistoryStored{}) {
			t.Errorf("%+v while the disk hangs", got)
		}
		close(d.hang)
		if got := last(); got.Upto != 5000 || got.Lost == 0 || !strings.Contains(d.has(), "events of the history") {
			t.Errorf("%+v when it works again", got)
		}
	})
}

// TestHistorySurvives: a restart reads what the former process wrote, in spite of a line that a crash has cut off.
func TestHistorySurvives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := state.NewJournal(filepath.Join(t.TempDir(), history.File), history.MaxSize)
		in, last := writing(t, j)
		in.Put(recorded(1, 2))
		last()
		if err := j.Append([]byte(`{"time":"2026-11-22T03:1`)); err != nil {
			t.Fatal(err)
		}
		in.Put(recorded(3, 3))
		last()
		lines, err := j.Lines()
		events, damaged := history.Decode(lines)
		if got := whats(events, 0); got != "1 2 3" || damaged != 1 || err != nil {
			t.Errorf("%q, %d damaged, %v", got, damaged, err)
		}
	})
}

// passing runs Events in a bubble until the test ends.
func passing(t *testing.T) (*Events, Mailbox[core.Recorded]) {
	in := NewMailbox[core.Recorded]()
	e := NewEvents(in)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- e.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return e, in
}

// TestEvents: a reader gets what has happened, and then what happens, each once.
func TestEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, in := passing(t)
		in.Put(recorded(3, 3))
		synctest.Wait()
		e.Seed(recorded(1, 2).Events)
		synctest.Wait()
		s, err := e.Subscribe(api.HistoryQuery{Since: time.Unix(2, 0)}, true)
		if got := whats(s.Before, 0); err != nil || got != "2 3" {
			t.Errorf("before: %q, %v", got, err)
		}
		in.Put(recorded(4, 5))
		if a, b := <-s.Next, <-s.Next; a.What != "4" || b.What != "5" {
			t.Errorf("then %q and %q", a.What, b.What)
		}
		s.Close()
		in.Put(recorded(6, 6))
		synctest.Wait()
		select {
		case ev := <-s.Next:
			t.Errorf("%q after the end", ev.What)
		default:
		}
	})
}

// TestSlowReader: a reader that does not read is dropped, and the others lose nothing.
func TestSlowReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, in := passing(t)
		slow, _ := e.Subscribe(api.HistoryQuery{}, true)
		good, _ := e.Subscribe(api.HistoryQuery{}, true)
		for i := 1; i <= streamRoom+1; i++ {
			in.Put(recorded(i, i))
			if ev := <-good.Next; ev.What != fmt.Sprint(i) {
				t.Fatalf("the good reader got %q, want %d", ev.What, i)
			}
		}
		n := 0
		for range slow.Next {
			n++
		}
		if n != streamRoom || !slow.Dropped() || good.Dropped() {
			t.Errorf("the slow reader got %d events, dropped: %t; the good one dropped: %t", n, slow.Dropped(), good.Dropped())
		}
		for range maxStreams - 1 {
			if _, err := e.Subscribe(api.HistoryQuery{}, true); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := e.Subscribe(api.HistoryQuery{}, true); err == nil {
			t.Error("one reader too many")
		}
		if s, err := e.Subscribe(api.HistoryQuery{}, false); err != nil || len(s.Before) != streamRoom+1 {
			t.Errorf("without following: %d events, %v", len(s.Before), err)
		}
	})
}

// TestEventsAreBounded: the memory has the latest events.
func TestEventsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, in := passing(t)
		in.Put(recorded(1, maxKept))
		synctest.Wait()
		in.Put(recorded(maxKept+1, maxKept+5))
		synctest.Wait()
		s, err := e.Subscribe(api.HistoryQuery{}, false)
		if err != nil || len(s.Before) != maxKept || s.Before[0].What != "6" {
			t.Errorf("%d events from %q on, %v", len(s.Before), s.Before[0].What, err)
		}
	})
}
