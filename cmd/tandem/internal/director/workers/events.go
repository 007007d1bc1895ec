// SPDX-License-Identifier: Apache-2.0

package workers

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/core"
)

const (
	// maxKept is the maximum number of events in memory: about as many as the files have.
	maxKept = 8192
	// maxStreams is the maximum number of readers that wait for new events. Each keeps a connection of the control socket.
	maxStreams = 16
	// streamRoom is how many events can wait for a reader.
	streamRoom = 256
)

// errEventsEnded is the error of a director that leaves.
var errEventsEnded = errors.New("this director is leaving")

// Events keeps the latest events in memory, and passes new ones to readers. It does not wait for a reader: one that is too slow
// is dropped.
type Events struct {
	in    Mailbox[core.Recorded]
	seed  chan []api.Event
	asks  chan any // *subscribing or *stream
	ended chan struct{}

	// The fields below belong to Run.
	kept    []api.Event
	streams map[*stream]bool
}

// A stream is one reader of new events.
type stream struct {
	query   api.HistoryQuery
	events  chan api.Event
	dropped bool // set before events is closed
}

// A subscribing asks for the events so far, and with follow for a stream.
type subscribing struct {
	query  api.HistoryQuery
	follow bool
	answer chan subscribed
}

type subscribed struct {
	before []api.Event
	stream *stream
	err    error
}

// NewEvents returns Events that gets new ones from a mailbox.
func NewEvents(in Mailbox[core.Recorded]) *Events {
	return &Events{
		in: in, seed: make(chan []api.Event, 1), asks: make(chan any), ended: make(chan struct{}), streams: make(map[*stream]bool),
	}
}

// Seed gives it the events of earlier processes. It may be called once.
func (e *Events) Seed(earlier []api.Event) { e.seed <- earlier }

// Run keeps and passes on events until ctx ends. Then it ends all streams.
func (e *Events) Run(ctx context.Context) error {
	defer func() {
		close(e.ended)
		for s := range e.streams {
			close(s.events)
		}
	}()
	for {
		select {
		case <-ctx.Done():
			select {
			case next := <-e.in:
				e.add(next.Events)
			default:
			}
			return nil
		case next := <-e.in:
			e.add(next.Events)
		case earlier := <-e.seed:
			e.keep(slices.Concat(earlier, e.kept))
		case ask := <-e.asks:
			switch a := ask.(type) {
			case *subscribing:
				a.answer <- e.subscribe(a) // has room for it
			case *stream:
				delete(e.streams, a)
			}
		}
	}
}

func (e *Events) keep(all []api.Event) {
	if over := len(all) - maxKept; over > 0 {
		all = all[over:]
	}
	e.kept = all
}

// add keeps new events, and passes them to the readers.
func (e *Events) add(events []api.Event) {
	e.keep(append(e.kept, events...))
	for s := range e.streams {
		for _, ev := range events {
			if !s.query.Matches(ev) {
				continue
			}
			select {
			case s.events <- ev:
				continue
			default:
			}
			s.dropped = true
			close(s.events)
			delete(e.streams, s)
			break
		}
	}
}

func (e *Events) subscribe(a *subscribing) (is subscribed) {
	if a.follow && len(e.streams) == maxStreams {
		is.err = fmt.Errorf("%d readers follow the events already: end one of them", maxStreams)
		return is
	}
	is.before = []api.Event{}
	for _, ev := range e.kept {
		if a.query.Matches(ev) {
			is.before = append(is.before, ev)
		}
	}
	if a.follow {
		is.stream = &stream{query: a.query, events: make(chan api.Event, streamRoom)}
		e.streams[is.stream] = true
	}
	return is
}

// Subscribe returns the events so far that a query selects, and with follow those that happen from then on.
func (e *Events) Subscribe(q api.HistoryQuery, follow bool) (api.EventStream, error) {
	a := &subscribing{query: q, follow: follow, answer: make(chan subscribed, 1)}
	select {
	case e.asks <- a:
	case <-e.ended:
		return api.EventStream{}, errEventsEnded
	}
	is := <-a.answer
	if is.err != nil || !follow {
		return api.EventStream{Before: is.before}, is.err
	}
	return api.EventStream{
		Before: is.before, Next: is.stream.events,
		Dropped: func() bool { return is.stream.dropped },
		Close: func() {
			select {
			case e.asks <- is.stream:
			case <-e.ended:
			}
		},
	}, nil
}
