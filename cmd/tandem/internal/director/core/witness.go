// SPDX-License-Identifier: Apache-2.0

package core

import (
	"fmt"
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

// A witnessState is what the witnesses of a virtual router have shown.
type witnessState struct {
	alone  time.Time // since when neither a witness nor a peer answers; zero: one does, or this is not known
	lost   bool      // no witness answers
	silent bool      // the master was silent in the last report
}

// addWitness adds what the witnesses of a router show to its tracking.
func (s *State) addWitness(r configs.Router, t vrrp.Tracking) vrrp.Tracking {
	if !r.Witnessed {
		delete(s.witnesses, r.Name)
		return t
	}
	is := s.witnesses[r.Name]
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
	s.seeLost(r.Name, &is, lost, answers)
	switch {
	case !alone || r.WitnessRelease == 0:
		is.alone = time.Time{}
	case is.alone.IsZero():
		is.alone = s.now
	}
	s.witnesses[r.Name] = is
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
	for name, is := range s.witnesses {
		i := slices.IndexFunc(s.cfg.Routers, func(r configs.Router) bool { return r.Name == name })
		if i < 0 {
			delete(s.witnesses, name)
			continue
		}
		r := s.cfg.Routers[i]
		if at := is.alone.Add(r.WitnessRelease); !is.alone.IsZero() && !s.now.Before(at) && s.tracking[name].Fault == "" {
			s.retrack[name] = true
		}
		silent := s.statusOf(r).Silent
		if silent && !is.silent {
			s.hurry(name)
		}
		is.silent = silent
		s.witnesses[name] = is
	}
}

// hurry asks the witnesses of a router, and of its sync group, at once.
func (s *State) hurry(name string) {
	for _, t := range s.tracks {
		if t.Router == name && t.Kind == configs.TrackWitness && !slices.Contains(s.out.Hurry, t.target) {
			s.out.Hurry = append(s.out.Hurry, t.target)
		}
	}
}

// witnessNext returns when seeWitnesses has something to do without an event.
func (s *State) witnessNext(sooner func(time.Time)) {
	for _, r := range s.cfg.Routers {
		if is := s.witnesses[r.Name]; !is.alone.IsZero() && s.tracking[r.Name].Fault == "" {
			sooner(is.alone.Add(r.WitnessRelease))
		}
	}
}

// seeLost logs and records that the witnesses of a router have fallen silent, or that one answers again.
func (s *State) seeLost(name string, is *witnessState, lost, answers bool) {
	ev := api.Event{Kind: api.EventWarning, On: api.OnRouter, Name: name}
	switch {
	case lost && !is.lost:
		ev.What, ev.Cause = "reaches no witness", "until one answers, it does not take over from a silent master"
		s.log(Warn, "no witness answers: this director does not take over from a silent master", "router", name)
	case answers && is.lost:
		ev.What = "reaches a witness again"
		s.log(Info, "a witness answers again", "router", name)
	default:
		return
	}
	is.lost = lost
	s.record(ev)
}
