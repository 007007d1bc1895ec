// SPDX-License-Identifier: Apache-2.0

package history

import (
	"fmt"
	"strings"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
)

// timeLayout is the form of an event's time. A transition is exact to the millisecond.
const timeLayout = "2006-01-02 15:04:05.000"

// Line is an event as a line for people, in the time zone of its time.
func Line(ev api.Event) string {
	text := fmt.Sprintf("%s  %-10s  %s %s", ev.Time.Format(timeLayout), ev.Kind, subject(ev), ev.What)
	if ev.Cause != "" {
		text += ": " + ev.Cause
	}
	return clean(text)
}

// subject names what an event is about.
func subject(ev api.Event) string {
	switch ev.On {
	case api.OnServer, api.OnInterface, api.OnDirector:
		return ev.Name
	}
	return strings.ReplaceAll(ev.On, "_", " ") + " " + ev.Name
}

// clean replaces what would disturb a terminal: a cause may be what a script or a server has said.
func clean(text string) string {
	return strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f || c >= 0x80 && c < 0xa0 {
			return ' '
		}
		return c
	}, text)
}

// sinceLayouts are the forms of a point in time. Those without a day are of today, or of yesterday if they are not reached yet.
var sinceLayouts = []struct {
	layout string
	day    bool // the form has a day
}{
	{time.RFC3339, true}, {"2006-01-02 15:04:05", true}, {"2006-01-02 15:04", true}, {"2006-01-02", true},
	{"15:04:05", false}, {"15:04", false},
}

// ParseSince reads a point in time before now: yesterday, today, a duration (2h, 30m, 3d), or a time.
func ParseSince(now time.Time, text string) (time.Time, error) {
	midnight := time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, now.Location())
	switch text {
	case "today":
		return midnight, nil
	case "yesterday":
		return midnight.AddDate(0, 0, -1), nil
	}
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		return now.Add(-ago), nil
	}
	var days int
	if n, err := fmt.Sscanf(text, "%dd", &days); err == nil && n == 1 && days >= 0 && text == fmt.Sprintf("%dd", days) {
		return now.AddDate(0, 0, -days), nil
	}
	for _, l := range sinceLayouts {
		at, err := time.ParseInLocation(l.layout, text, now.Location())
		if err != nil {
			continue
		}
		if !l.day {
			at = midnight.Add(time.Duration(at.Hour())*time.Hour + time.Duration(at.Minute())*time.Minute + time.Duration(at.Second())*time.Second)
			if at.After(now) {
				at = at.AddDate(0, 0, -1)
			}
		}
		return at, nil
	}
	return time.Time{}, fmt.Errorf("%q is no time: write yesterday, today, 2h, 3d, 15:04, 2006-01-02 or \"2006-01-02 15:04\"", text)
}
