// SPDX-License-Identifier: Apache-2.0

package drill

import (
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
)

var fault = time.Date(2026, 11, 22, 4, 0, 0, 0, time.UTC)

func ms(n int) time.Time { return fault.Add(time.Duration(n) * time.Millisecond) }

// became is a transition of web, some milliseconds after the fault.
func became(at int, old, state string) api.Event {
	return api.Event{Time: ms(at), Kind: api.EventTransition, On: api.OnRouter, Name: "web", What: "became " + state, Cause: "why", Old: old, New: state}
}

func overAt(n int) []api.Event { return []api.Event{became(n, "backup", "master")} }

func announced(at ...int) (all []Announced) {
	for _, n := range at {
		all = append(all, Announced{ms(n), vip.Addr()})
	}
	return all
}

// TestJudge: what the histories and the announcements say becomes the phases, the outage and the verdict.
func TestJudge(t *testing.T) {
	for _, c := range []struct {
		what   string
		kind   Kind
		budget time.Duration
		o      Observed
		want   string
	}{
		{
			"there and back, each before the other leaves", Failover, 100 * time.Millisecond,
			Observed{
				Here:  []api.Event{became(4, "master", "backup"), became(2010, "backup", "master")},
				There: []api.Event{became(3, "backup", "master"), became(2011, "master", "backup")}, Announced: announced(5),
			},
			"web: lb2 took over (why): detection 3ms, takeover 2ms, announcement 0s; outage at most 0s; 0s on the way back\nfailover: passed; outage at most 0s, budget 100ms",
		},
		{
			"it leaves before its successor is there", Failover, 100 * time.Millisecond,
			Observed{Here: []api.Event{became(4, "master", "backup")}, There: overAt(300)},
			"web: lb2 took over (why): detection 300ms, takeover -, announcement -; outage at most 296ms\n" +
				"failed: the outage of at most 296ms is over the budget of 100ms\nfailover: failed; outage at most 296ms, budget 100ms",
		},
		{
			"the way back has a gap", Failover, 100 * time.Millisecond,
			Observed{
				Here:  []api.Event{became(4, "master", "backup"), became(2500, "backup", "master")},
				There: []api.Event{became(3, "backup", "master"), became(2011, "master", "backup")},
			},
			"489ms on the way back\nfailed: the outage of at most 489ms is over the budget",
		},
		{
			"the peer does nothing", Freeze, -1, Observed{},
			"web: not taken over\nfailed: virtual router web: lb2 did not take over within 6s\nfreeze: failed\n",
		},
		{
			"a cable is cut: what is announced again later does not count", Cable, 4 * time.Second,
			Observed{There: overAt(3600), Announced: announced(9000), Listened: true},
			"web: lb2 took over (why): detection 3.6s, takeover -, announcement -; outage at most 3.6s\ncable: passed; outage at most 3.6s, budget 4s",
		},
		{
			"a freeze, and the announcement counts", Freeze, time.Second, Observed{There: overAt(900), Announced: announced(899, 1100), Listened: true},
			"detection 900ms, takeover 200ms, announcement 0s; outage at most 1.1s\nfailed: the outage of at most 1.1s is over the budget of 1s",
		},
		{
			"nothing is announced", Freeze, -1, Observed{There: overAt(900), Listened: true},
			"note: lb2 took over, and none of its announcements was heard here",
		},
		{
			"a takeover of before is not this one", Freeze, -1, Observed{There: []api.Event{became(-500, "backup", "master")}},
			"lb2 did not take over",
		},
		{
			"the process that is left hands over", Crash, 0,
			Observed{Here: []api.Event{became(20, "master", "backup")}, There: overAt(15)},
			"outage at most 0s\ncrash: passed; outage at most 0s, budget 0s",
		},
		{
			"the election is there again in time", Crash, 0, Observed{},
			"web: lb1 was master again before lb2 took over; outage at most 0s\ncrash: passed; outage at most 0s, budget 0s",
		},
		{
			"the director starts again before the peer takes over", Crash, time.Second, Observed{Here: []api.Event{became(1300, "initialize", "master")}},
			"web: lb1 was master again before lb2 took over; outage at most 1.3s\nfailed: the outage",
		},
		{
			"an interface flaps, and the longest time without a master counts", Flap, 500 * time.Millisecond,
			Observed{
				Here: []api.Event{became(1, "master", "fault"), became(1010, "fault", "backup"), became(2600, "backup", "master"),
					became(3001, "master", "fault"), became(4600, "backup", "master")},
				There:     []api.Event{became(301, "backup", "master"), became(2590, "master", "backup"), became(3901, "backup", "master"), became(4605, "master", "backup")},
				Announced: announced(5),
			},
			"web: lb2 took over 2 times (why): detection 301ms; outage at most 900ms\nfailed: the outage of at most 900ms is over the budget of 500ms\n",
		},
		{
			"an interface is up again before the peer notices", Flap, time.Second,
			Observed{Here: []api.Event{became(1, "master", "fault"), became(210, "fault", "master")}},
			"web: lb1 was master again before lb2 took over; outage at most 209ms\nflap: passed; outage at most 209ms, budget 1s",
		},
		{
			"nobody notices that an interface is down", Flap, 500 * time.Millisecond, Observed{},
			"outage at most 1s\nfailed: the outage of at most 1s is over the budget of 500ms\n",
		},
		{
			"nobody is master after a flap", Flap, time.Second, Observed{Here: []api.Event{became(1, "master", "fault")}},
			"failed: the outage is not known, so it is not known whether it is within the budget of 1s\n",
		},
		{
			"both are master", Silence, -1,
			Observed{There: []api.Event{became(3600, "backup", "master"), became(6100, "master", "backup")}},
			"announcement -; both were master for 2.5s\nsilence: passed\n",
		},
		{
			"a history is missing", Freeze, time.Second, Observed{Missing: "the channel is lost"},
			"web: not taken over\nfailed: the outage is not known: the channel is lost\nfreeze: failed\n",
		},
		{
			"not as before", Freeze, -1,
			Observed{There: overAt(900), Differences: []Difference{{"link eth0", "up", "down"}}, Compared: 9},
			"failed: not as before: link eth0 was up, and is down\nfreeze: failed",
		},
		{"as before", Freeze, -1, Observed{There: overAt(900), Compared: 9}, "all as before: 9 items compared\nfreeze: passed"},
	} {
		s := well(c.kind)
		s.Order.Budget = c.budget
		r := s.NewReport(fault, "root")
		c.o.Fault, c.o.Undone = fault, ms(6000)
		s.Judge(&r, c.o)
		if text := r.Text(); !strings.Contains(text, c.want) || r.Passed != (len(r.Failures) == 0) {
			t.Errorf("%s: got\n%swant\n%s", c.what, text, c.want)
		}
	}
}

// TestClockError: what is earlier by less than the error of the clocks is no outage.
func TestClockError(t *testing.T) {
	s := well(Failover)
	r := s.NewReport(fault, "")
	s.Judge(&r, Observed{
		Fault: fault, Undone: ms(2000), ClockError: 3 * time.Millisecond,
		Here: []api.Event{became(4, "master", "backup")}, There: []api.Event{became(6, "backup", "master")},
	})
	if r.Outage == nil || *r.Outage != 0 {
		t.Errorf("outage %v", r.Outage)
	}
}

// TestCompare: each thing that a drill may leave behind is a difference, and the rest is none.
func TestCompare(t *testing.T) {
	machine := []Item{{"link eth0", "up"}, {"address 192.0.2.100/24", "on eth0"}}
	before := well(Failover)
	items := Items(before.Here, before.There, machine)
	if d := Compare(items, items); len(d) > 0 {
		t.Fatalf("%v", d)
	}
	for _, c := range []struct {
		change func(s *Situation) []Item
		want   string
	}{
		{func(s *Situation) []Item { s.Here.VRRP[0].State = "backup"; return machine }, "virtual router web (IPv4) of lb1 was master, priority 150, and is backup, priority 150"},
		{func(s *Situation) []Item { s.Here.VRRP[0].Standby = true; return machine }, "is master, priority 150, standby"},
		{func(s *Situation) []Item { s.Here.VRRP[0].TwoMasters.Since = &fault; return machine }, "is master, priority 150, hears another master"},
		{func(s *Situation) []Item { s.There.VRRP[0].State = "master"; return machine }, "virtual router web (IPv4) of lb2 was backup"},
		{func(s *Situation) []Item { s.Here.Services[0].Up = 0; return machine }, "service www of lb1 was 1 servers up, and is 0 servers up"},
		{func(s *Situation) []Item { s.There.Services[0].Servers[0].Health = "unhealthy"; return machine }, "192.0.2.11:80 unhealthy"},
		{func(s *Situation) []Item { s.There.Config.SHA256 = "f"; return machine }, "configuration of lb2 was 0123456789ab, and is f"},
		{func(s *Situation) []Item { s.Here.Table = &api.TableFault{Warning: "refused"}; return machine }, "IPVS table of lb1 was not there, and is refused"},
		{func(s *Situation) []Item { s.Here.Peer.To.Up = false; return machine }, "channel was to the peer up, from the peer up, and is to the peer down"},
		{func(*Situation) []Item { return machine[:1] }, "address 192.0.2.100/24 was on eth0, and is gone"},
		{func(*Situation) []Item { return []Item{{"link eth0", "down"}, machine[1]} }, "link eth0 was up, and is down"},
	} {
		s := well(Failover)
		machine := c.change(s)
		d := Compare(items, Items(s.Here, s.There, machine))
		if len(d) != 1 || !strings.Contains(d[0].String(), c.want) {
			t.Errorf("%v, want %s", d, c.want)
		}
	}
}

// TestCompareSameAddresses: VLANs of one card have the same link-local address. The kernel lists them in any order.
func TestCompareSameAddresses(t *testing.T) {
	first, second := Item{"address fe80::1/64", "on eth0.10"}, Item{"address fe80::1/64", "on eth0.20"}
	if d := Compare([]Item{first, second}, []Item{second, first}); len(d) > 0 {
		t.Errorf("nothing has changed: %v", d)
	}
	d := Compare([]Item{first, second}, []Item{first})
	if len(d) != 1 || d[0].String() != "address fe80::1/64 was on eth0.20, and is gone" {
		t.Errorf("one has gone: %v", d)
	}
	d = Compare([]Item{first, second}, []Item{{first.What, "on eth0.10, a duplicate"}, second})
	if len(d) != 1 || d[0].String() != "address fe80::1/64 was on eth0.10, and is on eth0.10, a duplicate" {
		t.Errorf("one has changed: %v", d)
	}
	if d = Compare([]Item{first}, []Item{first, second}); len(d) != 1 || d[0].String() != "address fe80::1/64 was not there, and is on eth0.20" {
		t.Errorf("one has come: %v", d)
	}
}

// TestStay: the peer may stay master if the operator allows it, and nothing else may differ.
func TestStay(t *testing.T) {
	s := well(Failover)
	differences := []Difference{
		{"virtual router web (IPv4) of lb1", "master, priority 150", "backup, priority 150"},
		{"virtual router web (IPv4) of lb2", "backup, priority 100", "master, priority 100"},
		{"address 192.0.2.100/24", "on eth0", ""},
	}
	if left := s.Expected(differences); len(left) != 3 {
		t.Error(left)
	}
	s.Order.Stay = true
	faulty := append(slices.Clone(differences), Difference{"virtual router web (IPv4) of lb1", "master, priority 150", "fault"}, Difference{"link eth0", "up", "down"})
	if left := s.Expected(faulty); len(left) != 2 || left[0].After != "fault" {
		t.Error(left)
	}
}

// TestReports: they are bounded, and are the same after they were stored.
func TestReports(t *testing.T) {
	var all []Report
	for i := range MaxReports + 5 {
		s := well(Cable)
		s.Order.Budget = time.Second
		r := s.NewReport(ms(i), "root")
		s.Judge(&r, Observed{Fault: ms(i), Undone: ms(i + 1000), There: []api.Event{became(i+10, "backup", "master")}, Announced: []Announced{{ms(i + 11), netip.MustParseAddr("192.0.2.100")}}})
		all = Kept(all, r)
	}
	if len(all) != MaxReports || !all[0].Began.Equal(ms(5)) {
		t.Fatalf("%d reports, the first of %s", len(all), all[0].Began)
	}
	text, err := json.Marshal(all[0])
	var read Report
	if err != nil || json.Unmarshal(text, &read) != nil || read.Text() != all[0].Text() || read.Kind != Cable {
		t.Errorf("%v, %s", err, text)
	}
	died := all[0]
	died.Undone(ms(9000), []string{"take eth0 up"}, []string{"take eth1 up: no such device"})
	if died.Passed || died.Result() != "died, undone" || !strings.Contains(died.Text(), "not undone: take eth1 up: no such device") {
		t.Error(died.Text())
	}
}

// TestLatest: the last drill of each kind, the latest first, and when one of the kind passed.
func TestLatest(t *testing.T) {
	at := func(n int, kind Kind, passed bool) Report {
		return Report{Kind: kind, Began: ms(n), Ended: ms(n + 1), Passed: passed, Outage: new(Seconds(float64(n) / 1000)), Budget: new(Seconds(0.5))}
	}
	all := []Report{at(0, Freeze, true), at(10, Cable, false), at(20, 0, true), at(30, Freeze, false)}
	all[3].Failures = []string{"too long"}
	last := Latest(all)
	if len(last) != 2 || last[0].Kind != "freeze" || last[0].Result != "failed" || !last[0].Ended.Equal(ms(31)) || !last[0].LastPassed.Equal(ms(1)) ||
		last[1].Kind != "cable" || !last[1].LastPassed.IsZero() {
		t.Errorf("%+v", last)
	}
	if got := Words(last[0]); got != "failed; outage at most 30ms, budget 500ms: too long" {
		t.Error(got)
	}
	if begun := (&Report{Kind: Freeze, Began: ms(0)}).Summary(); begun.Result != "" || begun.OutageSeconds != nil {
		t.Errorf("%+v", begun)
	}
}
