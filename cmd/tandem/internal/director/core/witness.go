// SPDX-License-Identifier: Apache-2.0

package core

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/vrrp"
)

// A virtual router with witnesses takes over from a silent master only if one of them answers (vrrp.Tracking.NoWitness). While
// none has answered yet, none answers: a director that has just started must not take over before it knows.
//
// With witness_release, a router that reaches neither a witness nor a peer for that time is at fault, with the sync group that it
// belongs to. A result that is not there yet says nothing, and keeps this time from running.
//
// The witnesses of a sync group ([[group]]) are asked once for all of its members, and all of them hear the same.

// A witnessOwner is a virtual router or, without one, a sync group that has witnesses.
type witnessOwner struct{ router, group string }

// A witnessState is what the witnesses of a virtual router or of a sync group have shown.
type witnessState struct {
	alone  time.Time // since when neither a witness nor a peer answers; zero: one does, or this is not known
	lost   bool      // no witness answers
	asked  time.Time // when they were last asked at once
	silent bool      // of a virtual router: its master was silent in the last report
}

// witnessOwner returns who has the witnesses of a router.
func (s *State) witnessOwner(router string) witnessOwner {
	for _, t := range s.tracks {
		if t.Router == router && t.Group != "" {
			return witnessOwner{group: t.Group}
		}
	}
	return witnessOwner{router: router}
}

// addWitness adds what the witnesses of a router show to its tracking.
func (s *State) addWitness(r configs.Router, t vrrp.Tracking) vrrp.Tracking {
	if !r.Witnessed {
		return t
	}
	owner := s.witnessOwner(r.Name)
	is := s.witnesses[owner]
	answers, lost, alone := false, true, true
	var names []string
	for _, track := range s.tracks {
		if track.Router != r.Name || track.Kind != configs.TrackWitness && track.Kind != configs.TrackPeer {
			continue
		}
		answers = answers || track.Kind == configs.TrackWitness && track.state.trackStatus == fine
		lost = lost && (track.Kind == configs.TrackPeer || track.state.trackStatus == failing)
		alone = alone && track.state.trackStatus == failing
		names = append(names, track.Name)
	}
	t.NoWitness = !answers
	s.seeLost(owner, &is, lost, answers)
	switch {
	case !alone || r.WitnessRelease == 0:
		is.alone = time.Time{}
	case is.alone.IsZero():
		is.alone = s.now
	}
	s.witnesses[owner] = is
	if end := is.alone.Add(r.WitnessRelease); !is.alone.IsZero() && !s.now.Before(end) {
		why := fmt.Sprintf("isolated: none of these has answered for %s: %s", r.WitnessRelease, strings.Join(names, ", "))
		if t.Fault != "" {
			why = t.Fault + "; " + why
		}
		t.Fault, t.LastResort = why, false
	}
	return t
}

// seeWitnesses finds the routers whose witnesses must be asked at once, because the master has fallen silent, and those whose time
// alone is over.
func (s *State) seeWitnesses() {
	present := make(map[witnessOwner]bool)
	for _, r := range s.cfg.Routers {
		if !r.Witnessed {
			continue
		}
		owner, own := s.witnessOwner(r.Name), witnessOwner{router: r.Name}
		present[owner], present[own] = true, true
		all := s.witnesses[owner]
		if at := all.alone.Add(r.WitnessRelease); !all.alone.IsZero() && !s.now.Before(at) && s.tracking[r.Name].Fault == "" {
			s.retrack[r.Name] = true
		}
		silent := s.statusOf(r).Silent
		if silent && !s.witnesses[own].silent {
			s.hurry(r, owner)
		}
		is := s.witnesses[own]
		is.silent = silent
		s.witnesses[own] = is
	}
	maps.DeleteFunc(s.witnesses, func(owner witnessOwner, _ witnessState) bool { return !present[owner] })
}

// hurry asks the witnesses of a router at once. Those of a sync group were asked if another member has found the master silent less
// than an advertisement interval ago: the masters of the members fall silent together.
func (s *State) hurry(r configs.Router, owner witnessOwner) {
	is := s.witnesses[owner]
	if owner.group != "" && !is.asked.IsZero() && s.now.Before(is.asked.Add(r.AdvertInterval)) {
		return
	}
	is.asked = s.now
	s.witnesses[owner] = is
	for _, t := range s.tracks {
		if t.Router == r.Name && t.Kind == configs.TrackWitness && !slices.Contains(s.out.Hurry, t.target) {
			s.out.Hurry = append(s.out.Hurry, t.target)
		}
	}
}

// witnessNext returns when seeWitnesses has something to do without an event.
func (s *State) witnessNext(sooner func(time.Time)) {
	for _, r := range s.cfg.Routers {
		if !r.Witnessed {
			continue
		}
		if is := s.witnesses[s.witnessOwner(r.Name)]; !is.alone.IsZero() && s.tracking[r.Name].Fault == "" {
			sooner(is.alone.Add(r.WitnessRelease))
		}
	}
}

// seeLost logs and records that witnesses have fallen silent, or that one answers again.
func (s *State) seeLost(owner witnessOwner, is *witnessState, lost, answers bool) {
	ev := api.Event{Kind: api.EventWarning, On: api.OnRouter}
	kind, name := "router", owner.router
	if owner.group != "" {
		kind, name = "sync-group", owner.group
	}
	switch {
	case lost && !is.lost:
		ev.What, ev.Cause = "reaches no witness", "until one answers, it does not take over from a silent master"
		s.log(Warn, "no witness answers: this director does not take over from a silent master", kind, name)
	case answers && is.lost:
		ev.What = "reaches a witness again"
		s.log(Info, "a witness answers again", kind, name)
	default:
		return
	}
	is.lost = lost
	for _, r := range s.cfg.Routers { // the members of a group have one history each
		if r.Witnessed && s.witnessOwner(r.Name) == owner {
			ev.Name = r.Name
			s.record(ev)
		}
	}
}
