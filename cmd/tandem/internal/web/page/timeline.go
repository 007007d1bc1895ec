// SPDX-License-Identifier: Apache-2.0

package page

import (
	"slices"
	"strings"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
)

// maxEvents is how many events are shown.
const maxEvents = 200

// clockLayout is the form of an event's time. A transition is exact to the millisecond.
const clockLayout = "15:04:05.000"

// timeline tells what has happened: who was master as a drawing, and the events, the latest first.
func timeline(v *View) Part {
	var m markup
	m.open("section", "id", "timeline", "aria-labelledby", "timeline-title")
	m.element("h2", "What has happened", "id", "timeline-title")
	if v.Missing != "" {
		m.element("p", "The events of the other director are missing: "+v.Missing, "class", "warning")
	}
	m.drawing(v)
	if len(v.Events) == 0 {
		m.element("p", "No event is known.")
	}
	shown := v.Events[max(0, len(v.Events)-maxEvents):]
	day := ""
	for _, ev := range slices.Backward(shown) {
		at := ev.Time.In(v.At.Location())
		if d := at.Format("Monday, " + time.DateOnly); d != day {
			if day != "" {
				m.end("ol")
			}
			day = d
			m.element("h3", day)
			m.open("ol", "class", "events")
		}
		m.line()
		m.event(at, ev)
	}
	if day != "" {
		m.end("ol")
	}
	if len(shown) > 0 {
		m.element("p", "Earlier ones: tandem history")
	}
	m.end("section")
	return Part{"timeline", string(m.b)}
}

// event writes an event.
func (m *markup) event(at time.Time, ev api.Event) {
	m.open("li")
	m.element("time", at.Format(clockLayout), "datetime", at.UTC().Format(time.RFC3339Nano))
	m.text(" ")
	if ev.Director != "" {
		m.element("b", ev.Director)
		m.text(" ")
	}
	m.element("span", string(ev.Kind), "class", "kind")
	text := " " + subject(ev) + " " + ev.What
	if ev.Cause != "" {
		text += ": " + ev.Cause
	}
	m.text(text)
	m.end("li")
}

// subject names what an event is about.
func subject(ev api.Event) string {
	switch ev.On {
	case api.OnServer, api.OnInterface, api.OnDirector:
		return ev.Name
	}
	return strings.ReplaceAll(ev.On, "_", " ") + " " + ev.Name
}
