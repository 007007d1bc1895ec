// SPDX-License-Identifier: Apache-2.0

package control

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
)

// The names of the parameters of a HistoryQuery.
const (
	sinceParameter   = api.SinceParameter
	routerParameter  = api.RouterParameter
	serviceParameter = api.ServiceParameter
)

const (
	// streamPatience is how long one write to a reader of events may take.
	streamPatience = 10 * time.Second
	// streamPulse is the pause after which a comment is sent, so that a reader that has gone is noticed.
	streamPulse = 30 * time.Second
)

// droppedEvent is the type of the last event of a stream whose reader was too slow.
const droppedEvent = api.DroppedEvent

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
