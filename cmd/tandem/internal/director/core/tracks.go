// SPDX-License-Identifier: Apache-2.0

package core

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"

	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/vrrp"
)

// A trackStatus is the status of one track of a virtual router.
type trackStatus uint8

const (
	unknown trackStatus = iota + 1 // nothing is known yet
	fine
	failing
)

// A trackState is the status of one track, with its reason.
type trackState struct {
	trackStatus
	reason string // in words
	value  int    // the number in a file
}

// A track is something that a virtual router tracks, and its state.
type track struct {
	configs.Track
	target string // the ID of its target; empty: it is not probed
	// repeated says that another member of the sync group has the same track with the same weight. The weights of a group are
	// added up, and each track counts once.
	repeated bool
	state    trackState
}

// A Number is the number in a tracked file. A file without a valid number counts as 0: a damaged file must not take a
// director out of service.
type Number struct {
	Value   int    // within 32 bits
	Problem string // in words; empty: none
}

// trackTargets returns the targets of the tracks that are probed, and for each track the ID of its target. If several tracks
// have the same probe with the same settings, it is made once. The name of a track has a space, so its ID differs from the IDs
// of real servers.
func trackTargets(tracks []configs.Track) (targets []healthcheck.Target, ids []string) {
	ids = make([]string, len(tracks))
	named := make(map[string][]healthcheck.Target)
	for i, t := range tracks {
		if !t.Probed() {
			continue
		}
		for _, earlier := range named[t.Name] {
			if reflect.DeepEqual(earlier.Config, *t.Check) {
				ids[i] = earlier.ID
			}
		}
		if ids[i] != "" {
			continue
		}
		ids[i] = checkID(t.Name, len(named[t.Name]))
		target := healthcheck.Target{ID: ids[i], Config: *t.Check}
		named[t.Name] = append(named[t.Name], target)
		targets = append(targets, target)
	}
	return targets, ids
}

// adoptTracks takes over the tracks of a new configuration, and keeps the results of probes that were made before.
func (s *State) adoptTracks() {
	targets, ids := trackTargets(s.cfg.Tracks)
	before := s.probed
	s.probes, s.probed = targets, make(map[string]healthcheck.TargetStatus)
	for _, t := range targets {
		s.probed[t.ID] = Unchecked
		if is, ok := before[t.ID]; ok {
			s.probed[t.ID] = is
		}
	}
	s.tracks = nil
	s.retrack = make(map[string]bool)
	byName := make(map[string]*service, len(s.services))
	for _, svc := range s.services {
		byName[svc.Name] = svc
	}
	groups := make(map[string]string, len(s.cfg.Routers))
	for _, r := range s.cfg.Routers {
		groups[r.Name] = r.SyncGroup
	}
	type shared struct {
		group, name, target string
		weight              int
	}
	members := make(map[shared]string) // the first member of the group with the track
	for i, t := range s.cfg.Tracks {
		s.tracks = append(s.tracks, track{Track: t, target: ids[i]})
		if group := groups[t.Router]; group != "" {
			key := shared{group, t.Name, ids[i], t.Weight}
			if members[key] == "" {
				members[key] = t.Router
			}
			s.tracks[i].repeated = members[key] != t.Router
		}
		if svc := byName[t.Service]; svc != nil && t.Kind == configs.TrackService {
			svc.tracks = append(svc.tracks, i)
		}
	}
	for _, r := range s.cfg.Routers {
		s.retrack[r.Name] = true
	}
}

func (s *State) setProbed(id string, is healthcheck.TargetStatus) {
	if same(s.probed[id], is) {
		return
	}
	s.probed[id] = is
	for _, t := range s.tracks {
		if t.target == id {
			s.retrack[t.Router] = true
		}
	}
}

func (ev Numbers) on(s *State) {
	for _, t := range s.tracks {
		if _, ok := ev[t.File]; !ok && t.Kind == configs.TrackFile {
			return // the numbers belong to an earlier configuration
		}
	}
	before := s.numbers
	s.numbers = ev
	s.logNumbers(before)
	for _, t := range s.tracks {
		if t.Kind == configs.TrackFile && ev[t.File] != before[t.File] {
			s.retrack[t.Router] = true
		}
	}
}

// logNumbers logs the problem of each tracked file once.
func (s *State) logNumbers(before map[string]Number) {
	for _, path := range slices.Sorted(maps.Keys(s.numbers)) {
		if is := s.numbers[path]; is.Problem != "" && is.Problem != before[path].Problem {
			s.log(Warn, "a tracked file holds no number", "file", path, "problem", is.Problem)
		}
	}
}

// followTracks computes the tracking of the virtual routers whose tracks have changed. It adds the step-back of this
// director, which does not depend on tracks.
func (s *State) followTracks() {
	if len(s.retrack) == 0 {
		return
	}
	now := maps.Clone(s.tracking)
	if now == nil {
		now = make(map[string]vrrp.Tracking)
	}
	maps.DeleteFunc(now, func(name string, _ vrrp.Tracking) bool {
		return s.retrack[name] || !slices.ContainsFunc(s.cfg.Routers, func(r configs.Router) bool { return r.Name == name })
	})
	for i, t := range s.tracks {
		if s.retrack[t.Router] {
			s.tracks[i].state = s.assess(t)
			now[t.Router] = combineTracking(now[t.Router], s.tracks[i])
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.retrack)) { // they are logged in the same order each time
		now[name] = s.addIsolation(name, s.stepBack(now[name]))
		if i := slices.IndexFunc(s.cfg.Routers, func(r configs.Router) bool { return r.Name == name }); i >= 0 {
			now[name] = s.addSync(s.cfg.Routers[i], s.addGrant(name, s.addWitness(s.cfg.Routers[i], now[name])))
		}
	}
	s.retrack = make(map[string]bool)
	first := !s.tracked
	s.tracked = true
	if maps.Equal(now, s.tracking) {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(now)) {
		is, was := now[name], s.tracking[name]
		was.Unsynced = is.Unsynced // this has lines of its own
		if was != is && !first {
			s.log(Info, "tracking changed", "router", name, "priority-delta", is.Delta, "unclear", is.Unclear, "fault", is.Fault)
		}
	}
	s.tracking, s.reorder = now, true
}

// assess returns the state of a track.
func (s *State) assess(t track) trackState {
	switch {
	case t.Probed():
		return probedState(s.probed[t.target])
	case t.Kind == configs.TrackFile:
		return fileTrackState(s.numbers[t.File], t.Weight)
	}
	for _, svc := range s.services {
		if svc.Name == t.Service {
			return s.serviceState(svc)
		}
	}
	return trackState{trackStatus: unknown, reason: "no such service"}
}

func probedState(status healthcheck.TargetStatus) trackState {
	state := trackState{trackStatus: unknown, reason: status.Reason}
	switch status.Health {
	case healthcheck.Healthy:
		state.trackStatus = fine
	case healthcheck.Unhealthy:
		state.trackStatus = failing
	}
	if status.Expired {
		state.trackStatus = failing // a program that could not run does not say that all is well
	}
	return state
}

// fileTrackState returns the state of a track of a file. The track fails if the number lowers the priority. Without a weight,
// it fails if the number is not 0.
func fileTrackState(n Number, weight int) trackState {
	state := trackState{trackStatus: fine, reason: strconv.Itoa(n.Value), value: n.Value}
	if n.Problem != "" {
		state.reason = n.Problem
	}
	if weight == 0 && n.Value != 0 || weight*n.Value < 0 {
		state.trackStatus = failing
	}
	return state
}

// serviceState counts the healthy servers. Unchecked servers count as healthy. The result is unknown only while servers of
// unknown health could change it.
func (s *State) serviceState(svc *service) trackState {
	up, open := 0, 0
	for _, srv := range svc.servers {
		switch {
		case !svc.checks(srv) || srv.verdict.Health == healthcheck.Healthy:
			up++
		case srv.verdict.Health != healthcheck.Unhealthy:
			open++
		}
	}
	state := trackState{trackStatus: fine, reason: fmt.Sprintf("%d of %d servers healthy, %d needed", up, len(svc.servers), svc.MinUp)}
	switch {
	case up >= svc.MinUp:
	case up+open >= svc.MinUp:
		state.trackStatus = unknown
	default:
		state.trackStatus = failing
	}
	return state
}

// effect returns the tracking that results from one track.
func (t track) effect() vrrp.Tracking {
	switch is := t.state; {
	case t.Kind == configs.TrackWitness, t.Kind == configs.TrackPeer: // see addWitness
	case is.trackStatus == unknown:
		// Unclear makes a router that is not master run at priority 1. A master keeps the priority that it had.
		return vrrp.Tracking{Unclear: true, Delta: max(0, t.Weight)}
	case t.Kind == configs.TrackFile && t.Weight != 0:
		return vrrp.Tracking{Delta: is.value * t.Weight}
	case is.trackStatus == failing && t.Weight == 0:
		return vrrp.Tracking{Fault: t.Name + ": " + is.reason, LastResort: t.Probed()}
	case is.trackStatus == failing && t.Weight < 0, is.trackStatus == fine && t.Weight > 0:
		return vrrp.Tracking{Delta: t.Weight}
	}
	return vrrp.Tracking{}
}

// combineTracking adds the effect of one track to the sum of the others.
func combineTracking(sum vrrp.Tracking, t track) vrrp.Tracking {
	is := t.effect()
	if t.repeated {
		is.Delta = 0
	}
	sum.Delta, sum.Unclear = sum.Delta+is.Delta, sum.Unclear || is.Unclear
	switch {
	case sum.Fault == "":
		sum.Fault, sum.LastResort = is.Fault, is.LastResort
	case is.Fault != "":
		sum.Fault += "; " + is.Fault
		sum.LastResort = sum.LastResort && is.LastResort
	}
	return sum
}
