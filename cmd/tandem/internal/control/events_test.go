// SPDX-License-Identifier: Apache-2.0

package control

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestHistoryTravels(t *testing.T) {
	d := &fakeDirector{}
	c := serve(t, d)
	q := HistoryQuery{Since: time.Date(2026, 11, 22, 3, 0, 0, 5, time.UTC), Router: "a&b", Service: "www/[2001:db8::1]:80"}
	events, err := c.History(t.Context(), q)
	if err != nil || len(events) != 1 || !events[0].Time.Equal(q.Since) || d.asked[0] != wordsOf(q) {
		t.Errorf("got %+v, %v; asked for %q", events, err, d.asked)
	}
	for _, wrong := range []string{"?since=yesterday", "?server=x"} {
		if _, err := c.Do(t.Context(), "GET", historyPath+wrong, nil); err == nil || !strings.Contains(err.Error(), "want") {
			t.Errorf("%s: %v", wrong, err)
		}
	}
}

// stream returns a stream that has had one event, and its other end.
func stream(d *fakeDirector, dropped bool) chan Event {
	next := make(chan Event, 10)
	d.stream = EventStream{Before: []Event{{What: "old"}}, Next: next, Dropped: func() bool { return dropped }, Close: func() {}}
	return next
}

// TestEventsTravel: events come at once, one by one.
func TestEventsTravel(t *testing.T) {
	d := &fakeDirector{}
	c := serve(t, d)
	next := stream(d, false)
	var got []string
	enough := errors.New("enough")
	err := c.Events(t.Context(), HistoryQuery{Since: time.Unix(1, 0)}, func(ev Event) error {
		got = append(got, ev.What)
		if len(got) == 4 {
			return enough
		}
		next <- Event{Kind: "transition", What: fmt.Sprintf("%d\nline", len(got))}
		return nil
	})
	if want := "old,1\nline,2\nline,3\nline"; !errors.Is(err, enough) || strings.Join(got, ",") != want {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
	ctx, cancel := context.WithCancel(t.Context())
	next = stream(d, false)
	next <- Event{What: "new"}
	if err := c.Events(ctx, HistoryQuery{}, func(ev Event) error {
		if ev.What != "new" {
			t.Errorf("without since: got %q first", ev.What)
		}
		cancel()
		return nil
	}); err != nil {
		t.Errorf("interrupted: %v", err)
	}
}

// TestStreamEnds: a reader learns why its stream has ended.
func TestStreamEnds(t *testing.T) {
	d := &fakeDirector{}
	c := serve(t, d)
	nothing := func(Event) error { return nil }
	close(stream(d, true))
	if err := c.Events(t.Context(), HistoryQuery{}, nothing); !errors.Is(err, ErrDropped) {
		t.Errorf("too slow: %v", err)
	}
	close(stream(d, false))
	if err := c.Events(t.Context(), HistoryQuery{}, nothing); err == nil || errors.Is(err, ErrDropped) {
		t.Errorf("the director leaves: %v", err)
	}
	d.failover = errors.New("16 readers follow the events already")
	if err := c.Events(t.Context(), HistoryQuery{}, nothing); err == nil || err.Error() != "16 readers follow the events already" {
		t.Errorf("too many readers: %v", err)
	}
}

// TestStreamOutlastsTheLimits: a stream lasts longer than an answer may take.
func TestStreamOutlastsTheLimits(t *testing.T) {
	former := limits
	limits.Answer = 100 * time.Millisecond
	t.Cleanup(func() { limits = former })
	d := &fakeDirector{}
	c := serve(t, d)
	next := stream(d, true)
	go func() {
		next <- Event{What: "at once"}
		<-time.After(400 * time.Millisecond)
		next <- Event{What: "later"}
		close(next)
	}()
	n := 0
	if err := c.Events(t.Context(), HistoryQuery{}, func(Event) error { n++; return nil }); !errors.Is(err, ErrDropped) || n != 2 {
		t.Errorf("%d events, then %v", n, err)
	}
}

// TestReaderThatStops: a reader that takes nothing ends its stream alone, and other requests are answered meanwhile.
func TestReaderThatStops(t *testing.T) {
	d := &fakeDirector{}
	c := serve(t, d)
	next := stream(d, true)
	reading, stop := make(chan struct{}), make(chan struct{})
	ended := make(chan error, 1)
	go func() {
		first := true
		ended <- c.Events(t.Context(), HistoryQuery{}, func(Event) error {
			if first {
				first = false
				close(reading)
				<-stop
			}
			return nil
		})
	}()
	next <- Event{What: "first"}
	<-reading
	big := Event{Cause: strings.Repeat("x", 100<<10)}
	filled := 0
	for full := false; !full; {
		select {
		case next <- big:
			filled++
		case <-time.After(200 * time.Millisecond): // the handler waits for the socket
			full = true
		}
	}
	if filled > 100 {
		t.Errorf("%d events of 100 kB were taken for a reader that does not read", filled)
	}
	if _, err := c.Status(t.Context()); err != nil {
		t.Errorf("status meanwhile: %v", err)
	}
	close(next) // as the director does
	close(stop)
	if err := <-ended; !errors.Is(err, ErrDropped) {
		t.Errorf("the reader is told %v", err)
	}
}
