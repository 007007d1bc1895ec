// SPDX-License-Identifier: Apache-2.0

package core

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/hooks"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/peer/message"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/vrrp"
)

// A DrillRun makes drills, one after the other, by the command tandem drill.
type DrillRun struct {
	Kinds        []string
	Budget       time.Duration // negative: any outage passes
	File, Socket string
}

// A DrillRunEnded is the end of a DrillRun.
type DrillRunEnded struct {
	Skipped []SkippedDrill
}

// A SkippedDrill is one of a DrillRun that was not made.
type SkippedDrill struct{ Kind, Why string }

// A drillSchedule says when the director makes drills by itself.
type drillSchedule struct {
	is      configs.Drill
	at      configs.DrillTime
	due     time.Time // zero: no drill is scheduled
	running bool
}

// adoptSchedule takes the schedule of a new configuration. A director that starts a little after the time still makes the drills, unless
// one began since.
func (s *State) adoptSchedule(start bool) {
	d := &s.scheduled
	if is := s.cfg.Drill; d.is.Schedule == is.Schedule {
		d.is = is
		return
	}
	*d = drillSchedule{is: s.cfg.Drill, running: d.running}
	if !d.is.On() {
		return
	}
	d.at, _ = configs.DrillTimeOf(d.is.Schedule) // the configuration has no other
	d.due = d.at.Next(s.now)
	late := d.at.Next(s.now.Add(-d.is.Window))
	began := func(last api.Drill) bool { return !last.Began.Before(late) }
	if start && !late.After(s.now) && !slices.ContainsFunc(s.drills.last, began) {
		d.due = late
	}
}

// seeSchedule begins the drills whose time has come.
func (s *State) seeSchedule() {
	d := &s.scheduled
	if d.due.IsZero() || s.now.Before(d.due) || d.running || s.hooks.leaving != nil {
		return
	}
	end := d.due.Add(d.is.Window)
	switch {
	case s.now.After(end):
		s.skipDrills("their time, "+d.due.Format(time.RFC3339)+", is more than "+d.is.Window.String()+" ago: see window in [drill]", d.is.Kinds...)
	case !s.readiness.ready || s.electionStarts():
		return
	case !s.masterOfAny():
		s.log(Info, "the scheduled drills are left to the master", "kinds", strings.Join(d.is.Kinds, ", "))
	case s.yieldsDrill() && s.now.Before(d.due.Add(d.is.Window/2)):
		return
	default:
		d.running = true
		s.out.Drill = &DrillRun{Kinds: d.is.Kinds, Budget: d.is.Budget, File: s.cfg.File, Socket: s.cfg.Control.Socket}
		s.log(Info, "the scheduled drills begin", "kinds", strings.Join(d.is.Kinds, ", "))
	}
	d.due = d.at.Next(s.now)
}

// scheduleNext returns when seeSchedule has something to do without an event.
func (s *State) scheduleNext(sooner func(time.Time)) {
	d := &s.scheduled
	for _, at := range []time.Time{d.due, d.due.Add(d.is.Window / 2), d.due.Add(d.is.Window + time.Nanosecond)} {
		if !d.due.IsZero() && !d.running && at.After(s.now) {
			sooner(at)
			return
		}
	}
}

// electionStarts reports whether the role of a virtual router is not known yet.
func (s *State) electionStarts() bool {
	return slices.ContainsFunc(s.cfg.Routers, func(r configs.Router) bool { return s.roles[r.Name] == 0 || s.roles[r.Name] == vrrp.Initialize })
}

func (s *State) masterOfAny() bool {
	for _, role := range s.roles {
		if role == vrrp.Master {
			return true
		}
	}
	return false
}

// yieldsDrill reports whether the other director is master too, and makes its drills first.
func (s *State) yieldsDrill() bool {
	p := &s.peer
	return p.view != nil && cmp.Less(s.peerName(), s.cfg.Name) &&
		slices.ContainsFunc(p.view.Routers, func(r message.Router) bool { return r.State == vrrp.Master.String() })
}

func (ev DrillRunEnded) on(s *State) {
	s.scheduled.running = false
	for _, skipped := range ev.Skipped {
		s.skipDrills(skipped.Why, skipped.Kind)
	}
}

// skipDrills says that drills of the schedule were not made.
func (s *State) skipDrills(why string, kinds ...string) {
	for _, kind := range kinds {
		s.record(api.Event{Kind: api.EventDrill, On: api.OnDirector, Name: s.cfg.Name, What: "scheduled drill " + kind + " was skipped", Cause: why, New: "skipped"})
		s.log(Warn, "a scheduled drill was skipped", "kind", kind, "cause", why)
		s.tellDrill("skipped", kind+": skipped: "+why)
	}
}

// tellDrill tells the hooks how a drill ended.
func (s *State) tellDrill(state, why string) {
	s.hooks.queue.Happen(s.now, hooks.Event{
		Subject: hooks.Subject{Kind: hooks.Director, Name: s.cfg.Name}, What: configs.HookDrill, At: s.now, Reason: why, State: state,
		Director: s.cfg.Name,
	})
}
