// SPDX-License-Identifier: Apache-2.0

package control

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// The names of the parameters of a HistoryQuery.
const (
	sinceParameter   = "since"
	routerParameter  = "router"
	serviceParameter = "service"
)

const (
	// streamPatience is how long one write to a reader of events may take.
	streamPatience = 10 * time.Second
	// streamPulse is the pause after which a comment is sent, so that a reader that has gone is noticed.
	streamPulse = 30 * time.Second
	// maxEventLine is the maximum length of a line of a stream.
	maxEventLine = 1 << 20
)

// droppedEvent is the type of the last event of a stream whose reader was too slow.
const droppedEvent = "dropped"

// ErrDropped says that a director has ended a stream of events, because this reader was too slow.
var ErrDropped = errors.New("the director has dropped this reader of events, because it was too slow: events are missing")

// historyQuery reads a query from a request.
func historyQuery(values url.Values) (q HistoryQuery, err error) {
	for name, all := range values {
		switch value := all[0]; name {
		case sinceParameter:
			if q.Since, err = time.Parse(time.RFC3339Nano, value); err != nil {
				return q, fmt.Errorf("since is %q: want a time as 2006-01-02T15:04:05Z", value)
			}
		case routerParameter:
			q.Router = value
		case serviceParameter:
			q.Service = value
		default:
			return q, fmt.Errorf("unknown parameter %q: want since, router or service", name)
		}
	}
	return q, nil
}

// parameters is the inverse of historyQuery.
func parameters(q HistoryQuery) string {
	values := make(url.Values)
	if !q.Since.IsZero() {
		values.Set(sinceParameter, q.Since.Format(time.RFC3339Nano))
	}
	if q.Router != "" {
		values.Set(routerParameter, q.Router)
	}
	if q.Service != "" {
		values.Set(serviceParameter, q.Service)
	}
	return "?" + values.Encode()
}

// query reads the query of a request. If that fails it answers with the error and returns false.
func (q *request) query() (HistoryQuery, bool) {
	query, err := historyQuery(q.r.URL.Query())
	if err != nil {
		answer(q.w, http.StatusBadRequest, Failure{Problems: problems(err)})
	}
	return query, err == nil
}

func handleHistory(d Director, q *request) {
	if query, ok := q.query(); ok {
		events, err := d.History(query)
		answerResult(q.w, events, err)
	}
}

func handleEvents(d Director, q *request) {
	query, ok := q.query()
	if !ok {
		return
	}
	stream, err := d.Events(query)
	if err != nil {
		answer(q.w, http.StatusServiceUnavailable, Failure{Problems: problems(err)})
		return
	}
	defer stream.Close()
	if query.Since.IsZero() {
		stream.Before = nil
	}
	serveStream(q.w, q.r.Context(), stream)
}

// serveStream writes server-sent events until the reader goes, or the stream ends.
func serveStream(w http.ResponseWriter, ctx context.Context, stream EventStream) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	to := http.NewResponseController(w)
	send := func(text []byte) bool {
		_ = to.SetWriteDeadline(time.Now().Add(streamPatience)) // works on a unix socket
		_, err := w.Write(text)
		return err == nil && to.Flush() == nil
	}
	var before bytes.Buffer
	for _, ev := range stream.Before {
		before.Write(frame(ev))
	}
	if !send(append([]byte(": events\n\n"), before.Bytes()...)) {
		return
	}
	pulse := time.NewTicker(streamPulse)
	defer pulse.Stop()
	for {
		var text []byte
		select {
		case <-ctx.Done():
			return
		case <-pulse.C:
			text = []byte(":\n\n")
		case ev, ok := <-stream.Next:
			if !ok {
				if stream.Dropped() {
					send([]byte("event: " + droppedEvent + "\ndata: {}\n\n"))
				}
				return
			}
			text = frame(ev)
		}
		if !send(text) {
			return
		}
	}
}

// frame is the form of an event in a stream.
func frame(ev Event) []byte {
	text, err := json.Marshal(ev)
	if err != nil {
		return nil // only a time after the year 9999 can cause one
	}
	return fmt.Appendf(nil, "event: %s\ndata: %s\n\n", ev.Kind, text)
}

// History returns the selected events, the oldest first.
func (c *Client) History(ctx context.Context, q HistoryQuery) ([]Event, error) {
	return ask[[]Event](ctx, c, http.MethodGet, historyPath+parameters(q), nil)
}

// Events calls each for events as they happen, until ctx ends or each returns an error. If the query has a Since, the events
// since then come first. The error is ErrDropped if this reader was too slow.
func (c *Client) Events(ctx context.Context, q HistoryQuery, each func(Event) error) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://tandem"+eventsPath+parameters(q), nil)
	if err != nil {
		return err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return c.explain(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		var f Failure
		if json.NewDecoder(resp.Body).Decode(&f) != nil || len(f.Problems) == 0 {
			return fmt.Errorf("the director answered %s", resp.Status)
		}
		return &refusal{f}
	}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, maxEventLine)
	kind := ""
	for lines.Scan() {
		name, value, _ := bytes.Cut(lines.Bytes(), []byte(": "))
		switch string(name) {
		case "event":
			kind = string(value)
		case "data":
			if kind == droppedEvent {
				return ErrDropped
			}
			var ev Event
			if err := json.Unmarshal(value, &ev); err != nil {
				return fmt.Errorf("failed to read the director's answer: %w", err)
			}
			if err := each(ev); err != nil {
				return err
			}
		}
	}
	if ctx.Err() != nil {
		return nil
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("the director has ended the stream of events: %w", err)
	}
	return errors.New("the director has ended the stream of events")
}
