// SPDX-License-Identifier: Apache-2.0

package core

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/drill"
)

// A DrillTold is what the command tandem drill tells about a drill of this director.
type DrillTold struct {
	Request Request
	News    api.DrillNews
}

// Drills are what is known about the drills of a director.
type Drills struct {
	UnderWay *api.DrillUnderWay // nil: none is
	Last     []api.Drill        // of each kind, the latest first
}

// A drillState is what a director knows about its drills.
type drillState struct {
	underWay  *api.DrillUnderWay
	forgotten time.Time // when the end of the drill is not waited for any more
	last      []api.Drill
}

func (ev DrillTold) on(s *State) {
	s.out.Replies = append(s.out.Replies, Reply{Request: ev.Request, Err: s.seeDrill(ev.News)})
}

// seeDrill takes the news about a drill.
func (s *State) seeDrill(n api.DrillNews) error {
	d := n.Drill
	if d.Kind == "" || n.At.IsZero() {
		return fmt.Errorf("the news about a drill lacks its kind or its time")
	}
	switch n.Step {
	case api.DrillBegan:
		s.drillUnderWay(n)
		s.recordDrill(n, "drill "+d.Kind+" began", strings.Join(append([]string{ordered(d.By)}, n.Done...), "; "), string(n.Step))
		s.log(Info, "a drill began", "kind", d.Kind, "user", d.By, "undone-at-the-latest", n.Until.Format(time.RFC3339))
	case api.DrillUndone:
		// If this director was killed, by the drill itself, it does not know that one is under way.
		s.drillUnderWay(n)
		s.drills.underWay.Undone = n.At
		s.recordDrill(n, "drill "+d.Kind+" undone", strings.Join(n.Done, "; "), string(n.Step))
		s.log(Info, "the failure of a drill is undone", "kind", d.Kind, "took", n.At.Sub(d.Began).String())
	case api.DrillEnded:
		s.drills.underWay = nil
		i := slices.IndexFunc(s.drills.last, func(old api.Drill) bool { return old.Kind == d.Kind })
		if d.Passed() {
			d.LastPassed = d.Ended
		} else if i >= 0 {
			d.LastPassed = s.drills.last[i].LastPassed
		}
		if i >= 0 {
			s.drills.last = slices.Delete(slices.Clone(s.drills.last), i, i+1) // a snapshot may have the former ones
		}
		s.drills.last = slices.Concat([]api.Drill{d}, s.drills.last)
		s.recordDrill(n, "drill "+d.Kind+" ended", drill.Words(d), d.Result)
		level := Info
		if !d.Passed() {
			level = Warn
		}
		s.tellDrill(d.Result, d.Kind+": "+drill.Words(d))
		s.log(level, "a drill ended", "kind", d.Kind, "result", drill.Words(d))
	default:
		return fmt.Errorf("this version does not know the step %q of a drill", n.Step)
	}
	return nil
}

func (s *State) drillUnderWay(n api.DrillNews) {
	s.drills.underWay = &api.DrillUnderWay{Kind: n.Drill.Kind, Began: n.Drill.Began, By: n.Drill.By, Until: n.Until}
	s.drills.forgotten = n.Forgotten
}

func (s *State) recordDrill(n api.DrillNews, what, cause, step string) {
	s.record(api.Event{
		Time: n.At, Kind: api.EventDrill, On: api.OnDirector, Name: s.cfg.Name, What: what, Cause: cause, New: step, By: n.Drill.By,
	})
}

// forgetDrill ends the wait for the end of a drill that died without a word.
func (s *State) forgetDrill() {
	d := s.drills.underWay
	if d == nil || s.now.Before(s.drills.forgotten) {
		return
	}
	s.drills.underWay = nil
	const why = "the command and its dead-man's switch told nothing more: see tandem drill history"
	s.record(api.Event{Kind: api.EventDrill, On: api.OnDirector, Name: s.cfg.Name, What: "drill " + d.Kind + ": its end is not known", Cause: why, By: d.By})
	s.log(Warn, "the end of a drill is not known", "kind", d.Kind, "cause", why)
}

// drillNext returns when forgetDrill has something to do without an event.
func (s *State) drillNext(sooner func(time.Time)) {
	if s.drills.underWay != nil {
		sooner(s.drills.forgotten)
	}
}

func (s *State) shownDrills() Drills { return Drills{UnderWay: s.drills.underWay, Last: s.drills.last} }
