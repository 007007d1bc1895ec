// SPDX-License-Identifier: Apache-2.0

package history

import (
	"encoding/json"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
)

const (
	// File is the name of the history's file in the state directory. The file before it is File + ".1".
	File = "history.jsonl"
	// MaxSize is the size in bytes at which a new file is begun.
	MaxSize = 1 << 20
)

// Encode returns the lines of events.
func Encode(events []api.Event) (lines []byte) {
	for _, ev := range events {
		line, err := json.Marshal(ev)
		if err != nil {
			continue // only a time after the year 9999 can cause one
		}
		lines = append(append(lines, line...), '\n')
	}
	return lines
}

const (
	// Stopped is what a director's last event says, unless it was killed.
	Stopped = "stopped"
	// Followed is what the first event of a director says if the one before was killed.
	Followed = "follows a director that did not stop"
)

// isStopped tells whether an event is the end of a director.
func isStopped(ev api.Event) bool {
	return ev.On == api.OnDirector && ev.Kind == api.EventDirector && ev.What == Stopped
}

// Killed returns the time of the latest event, if the director of that event did not stop.
func Killed(events []api.Event) time.Time {
	for i := len(events) - 1; i >= 0; i-- {
		if ev := events[i]; isStopped(ev) {
			return time.Time{}
		} else if ev.Kind == api.EventDirector {
			return events[len(events)-1].Time
		}
	}
	return time.Time{}
}

// Decode returns the events of lines. damaged counts the lines that are no events: a crash can cut off a line.
func Decode(lines [][]byte) (events []api.Event, damaged int) {
	for _, line := range lines {
		var ev api.Event
		if json.Unmarshal(line, &ev) != nil || ev.Time.IsZero() {
			damaged++
			continue
		}
		events = append(events, ev)
	}
	return events, damaged
}
