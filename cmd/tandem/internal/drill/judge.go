// SPDX-License-Identifier: Apache-2.0

package drill

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
)

// An Observed is what is known of a drill when its fault is undone. All times are by the clock of this director.
type Observed struct {
	Fault, Undone time.Time
	Here, There   []api.Event   // of both histories, since the fault
	ClockError    time.Duration // the times of There may differ by this
	// Announced are the announcements of the other director that were heard here, in order.
	Announced []Announced
	// Listened says that announcements could be heard here.
	Listened bool
	// Missing is why a history is not there; empty: both are.
	Missing     string
	Differences []Difference
	Compared    int    // items
	Seen        []Seen // by clients
	// Out and Back are how soon a real server left both tables, and was in both again; nil: it was not ordered.
	Out, Back *InForce
	// HereAfter and ThereAfter are the states of both directors in the end; nil: not known.
	HereAfter, ThereAfter *api.Status
}

// An Announced is an announcement of an address by another machine.
type Announced struct {
	At      time.Time
	Address netip.Addr
}

// Seconds are a duration in JSON.
type Seconds float64

func seconds(d time.Duration) *Seconds { return new(Seconds(d.Seconds())) }

// Duration returns the duration.
func (s Seconds) Duration() time.Duration { return time.Duration(float64(s) * float64(time.Second)) }

func (s Seconds) String() string {
	d := s.Duration()
	switch {
	case d < 10*time.Millisecond:
		return d.Round(100 * time.Microsecond).String()
	case d < 10*time.Second:
		return d.Round(time.Millisecond).String()
	}
	return d.Round(100 * time.Millisecond).String()
}

// A Router is how a virtual router moved in a drill. What is null is not known.
type Router struct {
	Name string `json:"name"`
	// Detection is the time from the fault, or the order, to the decision of the new master.
	Detection *Seconds `json:"detection_seconds"`
	// Takeover is the time from there to its first announcement.
	Takeover *Seconds `json:"takeover_seconds"`
	// Announcement is the time from there until all addresses were announced once.
	Announcement *Seconds `json:"announcement_seconds"`
	// Outage is at most how long nobody was master, and Back the same when this director took back.
	Outage *Seconds `json:"outage_seconds"`
	Back   *Seconds `json:"back_seconds"`
	// TwoMasters is how long both were master.
	TwoMasters *Seconds `json:"two_masters_seconds,omitempty"`
	// Cause is what the new master says.
	Cause string `json:"cause,omitempty"`
	// Moves is how often the peer took over in a flap.
	Moves int `json:"moves,omitempty"`
	// Stayed says that this director stayed master, or was master again before the peer took over.
	Stayed bool `json:"stayed,omitempty"`
}

// Judge completes the report of a drill.
func (s *Situation) Judge(r *Report, o Observed) {
	fail := func(format string, args ...any) { r.Failures = append(r.Failures, fmt.Sprintf(format, args...)) }
	if s.Order.Kind == RealServer {
		s.judgeServer(r, &o, fail)
	} else {
		s.judgeRouters(r, &o, fail)
	}
	s.judgeClients(r, &o, fail)
	// Where clients were asked, their outage is the one that counts.
	known := r.ClientsOutage != nil || len(o.Seen) > 0
	if !known && r.Outage != nil && s.Order.Budget >= 0 && r.Outage.Duration() > s.Order.Budget {
		fail("the outage of at most %s is over the budget of %s", r.Outage, s.Order.Budget)
	}
	if !known && r.Outage == nil && s.Order.Budget >= 0 && o.Missing == "" {
		fail("the outage is not known, so it is not known whether it is within the budget of %s", s.Order.Budget)
	}
	r.Changed, r.Compared = o.Differences, o.Compared
	for _, d := range o.Differences {
		fail("not as before: %s", d)
	}
	if len(o.Announced) == 0 && o.Listened && !s.Order.Kind.takesDown() && slices.ContainsFunc(r.Routers, func(m Router) bool { return !m.Stayed && m.Detection != nil }) {
		r.Notes = append(r.Notes, s.There.Name+" took over, and none of its announcements was heard here: clients that missed them too go on asking this director")
	}
	r.Passed = len(r.Failures) == 0
}

// judgeRouters completes the report with how the virtual routers moved.
func (s *Situation) judgeRouters(r *Report, o *Observed, fail func(format string, args ...any)) {
	if o.Missing != "" {
		fail("the outage is not known: %s", o.Missing)
	}
	for _, name := range s.names() {
		moved, took := s.moved(name, o)
		r.Routers = append(r.Routers, moved)
		if !took && !moved.Stayed && o.Missing == "" {
			fail("virtual router %s: %s did not take over within %s", name, s.There.Name, o.Undone.Sub(o.Fault).Round(time.Millisecond))
		}
		for _, outage := range []*Seconds{moved.Outage, moved.Back} {
			if outage != nil && (r.Outage == nil || *outage > *r.Outage) {
				r.Outage = outage
			}
		}
	}
}

// transitions are those of a virtual router since a time.
func transitions(events []api.Event, name string, from time.Time) (all []api.Event) {
	for _, ev := range events {
		if !ev.Time.Before(from) && ev.Kind == api.EventTransition && ev.On == api.OnRouter && ev.Name == name && ev.Old != ev.New && ev.New != "" {
			all = append(all, ev)
		}
	}
	return all
}

// first returns the first event that became master, or ended being it.
func first(events []api.Event, master bool, from time.Time) (api.Event, bool) {
	for _, ev := range events {
		if !ev.Time.Before(from) && (ev.New == "master") == master && (master || ev.Old == "master") {
			return ev, true
		}
	}
	return api.Event{}, false
}

// moved returns how a virtual router moved, and whether the other director took it over.
func (s *Situation) moved(name string, o *Observed) (m Router, took bool) {
	m.Name = name
	if o.Missing != "" {
		return m, false
	}
	began := o.Fault.Add(-o.ClockError - time.Millisecond)
	here, there := transitions(o.Here, name, began), transitions(o.There, name, began)
	if s.Order.Kind == Flap {
		return s.flapped(m, here, there, o)
	}
	over, took := first(there, true, began)
	if !took {
		m.Stayed = !s.mustMove()
		if again, ok := first(here, true, o.Fault); ok && m.Stayed {
			m.Outage = seconds(again.Time.Sub(o.Fault)) // it started again
		} else if _, left := first(here, false, o.Fault); m.Stayed && !left {
			m.Outage = seconds(0)
		}
		return m, false
	}
	m.Cause = over.Cause
	m.Detection = seconds(max(0, over.Time.Sub(o.Fault)))
	served := over.Time
	// While the cable is cut, nothing is heard. What is heard afterwards was said again.
	if begun, done, ok := s.announcements(name, o, over.Time.Add(-o.ClockError)); ok && s.Order.Kind != Cable {
		m.Takeover = seconds(max(0, begun.Sub(over.Time)))
		m.Announcement = seconds(done.Sub(begun))
		served = done
	}
	left, leaves := first(here, false, began)
	switch {
	case s.Order.Kind == Silence:
	case s.Order.Kind.handsOver() && leaves:
		// It forwards until it hears its successor.
		m.Outage = seconds(max(0, over.Time.Sub(left.Time)-o.ClockError))
	case s.Order.Kind == Crash && leaves && left.Time.After(over.Time):
		m.Outage = seconds(0) // the process that was left alive handed over
	default:
		m.Outage = seconds(max(0, served.Sub(o.Fault)))
	}
	gave, gives := first(there, false, over.Time)
	if s.Order.Kind == Silence && gives {
		m.TwoMasters = seconds(max(0, gave.Time.Sub(over.Time)))
		return m, true
	}
	if back, ok := first(here, true, over.Time); ok && gives {
		m.Back = seconds(max(0, back.Time.Sub(gave.Time)-o.ClockError))
	}
	return m, true
}

// mustMove reports whether a drill fails if the peer does not take over. A process that is killed can be there again before.
func (s *Situation) mustMove() bool { return s.Order.Kind != Crash }

// flapped returns how a virtual router moved while the interfaces went down and up: the outage is the longest time without a master.
// The peer need not take over, if the interfaces are back before it notices.
func (s *Situation) flapped(m Router, here, there []api.Event, o *Observed) (Router, bool) {
	type change struct {
		api.Event
		there bool
	}
	var all []change
	for _, ev := range here {
		all = append(all, change{ev, false})
	}
	for _, ev := range there {
		all = append(all, change{ev, true})
	}
	slices.SortStableFunc(all, func(a, b change) int { return a.Time.Compare(b.Time) })
	masters, since, longest, left := [2]bool{true, false}, o.Fault, time.Duration(0), false
	for _, c := range all {
		side := 0
		if c.there {
			side = 1
		}
		was := masters[0] || masters[1]
		masters[side] = c.New == "master"
		switch is := masters[0] || masters[1]; {
		case was && !is:
			since, left = c.Time, true
		case !was && is:
			longest = max(longest, c.Time.Sub(since)-o.ClockError)
		}
		if c.there && masters[1] {
			if m.Moves++; m.Moves == 1 {
				m.Cause, m.Detection = c.Cause, seconds(max(0, c.Time.Sub(o.Fault)))
			}
		}
	}
	m.Stayed = m.Moves == 0
	switch {
	case !masters[0] && !masters[1]:
		return m, true // its end is not known
	case !left && m.Stayed:
		longest = s.flapTime() // it stayed master without an interface
	}
	m.Outage = seconds(longest)
	return m, true
}

// announcements returns when the first and the last address of a virtual router was announced for the first time.
func (s *Situation) announcements(name string, o *Observed, from time.Time) (begun, done time.Time, ok bool) {
	var left []netip.Addr
	for _, r := range s.mastered() {
		for _, vip := range r.VIPs {
			if r.Name == name {
				left = append(left, vip.Addr())
			}
		}
	}
	if len(left) == 0 {
		return begun, done, false
	}
	for _, a := range o.Announced {
		i := slices.Index(left, a.Address)
		if i < 0 || a.At.Before(from) {
			continue
		}
		if begun.IsZero() {
			begun = a.At
		}
		if left, done = slices.Delete(left, i, i+1), a.At; len(left) == 0 {
			return begun, done, true
		}
	}
	return begun, done, false
}
