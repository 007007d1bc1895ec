// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"fmt"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // also where the machine has none
)

// TestDrill: the schedule of drills, and what is refused.
func TestDrill(t *testing.T) {
	const peer = "[peer]\naddress = \"10.0.0.2:8474\"\nkey = \"" + peerKeyText + "\"\n"
	const web = "[[vrrp]]\nname = \"web\"\ninterface = \"eth0\"\nvrid = 51\nvips = [\"192.0.2.100\"]\n"
	for _, tt := range []struct{ name, text, rest, want string }{
		{"the defaults", `schedule = "Sun 04:00"`, peer + web, "{Sun 04:00 [failover] -1ns 1h0m0s}"},
		{"all", "schedule = \"Mon,Thu 23:59\"\nkinds = [\"cable\", \"freeze\"]\nbudget = \"0s\"\nwindow = \"1m\"", peer + web, "{Mon,Thu 23:59 [cable freeze] 0s 1m0s}"},
		{"none", "", peer + web, "1: drill.schedule: is missing"},
		{"no time", `schedule = "Sun"`, peer + web, `2: drill.schedule: "" is not a time of the day from 00:00 to 23:59; write "Sun 04:00"`},
		{"a wrong time", `schedule = "Sun 24:00"`, peer + web, `2: drill.schedule: "24:00" is not a time of the day`},
		{"a short time", `schedule = "Sun 4:00"`, peer + web, `2: drill.schedule: "4:00" is not a time of the day`},
		{"a wrong day", `schedule = "Sunday 04:00"`, peer + web, `2: drill.schedule: "Sunday" is not a day: want daily, or one or more of Mon,`},
		{"a day twice", `schedule = "Sun,Sun 04:00"`, peer + web, "2: drill.schedule: Sun is repeated"},
		{"cron", `schedule = "0 4 * * 0"`, peer + web, `2: drill.schedule: "4 * * 0" is not a time`},
		{"a wrong kind", "schedule = \"Sun 04:00\"\nkinds = [\"failovr\"]", peer + web, "3: drill.kinds[0]: unknown value \"failovr\"; did you mean `failover`?"},
		{"a kind that needs a server", "schedule = \"Sun 04:00\"\nkinds = [\"server\"]", peer + web, "3: drill.kinds[0]: unknown value \"server\""},
		{"a kind twice", "schedule = \"Sun 04:00\"\nkinds = [\"cable\", \"cable\"]", peer + web, "3: drill.kinds[1]: cable is repeated"},
		{"no kind", "schedule = \"Sun 04:00\"\nkinds = []", peer + web, "3: drill.kinds: "},
		{"a short window", "schedule = \"Sun 04:00\"\nwindow = \"59s\"", peer + web, "3: drill.window: "},
		{"a budget for silence", "schedule = \"Sun 04:00\"\nkinds = [\"silence\"]\nbudget = \"1s\"", peer + web, "4: drill.budget: cannot be judged for silence: both directors are master"},
		{"no peer", `schedule = "Sun 04:00"`, web, "1: drill: needs the channel to the other director; add [peer]"},
		{"no virtual router", `schedule = "Sun 04:00"`, peer + "[[service]]\nname = \"www\"\nvirtual = \"192.0.2.100:80\"\n[[service.server]]\naddress = \"192.0.2.11\"\n",
			"1: drill: has nothing to do without a virtual router; remove it, or add [[vrrp]]"},
	} {
		c, err := Parse("t.toml", []byte("[drill]\n"+tt.text+"\n"+tt.rest))
		said := fmt.Sprint(err)
		if err == nil {
			said = fmt.Sprint(c.Drill)
		}
		if !strings.HasPrefix(strings.TrimPrefix(said, "t.toml:"), tt.want) || err == nil && !c.Drill.On() {
			t.Errorf("%s: %s\nwant %s", tt.name, said, tt.want)
		}
	}
}

// TestNextDrill: when the next drill is due, also on the days on which the clocks change.
func TestNextDrill(t *testing.T) {
	for _, tt := range []struct{ schedule, zone, now, want string }{
		{"Sun 04:00", "UTC", "2026-11-22 03:59:59", "2026-11-22 04:00:00 +0000"}, // a Sunday
		{"Sun 04:00", "UTC", "2026-11-22 04:00:00", "2026-11-29 04:00:00 +0000"},
		{"Mon,Thu 23:59", "UTC", "2026-11-22 04:00:00", "2026-11-23 23:59:00 +0000"},
		{"Mon,Thu 23:59", "UTC", "2026-11-23 23:59:30", "2026-11-26 23:59:00 +0000"},
		{"daily 00:00", "UTC", "2026-12-31 00:00:00", "2027-01-01 00:00:00 +0000"},
		{"Sun 00:00", "Asia/Tokyo", "2026-11-21 23:00:00", "2026-11-22 00:00:00 +0900"}, // still Saturday in UTC
		// To summer time: 02:00 to 03:00 does not exist.
		{"Sun 02:30", "Europe/Berlin", "2026-03-29 01:00:00", "2026-03-29 03:30:00 +0200"},
		{"Sun 02:30", "Europe/Berlin", "2026-03-29 03:30:00", "2026-04-05 02:30:00 +0200"},
		{"Sun 01:59", "Europe/Berlin", "2026-03-28 12:00:00", "2026-03-29 01:59:00 +0100"},
		{"Sun 03:00", "Europe/Berlin", "2026-03-28 12:00:00", "2026-03-29 03:00:00 +0200"},
		// To winter time: 02:00 to 03:00 comes twice.
		{"Sun 02:30", "Europe/Berlin", "2026-10-25 01:00:00", "2026-10-25 02:30:00 +0200"},
		{"Sun 03:00", "Europe/Berlin", "2026-10-25 01:00:00", "2026-10-25 03:00:00 +0100"},
		// Half an hour is skipped.
		{"Sun 02:15", "Australia/Lord_Howe", "2026-10-04 01:00:00", "2026-10-04 02:45:00 +1100"},
		// The whole day is skipped: there is no such Friday.
		{"Fri 04:00", "Pacific/Apia", "2011-12-29 12:00:00", "2012-01-06 04:00:00 +1400"},
	} {
		zone, err := time.LoadLocation(tt.zone)
		if err != nil {
			t.Fatal(err)
		}
		at, err := DrillTimeOf(tt.schedule)
		if err != nil {
			t.Fatal(err)
		}
		now, err := time.ParseInLocation(time.DateTime, tt.now, zone)
		if err != nil {
			t.Fatal(err)
		}
		if got := at.Next(now).Format("2006-01-02 15:04:05 -0700"); got != tt.want {
			t.Errorf("%s in %s after %s: %s, want %s", tt.schedule, tt.zone, tt.now, got, tt.want)
		}
	}
	// The second of two hours of the same name is not another time.
	zone, _ := time.LoadLocation("Europe/Berlin")
	at, _ := DrillTimeOf("Sun 02:30")
	first := at.Next(time.Date(2026, 10, 25, 0, 0, 0, 0, zone))
	if next := at.Next(first); next.Sub(first) < 6*24*time.Hour {
		t.Errorf("%s follows %s", next, first)
	}
	// Whatever the zone and the moment, the next time is after now, and at most a little more than a week later.
	for _, name := range []string{"Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "Africa/Casablanca"} {
		zone, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		for now := time.Date(2026, 1, 1, 0, 0, 0, 0, zone); now.Year() == 2026; now = now.Add(37 * time.Minute) {
			if next := at.Next(now); !next.After(now) || next.Sub(now) > 7*24*time.Hour+time.Hour {
				t.Fatalf("%s: %s follows %s", name, next, now)
			}
		}
	}
}
