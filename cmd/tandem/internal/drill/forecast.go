// SPDX-License-Identifier: Apache-2.0

package drill

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/summary"
	"github.com/tandem-lvs/tandem/vrrp"
)

// A Forecast is what a failover would cost now, as far as both directors know. Its JSON form is stable: members are added, never
// renamed or removed.
type Forecast struct {
	// Failures are those of each director that is master of a virtual router.
	Failures []Cost `json:"failures"`
	// NotKnown is why there are none; empty: there are some.
	NotKnown string `json:"not_known,omitempty"`
	// LastDrill is the last one of both directors, and LastDrillOf the director that it was made on; absent: none is known.
	LastDrill   *api.Drill `json:"last_drill,omitempty"`
	LastDrillOf string     `json:"last_drill_of,omitempty"`
	// DrillsNotKnown is why only the drills of this director are known; empty: those of both are.
	DrillsNotKnown string `json:"drills_not_known,omitempty"`
}

// A Cost is what it costs if a director fails. What is null is not known.
type Cost struct {
	Director  string `json:"director"`
	Successor string `json:"successor"`
	// Silent is at most how long nobody is master after a cut cable or a crash of the whole director: the other one has to notice
	// that it hears nothing. HandOver is the same for tandem failover, a stop, and the crash of one process.
	Silent   *Seconds `json:"cable_or_crash_seconds"`
	HandOver *Seconds `json:"hand_over_seconds"`
	// NotKnown is why Silent is not known.
	NotKnown string `json:"not_known,omitempty"`
	// Orphans are the virtual routers that nobody takes over, with the reason.
	Orphans []string `json:"orphans"`
	// Established are the established connections, and Lost those of them that the successor does not know, because of LostWhy.
	Established int    `json:"connections_established"`
	Lost        int    `json:"connections_lost"`
	LostWhy     string `json:"connections_lost_why,omitempty"`
	// Unserved are the services for which the successor sees no healthy server, and the failing director sees one.
	Unserved []string `json:"services_unserved"`
}

// Foresee returns what a failover would cost. lacking is why the state of the other director is not known; empty: it is.
func Foresee(here, there api.Status, lacking string) (f Forecast) {
	f.Failures = []Cost{}
	sides := []*api.Status{&here, &there}
	if lacking != "" {
		f.NotKnown, f.DrillsNotKnown = "the other director cannot be asked: "+lacking, lacking
		sides = sides[:1]
	}
	for _, is := range sides {
		if len(is.Drills) > 0 && (f.LastDrill == nil || is.Drills[0].Ended.After(f.LastDrill.Ended)) {
			f.LastDrill, f.LastDrillOf = new(is.Drills[0]), is.Name
		}
	}
	if lacking != "" {
		return f
	}
	for _, s := range []*Situation{{Here: here, There: there}, {Here: there, There: here}} {
		if len(s.mastered()) > 0 {
			f.Failures = append(f.Failures, s.cost())
		}
	}
	if len(f.Failures) == 0 {
		f.NotKnown = "neither director is master of a virtual router"
	}
	return f
}

// cost returns what it costs if this director fails.
func (s *Situation) cost() Cost {
	c := Cost{Director: s.Here.Name, Successor: s.There.Name, Orphans: []string{}, Unserved: []string{}, HandOver: seconds(0)}
	var longest time.Duration
	moving := 0
	for _, r := range s.mastered() {
		successor, why := s.successor(r)
		if why != "" {
			c.Orphans = append(c.Orphans, why)
			continue
		}
		moving++
		down, why := silence(r, successor)
		if longest = max(longest, down); why != "" {
			c.NotKnown = why
		}
	}
	switch {
	case len(c.Orphans) > 0:
		c.HandOver = nil // a director that nobody relieves stays master
	case moving > 0 && c.NotKnown == "":
		c.Silent = seconds(longest)
	}
	for _, n := range established(&s.Here) {
		c.Established += n
	}
	c.Lost, c.LostWhy = s.connectionsAtRisk("on " + s.Here.Name)
	if c.LostWhy = strings.TrimSuffix(c.LostWhy, tryAgain); c.Lost == 0 {
		c.LostWhy = ""
	}
	if moving == 0 {
		c.Lost, c.LostWhy = c.Established, "nobody takes over"
		return c
	}
	for i := range s.Here.Services {
		svc := &s.Here.Services[i]
		j := slices.IndexFunc(s.There.Services, func(o api.Service) bool { return o.Name == svc.Name })
		if svc.Up > 0 && (j < 0 || s.There.Services[j].Up == 0) {
			c.Unserved = append(c.Unserved, svc.Name)
		}
	}
	return c
}

// successor returns the state of a virtual router on the director that would take it over, or why it would not.
func (s *Situation) successor(r api.Router) (o api.Router, why string) {
	if o, why = s.counterpart(r); why == "" && o.State != "backup" {
		why = strings.TrimSuffix(fmt.Sprintf("virtual router %s is in state %s on %s: %s", r.Name, o.State, s.There.Name, o.Reason), ": ")
	}
	return o, why
}

// silence returns how long a backup waits at most until it takes over from a master that is silent (RFC 9568, section 6.1:
// Active_Down_Interval).
func silence(master, backup api.Router) (d time.Duration, why string) {
	interval, err := time.ParseDuration(master.AdvertInterval)
	if err != nil || interval <= 0 || backup.DownAdverts == 0 {
		return 0, fmt.Sprintf("the directors are of different versions, and do not tell the intervals of virtual router %s", master.Name)
	}
	skewed := interval
	if backup.Version == uint8(vrrp.Version2) {
		skewed = time.Second // RFC 3768, section 6.1
	}
	return time.Duration(backup.DownAdverts)*interval + vrrp.Skew(backup.EffectivePriority, skewed), ""
}

// Lines returns the forecast in words.
func (f *Forecast) Lines() (all []string) {
	if f.NotKnown != "" {
		all = append(all, "what a failover would cost is not known: "+f.NotKnown)
	}
	for i := range f.Failures {
		c := &f.Failures[i]
		all = append(all, fmt.Sprintf("a cable cut or a crash of %s now: %s, and %s", c.Director, c.silent(), c.connections()))
		if c.HandOver != nil {
			all = append(all, fmt.Sprintf("a hand-over by %s now: no time without the VIPs, and %s", c.Director, c.connections()))
		}
		for _, name := range c.Unserved {
			all = append(all, fmt.Sprintf("after it, service %s would have no healthy server: %s sees none", name, c.Successor))
		}
	}
	return all
}

// silent says how long nobody would be master.
func (c *Cost) silent() string {
	switch {
	case len(c.Orphans) > 0:
		return "nobody takes over, because " + strings.Join(c.Orphans, "; ")
	case c.Silent == nil:
		return "for how long without the VIPs is not known (" + c.NotKnown + ")"
	}
	return fmt.Sprintf("up to %s without the VIPs", c.Silent)
}

// connections says what would become of them.
func (c *Cost) connections() string {
	switch {
	case c.Established == 0:
		return "no connection is established"
	case c.Lost == 0:
		return fmt.Sprintf("all %s go on", summary.Counted(c.Established, "connection"))
	}
	return fmt.Sprintf("%d of %s end: %s", c.Lost, summary.Counted(c.Established, "connection"), c.LostWhy)
}
