// SPDX-License-Identifier: Apache-2.0

package page

import (
	"fmt"
	"strings"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/history"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/summary"
)

const (
	// drawn is how far the drawing goes back.
	drawn = 24 * time.Hour
	// drawnStep is how exact its end is: so it changes once in that time only, unless something happens.
	drawnStep = time.Minute
	// drawnHours is the distance of the times below it.
	drawnHours = 6
	// maxLanes is how many lanes the drawing has at most.
	maxLanes = 24
)

// The sizes of the drawing, in the units of its view box.
const (
	drawnWidth = 1000
	drawnName  = 190 // of the names at the left
	laneHeight = 22
)

// A lane is what a virtual router was on one director.
type lane struct {
	director, router string
	spans            []span
}

// A span is a time in one state; "": not known.
type span struct {
	state    string
	from, to time.Time
}

// drawing draws who was master when. A master is a high bar, a fault a bar with a frame, a backup a line: their colours say no more.
func (m *markup) drawing(v *View) {
	end := v.At.Truncate(drawnStep).Add(drawnStep)
	begin := end.Add(-drawn)
	lanes := lanesOf(v, begin, end)
	if len(lanes) == 0 {
		return
	}
	left := 0
	if len(lanes) > maxLanes {
		lanes, left = lanes[:maxLanes], len(lanes)-maxLanes
	}
	x := func(t time.Time) float64 {
		return drawnName + float64(max(0, min(drawn, t.Sub(begin))))/float64(drawn)*(drawnWidth-drawnName)
	}
	height := len(lanes)*laneHeight + 20
	m.open("svg", "class", "drawing", "viewBox", fmt.Sprintf("0 0 %d %d", drawnWidth, height), "role", "img", "aria-labelledby", "drawing-title")
	m.element("title", "Who was master in the last 24 hours. The list below says the same in words.", "id", "drawing-title")
	for i, l := range lanes {
		y := i * laneHeight
		m.element("text", shortened(l.director+" "+l.router), "x", "0", "y", fmt.Sprint(y+15))
		for _, s := range l.spans {
			m.span(l, s, x(s.from), x(s.to), y, when(v.At, s, begin, end))
		}
	}
	for t := begin.Truncate(time.Hour); t.Before(end); t = t.Add(time.Hour) {
		if at := t.In(v.At.Location()); at.Hour()%drawnHours == 0 && t.After(begin) {
			m.element("text", at.Format("15:04"), "x", fmt.Sprintf("%.0f", x(t)), "y", fmt.Sprint(height-4), "text-anchor", "middle")
			m.open("rect", "class", "hour", "x", fmt.Sprintf("%.1f", x(t)), "y", "0", "width", "1", "height", fmt.Sprint(height-16))
			m.end("rect")
		}
	}
	m.end("svg")
	m.element("p", "High bar: master. Low bar: backup. Bar with a frame: fault. Nothing: not known.", "class", "legend")
	if left > 0 {
		m.element("p", fmt.Sprintf("%d more are not drawn.", left))
	}
}

// when says in words when a span is.
func when(now time.Time, s span, begin, end time.Time) (words string) {
	if s.from.After(begin) {
		words = " from " + since(now, s.from)
	}
	if s.to.Before(end) {
		words += " until " + since(now, s.to)
	}
	return words
}

// span draws a time in one state.
func (m *markup) span(l lane, s span, from, to float64, y int, when string) {
	top, height := y+13, 4 // backup, initialize
	switch s.state {
	case "":
		return
	case "master":
		top, height = y+2, 17
	case "fault":
		top, height = y+5, 11
	}
	class := s.state
	if strings.ContainsFunc(class, func(r rune) bool { return r < 'a' || r > 'z' }) {
		class = "unknown" // the other director tells its states
	}
	m.open("rect", "class", class, "x", fmt.Sprintf("%.1f", from), "y", fmt.Sprint(top),
		"width", fmt.Sprintf("%.1f", max(1.5, to-from)), "height", fmt.Sprint(height))
	m.element("title", fmt.Sprintf("%s on %s: %s%s", l.router, l.director, strings.ToUpper(s.state), when))
	m.end("rect")
}

// shortened is a name that has room beside the drawing.
func shortened(name string) string {
	const room = 26
	if r := []rune(name); len(r) > room {
		return strings.TrimRight(string(r[:room-1]), " ") + "…"
	}
	return name
}

// lanesOf returns what the virtual routers were on each director.
func lanesOf(v *View, begin, end time.Time) (all []lane) {
	s, drawn := &v.Status, make(map[string]bool)
	for i := range s.VRRP {
		r := &s.VRRP[i]
		if drawn[r.Name] { // one of both families
			continue
		}
		drawn[r.Name] = true
		all = append(all, lane{s.Name, r.Name, spans(v.Events, s.Name, r.Name, r.State, begin, end)})
		if s.Peer == nil {
			continue
		}
		there, name := "", summary.PeerName(s.Peer)
		for j := range s.Peer.Routers {
			if other := &s.Peer.Routers[j]; other.Name == r.Name && s.Peer.From.Up {
				there = other.State
			}
		}
		all = append(all, lane{name, r.Name, spans(v.Events, name, r.Name, there, begin, end)})
	}
	return all
}

// spans returns the states of a virtual router on a director. is its present one; "": not known.
func spans(events []api.Event, director, router, is string, begin, end time.Time) (all []span) {
	state, from := "", begin
	first := true
	next := func(to string, at time.Time) {
		if at.Before(begin) {
			at = begin
		}
		if at.After(from) {
			all = append(all, span{state, from, at})
		}
		state, from = to, at
	}
	for _, ev := range events {
		switch {
		case ev.Director != director || ev.Time.After(end):
		case ev.On == api.OnDirector && ev.Kind == api.EventDirector && ev.What == history.Stopped:
			next("", ev.Time)
			first = false
		case ev.On == api.OnRouter && ev.Kind == api.EventTransition && ev.Name == router && ev.New != "":
			if first {
				state, first = ev.Old, false
			}
			next(ev.New, ev.Time)
		}
	}
	if first {
		state = is
	}
	next("", end)
	return all
}
