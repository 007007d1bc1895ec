// SPDX-License-Identifier: Apache-2.0

package page

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/history"
)

func TestSpans(t *testing.T) {
	at := func(minutes int) time.Time { return noon.Add(time.Duration(minutes) * time.Minute) }
	move := func(minutes int, director, was, is string) api.Event {
		return api.Event{Time: at(minutes), Director: director, Kind: api.EventTransition, On: api.OnRouter, Name: "web", Old: was, New: is}
	}
	stop := api.Event{Time: at(30), Director: "lb1", Kind: api.EventDirector, On: api.OnDirector, What: history.Stopped}
	for name, c := range map[string]struct {
		events []api.Event
		is     string
		want   string
	}{
		"nothing happened":  {nil, "master", "master 0-60"},
		"nothing known":     {nil, "", " 0-60"},
		"a takeover":        {[]api.Event{move(10, "lb1", "backup", "master")}, "master", "backup 0-10, master 10-60"},
		"another director":  {[]api.Event{move(10, "lb2", "backup", "master")}, "backup", "backup 0-60"},
		"before it begins":  {[]api.Event{move(-10, "lb1", "backup", "master")}, "master", "master 0-60"},
		"after it ends":     {[]api.Event{move(70, "lb1", "backup", "master")}, "backup", "backup 0-60"},
		"a stop":            {[]api.Event{move(10, "lb1", "backup", "master"), stop, move(40, "lb1", "initialize", "backup")}, "backup", "backup 0-10, master 10-30,  30-40, backup 40-60"},
		"offers its place":  {[]api.Event{move(10, "lb1", "master", "")}, "master", "master 0-60"},
		"twice at one time": {[]api.Event{move(10, "lb1", "backup", "fault"), move(10, "lb1", "fault", "master")}, "master", "backup 0-10, master 10-60"},
	} {
		var got []string
		for _, s := range spans(c.events, "lb1", "web", c.is, at(0), at(60)) {
			got = append(got, fmt.Sprintf("%s %.0f-%.0f", s.state, s.from.Sub(noon).Minutes(), s.to.Sub(noon).Minutes()))
		}
		if strings.Join(got, ", ") != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

// TestDrawing: the drawing changes once a minute, and at once if something happens.
func TestDrawing(t *testing.T) {
	v := pair()
	first := Render(v).Timeline
	for range 59 {
		v.At = v.At.Add(time.Second)
		if Render(v).Timeline != first {
			t.Fatalf("nothing happened until %s, and the part has changed", v.At)
		}
	}
	for _, want := range []string{
		"<title>web on lb1: MASTER until 2026-11-21 16:00:00</title>", "<title>web on lb1: BACKUP from 2026-11-21 16:00:00 until 11:00:00</title>",
		"<title>web on lb1: MASTER from 11:00:00</title>", "<title>db on lb1: BACKUP</title>", ">18:00</text>", ">12:00</text>",
	} {
		if !strings.Contains(first.HTML, want) {
			t.Errorf("the drawing has no %s:\n%s", want, first.HTML)
		}
	}
	v.At = v.At.Add(time.Second)
	if Render(v).Timeline == first {
		t.Error("a minute later it is the same")
	}
	first = Render(v).Timeline
	v.Events = append(v.Events, api.Event{Time: v.At, Director: "lb1", Kind: api.EventTransition, On: api.OnRouter, Name: "web", What: "became backup", Old: "master", New: "backup"})
	if now := Render(v).Timeline; !strings.Contains(now.HTML, "<title>web on lb1: BACKUP from 12:01:00</title>") {
		t.Errorf("a takeover: %s", now.HTML)
	}
	for i := range 100 {
		v.Status.VRRP = append(v.Status.VRRP, api.Router{Name: fmt.Sprint("a router with a long name ", i), State: "backup"})
	}
	if now := Render(v).Timeline.HTML; strings.Count(now, "<text x=\"0\"") != maxLanes || !strings.Contains(now, "180 more are not drawn.") || !strings.Contains(now, "a router with a long…</text>") {
		t.Errorf("many: %s", now)
	}
}
