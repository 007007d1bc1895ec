// SPDX-License-Identifier: Apache-2.0

package director

import (
	"fmt"
	"reflect"
	"strconv"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/lvs"
	"github.com/tandem-lvs/tandem/vrrp"
)

// A condition is how what a virtual router tracks is doing.
type condition uint8

const (
	unclear condition = iota + 1 // nothing is known yet
	fine
	failing
)

// String is the condition in one word.
func (c condition) String() string {
	switch c {
	case unclear:
		return "unclear"
	case fine:
		return "fine"
	case failing:
		return "failing"
	}
	return fmt.Sprintf("condition(%d)", uint8(c))
}

// A standing is how one track stands.
type standing struct {
	condition
	reason string // in words
	value  int    // what a file holds
}

// A world is what tracks look at. It is a value.
type world struct {
	view
	services []configs.Service
	files    map[string]fileNumber // by path
}

// assess tells how each track stands. It is pure.
func assess(tracks []configs.Track, w world) []standing {
	_, ids := scripts(tracks)
	services := make(map[string]standing)
	all := make([]standing, 0, len(tracks))
	for i, t := range tracks {
		var s standing
		switch t.Kind {
		case configs.TrackScript:
			s = scriptStanding(w.health[ids[i]])
		case configs.TrackFile:
			s = fileStanding(w.files[t.File], t.Weight)
		case configs.TrackService:
			known := false
			if s, known = services[t.Service]; !known {
				s = w.serviceStanding(t.Service)
				services[t.Service] = s
			}
		}
		all = append(all, s)
	}
	return all
}

// scripts are the probes that the tracks ask for, and the ID of each track's own. The same script under the same
// settings is run once, whoever tracks it. A track's name has a space, so its ID is that of no real server.
func scripts(tracks []configs.Track) (targets []healthcheck.Target, ids []string) {
	ids = make([]string, len(tracks))
	named := make(map[string][]healthcheck.Target)
	for i, t := range tracks {
		if t.Kind != configs.TrackScript {
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
		ids[i] = t.Name
		if n := len(named[t.Name]); n > 0 {
			ids[i] += " #" + strconv.Itoa(n+1)
		}
		target := healthcheck.Target{ID: ids[i], Config: *t.Check}
		named[t.Name] = append(named[t.Name], target)
		targets = append(targets, target)
	}
	return targets, ids
}

func scriptStanding(status healthcheck.TargetStatus) standing {
	s := standing{condition: unclear, reason: status.Reason}
	switch status.Health {
	case healthcheck.Healthy:
		s.condition = fine
	case healthcheck.Unhealthy:
		s.condition = failing
	}
	return s
}

// fileStanding fails where the number lowers the priority or, without a weight, is not 0.
func fileStanding(f fileNumber, weight int) standing {
	s := standing{condition: fine, reason: strconv.Itoa(f.value), value: f.value}
	if f.problem != "" {
		s.reason = f.problem
	}
	if weight == 0 && f.value != 0 || weight*f.value < 0 {
		s.condition = failing
	}
	return s
}

// serviceStanding counts the healthy servers, the unchecked ones among them. It is unclear only while those whose
// health is unknown could decide.
func (w world) serviceStanding(name string) standing {
	for _, svc := range w.services {
		if svc.Name != name {
			continue
		}
		up, unknown := 0, 0
		for _, srv := range svc.Servers {
			switch w.healthOf(svc, srv) {
			case lvs.HealthUp, lvs.HealthUnchecked:
				up++
			case lvs.HealthUnknown:
				unknown++
			}
		}
		s := standing{condition: fine, reason: fmt.Sprintf("%d of %d servers healthy, %d needed", up, len(svc.Servers), svc.MinUp)}
		switch {
		case up >= svc.MinUp:
		case up+unknown >= svc.MinUp:
			s.condition = unclear
		default:
			s.condition = failing
		}
		return s
	}
	return standing{condition: unclear, reason: "no such service"}
}

// effect is what a track makes of its virtual router.
func (s standing) effect(t configs.Track) vrrp.Tracking {
	switch {
	case s.condition == unclear:
		// Only a master goes by the rest meanwhile, and keeps what it had.
		return vrrp.Tracking{Unclear: true, Delta: max(0, t.Weight)}
	case t.Kind == configs.TrackFile && t.Weight != 0:
		return vrrp.Tracking{Delta: s.value * t.Weight}
	case s.condition == failing && t.Weight == 0:
		return vrrp.Tracking{Fault: t.Name + ": " + s.reason}
	case s.condition == failing && t.Weight < 0, s.condition == fine && t.Weight > 0:
		return vrrp.Tracking{Delta: t.Weight}
	}
	return vrrp.Tracking{}
}

// combine adds up what the tracks make of each virtual router that has any.
func combine(tracks []configs.Track, standings []standing) map[string]vrrp.Tracking {
	all := make(map[string]vrrp.Tracking)
	for i, t := range tracks {
		sum, is := all[t.Router], standings[i].effect(t)
		sum.Delta, sum.Unclear = sum.Delta+is.Delta, sum.Unclear || is.Unclear
		switch {
		case sum.Fault == "":
			sum.Fault = is.Fault
		case is.Fault != "":
			sum.Fault += "; " + is.Fault
		}
		all[t.Router] = sum
	}
	return all
}

// trackRows is the status of the tracks of each virtual router.
func trackRows(tracks []configs.Track, standings []standing) map[string][]control.Track {
	rows := make(map[string][]control.Track)
	for i, t := range tracks {
		s := standings[i]
		rows[t.Router] = append(rows[t.Router], control.Track{Name: t.Name, OK: s.condition != failing, Reason: s.reason})
	}
	return rows
}
