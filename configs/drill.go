// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tandem-lvs/tandem/configs/internal/toml"
)

// A Drill says which drills the director makes by itself, and when. The zero value: none.
type Drill struct {
	Schedule string        // as DrillTimeOf reads it
	Kinds    []string      // in their order
	Budget   time.Duration // the longest outage of a drill that passes; negative: any
	Window   time.Duration // after which a drill that did not begin is left out
}

// On reports whether there is a schedule.
func (d Drill) On() bool { return d.Schedule != "" }

// DrillKinds are the drills that can be scheduled. See tandem drill --help.
func DrillKinds() []string {
	return []string{"failover", "crash", "freeze", "cable", "silence", "disk", "flap"}
}

// A DrillTime is a time of the week.
type DrillTime struct {
	Days         [7]bool // by time.Weekday
	Hour, Minute int
}

// DrillTimeOf reads a schedule: "Sun 04:00", "Mon,Thu 04:00", "daily 04:00".
func DrillTimeOf(text string) (t DrillTime, err error) {
	days, clock, _ := strings.Cut(text, " ")
	at, err := time.Parse("15:04", clock)
	if err != nil || len(clock) != len("15:04") {
		return t, fmt.Errorf("%q is not a time of the day from 00:00 to 23:59", clock)
	}
	t.Hour, t.Minute = at.Hour(), at.Minute()
	if days == "daily" {
		for i := range t.Days {
			t.Days[i] = true
		}
		return t, nil
	}
	for _, name := range strings.Split(days, ",") {
		i := slices.IndexFunc(weekdays, func(d time.Weekday) bool { return d.String()[:3] == name })
		switch {
		case i < 0:
			return t, fmt.Errorf("%q is not a day: want daily, or one or more of Mon, Tue, Wed, Thu, Fri, Sat, Sun with commas", name)
		case t.Days[weekdays[i]]:
			return t, fmt.Errorf("%s is repeated", name)
		}
		t.Days[weekdays[i]] = true
	}
	return t, nil
}

var weekdays = []time.Weekday{time.Monday, time.Tuesday, time.Wednesday, time.Thursday, time.Friday, time.Saturday, time.Sunday}

// Next returns the first moment after now that has the time, in the zone of now. On a day on which the clocks skip the time, it is as
// much later as they skip. On a day that has the time twice, it is the first one.
func (t DrillTime) Next(now time.Time) time.Time {
	zone := now.Location()
	for day := -1; day < 9; day++ {
		y, m, d := now.AddDate(0, 0, day).Date()
		if !t.Days[time.Date(y, m, d, 12, 0, 0, 0, zone).Weekday()] {
			continue
		}
		if at := t.on(y, m, d, zone); at.After(now) {
			return at
		}
	}
	return time.Time{} // there is no day
}

// on returns the moment on a day.
func (t DrillTime) on(y int, m time.Month, d int, zone *time.Location) time.Time {
	asUTC := time.Date(y, m, d, t.Hour, t.Minute, 0, 0, time.UTC)
	with := func(offsetOf time.Time) time.Time {
		_, offset := offsetOf.In(zone).Zone()
		return asUTC.Add(-time.Duration(offset) * time.Second).In(zone)
	}
	before, after := with(asUTC.Add(-24*time.Hour)), with(asUTC.Add(24*time.Hour))
	for _, at := range []time.Time{before, after} {
		if at.Hour() == t.Hour && at.Minute() == t.Minute {
			return at
		}
	}
	return before
}

const drillDoc = "Drills that the director makes by itself: see `tandem drill --help`. A drill is made only by the director that is master, only if the examination " +
	"before it finds nothing that would hurt, and by a process of its own, `tandem drill`. What keeps it from being made is logged, and is told to the hooks of " +
	"the event drill, as is the result of each drill. `tandem status` has the last drill of each kind. Without this table there are none.\n" +
	"Instead, a systemd timer can run the command with all of its flags, such as --probe: a timer with OnCalendar=Sun 04:00 and a service with Type=oneshot " +
	"and ExecStart=/usr/local/sbin/tandem drill failover --budget 1s, on both directors. The service fails on the director that is not master."

func drillTable() toml.SchemaType[Drill] {
	return toml.Table(checkDrill,
		toml.Required("schedule", toml.String("days and a time, such as \"Sun 04:00\", \"Mon,Thu 04:00\" or \"daily 04:00\"", validSchedule), `"Sun 04:00"`,
			"When drills are made, by the clock and the time zone of the machine. A time that the change to summer time skips is an hour later. One that "+
				"comes twice counts once.",
			func(d *Drill, v string) { d.Schedule = v }),
		toml.Optional("kinds", toml.List(toml.OneOf(DrillKinds()...), 1, len(DrillKinds())), []string{"failover"},
			"The drills, in their order. After one that does not pass, the others are left out. The drill `server` cannot be scheduled: it must be told "+
				"which real server.",
			func(d *Drill, v []string) { d.Kinds = v }),
		toml.Derived("budget", toml.Duration(0, time.Hour, time.Nanosecond),
			"The longest outage of a drill that passes.",
			func(d *Drill, v time.Duration) { d.Budget = v }).Unset("any outage passes").Example(`"1s"`),
		toml.Optional("window", toml.Duration(time.Minute, 24*time.Hour, time.Nanosecond), time.Hour,
			"How long after its time a drill may begin, if the director did not run then or had just started. After that it is left out until the next time. If "+
				"both directors are master of a virtual router, one of them begins after half of it.",
			func(d *Drill, v time.Duration) { d.Window = v }),
	)
}

func validSchedule(s string) *toml.Refusal {
	if _, err := DrillTimeOf(s); err != nil {
		return toml.Refuse(`write "Sun 04:00"`, "%s", err)
	}
	return nil
}

// checkDrill works out the defaults, and refuses drills that could never be made.
func checkDrill(at toml.Node, d *Drill) {
	if !at.Has("budget") {
		d.Budget = -1
	}
	if !at.Sound("kinds") {
		return
	}
	for i, kind := range d.Kinds {
		if slices.Contains(d.Kinds[:i], kind) {
			at.Key("kinds").Index(i).Mistake("", "%s is repeated", kind)
		}
		if kind == "silence" && at.Has("budget") {
			at.Key("budget").Mistake("leave silence out, or run it with --probe by a systemd timer",
				"cannot be judged for silence: both directors are master, so only clients could tell the outage")
		}
	}
}

// checkScheduled refuses drills of a director that has no peer, or nothing to hand over.
func checkScheduled(at toml.Node, f *file) {
	if !f.Drill.On() || !at.Sound("peer", "vrrp") {
		return
	}
	switch {
	case !f.Peer.On():
		at.Key("drill").Mistake("add [peer]: see tandem peer init --help", "needs the channel to the other director")
	case len(f.routers) == 0:
		at.Key("drill").Mistake("remove it, or add [[vrrp]]", "has nothing to do without a virtual router")
	}
}
