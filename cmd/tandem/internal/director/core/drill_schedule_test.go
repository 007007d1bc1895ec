// SPDX-License-Identifier: Apache-2.0

package core

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/peer/message"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/vrrp"
)

// sunday is when the drills of the tests are due.
var sunday = time.Date(2026, 11, 22, 4, 0, 0, 0, time.UTC)

// A weekly is a director with drills on Sundays.
type weekly struct {
	t *testing.T
	s *State
}

func weeklyConfig(change func(*configs.Config)) *configs.Config {
	cfg := &configs.Config{
		Name: "lb2", File: "/t.toml", Routers: []configs.Router{{Config: vrrp.Config{Name: "web", Interface: "eth0"}}},
		Drill: configs.Drill{Schedule: "Sun 04:00", Kinds: []string{"failover", "freeze"}, Budget: time.Second, Window: time.Hour},
		Hooks: []configs.Hook{{Name: "result", On: []configs.HookEvent{configs.HookDrill}, Command: []string{"/x"}, Timeout: time.Second}},
	}
	if change != nil {
		change(cfg)
	}
	return cfg
}

// newWeekly starts a director at a time before or after sunday.
func newWeekly(t *testing.T, at time.Duration, role vrrp.State, last ...api.Drill) *weekly {
	w := &weekly{t, New()}
	now := sunday.Add(at)
	w.s.Step(now, Start{Config: weeklyConfig(nil), LastDrills: last})
	w.s.Step(now, TableRead{})
	w.s.Step(now, TableDone{Generation: w.s.generation}, roles(map[string]vrrp.State{"web": role}))
	return w
}

// step returns what is done at a time: the drills that begin, what the history tells about drills, and what hooks are told.
func (w *weekly) step(at time.Duration, events ...Event) string {
	var all []string
	out := w.s.Step(sunday.Add(at), append(events, Tick{})...)
	if d := out.Drill; d != nil {
		all = append(all, fmt.Sprintf("runs %s, budget %s, of %s", strings.Join(d.Kinds, " "), d.Budget, d.File))
	}
	if out.History != nil {
		for _, ev := range out.History.Events {
			if ev.Kind == api.EventDrill {
				all = append(all, ev.What+": "+ev.Cause)
			}
		}
	}
	for _, r := range out.Hooks {
		all = append(all, fmt.Sprintf("hook %s %s: %s", r.Event.What, r.Event.State, r.Event.Reason))
	}
	return strings.Join(all, "\n")
}

func (w *weekly) want(what, got, want string) {
	w.t.Helper()
	if got != want {
		w.t.Errorf("%s: got\n%s\nwant\n%s", what, got, want)
	}
}

const runs = "runs failover freeze, budget 1s, of /t.toml"

// TestSchedule: the drills begin at their time, on the master, once.
func TestSchedule(t *testing.T) {
	w := newWeekly(t, -time.Minute, vrrp.Master)
	w.want("before", w.step(-time.Second), "")
	if next := w.s.next(); next.After(sunday) {
		t.Errorf("the next step is at %s", next)
	}
	w.want("at the time", w.step(0), runs)
	w.want("a second later", w.step(time.Second), "")
	w.want("the end", w.step(time.Minute, DrillRunEnded{}), "")
	w.want("later in the window", w.step(2*time.Minute), "")
	week := 7 * 24 * time.Hour
	w.want("a week later", w.step(week), runs)
	// One that still runs a week later is not doubled.
	w.want("two weeks later", w.step(2*week), "")
	w.want("its end", w.step(2*week+time.Minute, DrillRunEnded{}), runs)
}

// TestScheduleOfABackup: a backup leaves the drills to the master, also if it becomes master a little later.
func TestScheduleOfABackup(t *testing.T) {
	w := newWeekly(t, -time.Minute, vrrp.Backup)
	w.want("at the time", w.step(0), "")
	w.want("it takes over", w.step(time.Minute, roles(map[string]vrrp.State{"web": vrrp.Master})), "")
}

// TestMissedDrills: a director that starts in the window makes the drills, unless they began before. After the window they are skipped.
func TestMissedDrills(t *testing.T) {
	w := newWeekly(t, -8*24*time.Hour, vrrp.Master, api.Drill{Kind: "failover", Began: sunday.Add(-30 * 24 * time.Hour)})
	w.want("not yet", w.step(-7*24*time.Hour-time.Second), "")
	w = &weekly{t, New()}
	w.s.Step(sunday.Add(10*time.Minute), Start{Config: weeklyConfig(nil)})
	w.s.Step(sunday.Add(10*time.Minute), TableRead{})
	w.want("before the election has started", w.step(10*time.Minute, roles(map[string]vrrp.State{"web": vrrp.Initialize})), "")
	w.want("a start in the window", w.step(11*time.Minute, TableDone{Generation: w.s.generation}, roles(map[string]vrrp.State{"web": vrrp.Master})), runs)
	w = &weekly{t, New()}
	w.s.Step(sunday.Add(10*time.Minute), Start{Config: weeklyConfig(nil), LastDrills: []api.Drill{{Kind: "failover", Began: sunday.Add(time.Second)}}})
	w.s.Step(sunday.Add(10*time.Minute), TableRead{})
	w.want("they began before", w.step(11*time.Minute, TableDone{Generation: w.s.generation}, roles(map[string]vrrp.State{"web": vrrp.Master})), "")
	w = newWeekly(t, 61*time.Minute, vrrp.Master)
	w.want("a start after the window", w.step(62*time.Minute), "")
	// The machine slept, or its clock was set.
	w = newWeekly(t, -time.Minute, vrrp.Master)
	const why = "their time, 2026-11-22T04:00:00Z, is more than 1h0m0s ago: see window in [drill]"
	w.want("it stood still", w.step(61*time.Minute), "scheduled drill failover was skipped: "+why+"\nscheduled drill freeze was skipped: "+why+
		"\nhook drill skipped: failover: skipped: "+why)
	if next := w.s.scheduled.due; !next.Equal(sunday.Add(7 * 24 * time.Hour)) {
		t.Errorf("the next one is due at %s", next)
	}
}

// TestTwoMasters: if both directors are master of something, the one whose name is later waits.
func TestTwoMastersDrillOneAfterTheOther(t *testing.T) {
	w := newWeekly(t, -time.Minute, vrrp.Master)
	w.s.peer.on, w.s.peer.channel.Name = true, "lb1"
	w.s.peer.view = &message.View{Routers: []message.Router{{Name: "mail", State: "master"}}}
	if !w.s.yieldsDrill() {
		t.Fatal("lb2 does not yield to lb1")
	}
	w.want("at the time", w.step(0), "")
	if next := w.s.next(); next.After(sunday.Add(30 * time.Minute)) {
		t.Errorf("the next step is at %s", next)
	}
	w.want("after half of the window", w.step(30*time.Minute), runs)
	w.s.peer.channel.Name = "lb3"
	if w.s.yieldsDrill() {
		t.Error("lb2 yields to lb3")
	}
	w.s.peer.channel.Name, w.s.peer.view.Routers[0].State = "lb1", "backup"
	if w.s.yieldsDrill() {
		t.Error("lb2 yields to a backup")
	}
}

// TestScheduleIsReloaded: a new schedule counts from now on, and a removed one ends.
func TestScheduleIsReloaded(t *testing.T) {
	w := newWeekly(t, 10*time.Minute, vrrp.Backup)
	reload := func(at time.Duration, change func(*configs.Config)) string {
		return w.step(at, Reload{Config: weeklyConfig(change)}, roles(map[string]vrrp.State{"web": vrrp.Master}))
	}
	w.want("another time", reload(20*time.Minute, func(c *configs.Config) { c.Drill.Schedule = "Sun 04:15" }), "")
	w.want("in its window", w.step(25*time.Minute), "")
	w.want("other kinds", reload(26*time.Minute, func(c *configs.Config) { c.Drill.Schedule, c.Drill.Kinds = "Sun 04:15", []string{"cable"} }), "")
	week := 7 * 24 * time.Hour
	w.want("a week later", w.step(week+15*time.Minute), "runs cable, budget 1s, of /t.toml")
	w.want("no schedule", reload(week+20*time.Minute, func(c *configs.Config) { c.Drill = configs.Drill{} }), "")
	w.want("two weeks later", w.step(2*week+15*time.Minute, DrillRunEnded{}), "")
}

// TestResultsAreTold: hooks hear how each drill ended, and which of the schedule was not made.
func TestResultsAreTold(t *testing.T) {
	w := newWeekly(t, -time.Minute, vrrp.Master)
	w.want("at the time", w.step(0), runs)
	n := ended(time.Second, "passed")
	w.want("a result", w.step(time.Second, DrillTold{News: n}),
		"drill freeze ended: passed; outage at most 3.6s, budget 4s\nhook drill passed: freeze: passed; outage at most 3.6s, budget 4s")
	w = newWeekly(t, -time.Minute, vrrp.Master)
	w.want("skipped", w.step(time.Second, DrillRunEnded{Skipped: []SkippedDrill{{"freeze", "there is no peer"}}}),
		runs+"\nscheduled drill freeze was skipped: there is no peer\nhook drill skipped: freeze: skipped: there is no peer")
}
