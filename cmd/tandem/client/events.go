// SPDX-License-Identifier: Apache-2.0

package client

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

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
)

// maxEventLine is the maximum length of a line of a stream.
const maxEventLine = 1 << 20

// ErrDropped says that a director has ended a stream of events, because this reader was too slow.
var ErrDropped = errors.New("the director has dropped this reader of events, because it was too slow: events are missing")

// parameters writes a query as the parameters of a request.
func parameters(q HistoryQuery) string {
	values := make(url.Values)
	if !q.Since.IsZero() {
		values.Set(api.SinceParameter, q.Since.Format(time.RFC3339Nano))
	}
	if q.Router != "" {
		values.Set(api.RouterParameter, q.Router)
	}
	if q.Service != "" {
		values.Set(api.ServiceParameter, q.Service)
	}
	return "?" + values.Encode()
}

// History returns the selected events, the oldest first.
func (c *Client) History(ctx context.Context, q HistoryQuery) ([]Event, error) {
	return ask[[]Event](ctx, c, http.MethodGet, api.HistoryPath+parameters(q), nil)
}

// Events calls each for events as they happen, until ctx ends or each returns an error. If the query has a Since, the events
// since then come first. The error is ErrDropped if this reader was too slow.
func (c *Client) Events(ctx context.Context, q HistoryQuery, each func(Event) error) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://tandem"+api.EventsPath+parameters(q), nil)
	if err != nil {
		return err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return c.explain(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		var f api.Failure
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
			if kind == api.DroppedEvent {
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
