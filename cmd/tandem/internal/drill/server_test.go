// SPDX-License-Identifier: Apache-2.0

package drill

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
)

const eleven, twelve = "www/192.0.2.11:80", "www/192.0.2.12:80"

// withSpare gives both directors a second server of www, with which a drill of kind server can be made.
func withSpare(s *Situation) *Situation {
	for _, is := range []*api.Status{&s.Here, &s.There} {
		svc := &is.Services[0]
		svc.Up, svc.Quorum = 2, 1
		svc.Servers[0].Weight, svc.Servers[0].EffectiveWeight = 1, 1
		svc.Servers = append(svc.Servers, api.Server{Address: netip.MustParseAddr("192.0.2.12"), Port: 80, Weight: 3, EffectiveWeight: 3, Health: "healthy"})
	}
	s.Order.Server, s.Order.Lose = "www/192.0.2.11", 12
	return s
}

// TestRefusedServer: a real server that must not leave does not, with the reason.
func TestRefusedServer(t *testing.T) {
	on := func(is *api.Status) *api.Service { return &is.Services[0] }
	for _, c := range []struct {
		broken func(*Situation)
		want   string
	}{
		{func(s *Situation) { s.Order.Server = "x/192.0.2.11" }, "lb1 has no service x"},
		{func(s *Situation) { s.Order.Server = "www/192.0.2.99" }, "service www of lb1 has no server 192.0.2.99"},
		{func(s *Situation) { s.Order.Server = "192.0.2.11" }, `"192.0.2.11" is not SERVICE/ADDRESS`},
		{func(s *Situation) {
			on(&s.Here).Servers[1].Address = on(&s.Here).Servers[0].Address
			on(&s.Here).Servers[1].Port = 81
		}, "service www has several servers 192.0.2.11: name one of www/192.0.2.11:80, www/192.0.2.11:81"},
		{func(s *Situation) { on(&s.There).Servers = on(&s.There).Servers[1:] }, "service www of lb2 has no server 192.0.2.11:80"},
		{func(s *Situation) { on(&s.Here).Servers[0].Disabled = true }, eleven + " is disabled on lb1 already: drill another one"},
		{func(s *Situation) { on(&s.There).Servers[0].Drained = true }, eleven + " is drained on lb2 already"},
		{func(s *Situation) { on(&s.There).Servers[0].Maintenance = "/m" }, "is drained for maintenance, because /m exists, on lb2 already"},
		{func(s *Situation) {
			on(&s.There).Servers[0].Health, on(&s.There).Servers[0].Reason = "unhealthy", "refused"
		}, eleven + " is unhealthy (refused) on lb2 already"},
		{func(s *Situation) { on(&s.Here).Servers[0].Health = "unknown" }, eleven + " is not known to be healthy on lb1 already"},
		{func(s *Situation) {
			on(&s.Here).Servers[0].EffectiveWeight, on(&s.Here).Servers[0].Note = 0, "weight 0 by command"
		}, "has weight 0 (weight 0 by command) on lb1 already"},
		{func(s *Situation) { on(&s.Here).Servers[0].Sorry = true }, "is a sorry server"},
		{func(s *Situation) { on(&s.Here).Servers[0].Leaving = true }, "is no longer in the configuration"},
		{func(s *Situation) { on(&s.Here).Servers[0].Tracks = "web/192.0.2.11:80" }, eleven + " follows web/192.0.2.11:80: name that one"},
		{func(s *Situation) { on(&s.Here).Servers[1].Health = "unhealthy" }, eleven + " is the last healthy server of service www on lb1"},
		{func(s *Situation) { on(&s.There).Servers[1].Drained = true }, eleven + " is the last healthy server of service www on lb2"},
		{func(s *Situation) { on(&s.There).Servers[1].Sorry = true }, eleven + " is the last healthy server of service www on lb2"},
		{func(s *Situation) { on(&s.Here).QuorumLost = true }, "service www has lost its quorum on lb1"},
		{func(s *Situation) { on(&s.There).Quorum = 4 }, "service www would lose its quorum on lb2: without www/192.0.2.11:80 its weight is 3, and 4 is needed"},
		{func(s *Situation) { on(&s.Here).Panic = true }, "service www has too few healthy servers on lb1"},
		{
			func(s *Situation) {
				on(&s.Here).PanicBelow = 0.6
				on(&s.Here).Servers = append(on(&s.Here).Servers, api.Server{Health: "unhealthy", Weight: 1})
			},
			"service www would send clients to its unhealthy servers on lb1: without www/192.0.2.11:80 only 1 of 2 servers are healthy",
		},
		{
			func(s *Situation) {
				s.There.Services = append(s.There.Services, api.Service{Name: "tls", Servers: []api.Server{
					{Address: netip.MustParseAddr("192.0.2.11"), Port: 443, EffectiveWeight: 1, Health: "unchecked", Tracks: eleven},
				}})
			},
			"tls/192.0.2.11:443 is the last healthy server of service tls on lb2",
		},
		{func(s *Situation) { s.Order.Lose = 11 }, "12 established connections to www/192.0.2.11:80 would end: allow that with --lose 12"},
		{func(s *Situation) { s.Order.Budget = 0 }, "--budget: no virtual router moves in this drill, so only clients can tell the outage"},
		{func(s *Situation) { s.Order.Max = time.Second }, "--max 1s is too short: the fault lasts 2s"},
		{func(s *Situation) { s.Here.Peer = nil }, "there is no peer"},
		{func(s *Situation) { s.Lacking = "the channel is lost" }, "the other director cannot be asked: the channel is lost"},
		{func(s *Situation) { s.Here.VRRP[0].State = "backup" }, "this director is master of no virtual router"},
		{func(s *Situation) { s.There.Table = &api.TableFault{Warning: "no IPVS"} }, "the IPVS table of lb2 is not in line: no IPVS"},
		{func(s *Situation) { s.There.Drill = &api.DrillUnderWay{Kind: "cable"} }, "a drill is under way on lb2: cable"},
	} {
		s := well(RealServer)
		c.broken(s)
		if refused := s.Refusals(); !slices.ContainsFunc(refused, func(text string) bool { return strings.Contains(text, c.want) }) {
			t.Errorf("refused for %q, want %q", refused, c.want)
		}
	}
}

// TestServerNeedsNoTakeover: what keeps the peer from taking over does not matter, because no virtual router moves.
func TestServerNeedsNoTakeover(t *testing.T) {
	s := well(RealServer)
	s.Here.VRRP[0].Preempt, s.There.VRRP[0].EffectivePriority, s.Here.Sync = false, 1, nil
	s.Order.Server = eleven
	if refused := s.Refusals(); len(refused) > 0 {
		t.Errorf("%q", refused)
	}
	if notes := s.Notes(); len(notes) != 1 || notes[0] != "12 established connections to www/192.0.2.11:80 end" {
		t.Errorf("%q", notes)
	}
}

// TestJudgeServer: the report says how soon both kernels had the change, what clients saw, and which weights came back.
func TestJudgeServer(t *testing.T) {
	took := func(n int, problem string) *InForce {
		return &InForce{Took: time.Duration(n) * time.Millisecond, Problem: problem}
	}
	const weights = "; weight on lb1: 1 before, 1 after; weight on lb2: 1 before, 1 after\n"
	for _, c := range []struct {
		what string
		o    Observed
		want string
	}{
		{
			"out and back", Observed{Out: took(12, ""), Back: took(15, ""), Compared: 9, Seen: []Seen{seen()}},
			eleven + ": out of both kernels after 12ms, back in both after 15ms" + weights +
				"clients at 192.0.2.50:8475: no outage, 3 of 100 questions failed\nall as before: 9 items compared\n" +
				"server: passed; " + eleven + " out after 12ms, back after 15ms; clients saw 0s\n",
		},
		{
			"somebody else disabled it", Observed{Out: took(12, ""), Back: took(1, "somebody else has")},
			"back in both after -" + weights + "failed: it is not known when both kernels had " + eleven + " again: somebody else has\nserver: failed; " + eleven + " out after 12ms, back after -\n",
		},
		{"it is not undone", Observed{Out: took(12, "")}, "failed: it is not known when both kernels had " + eleven + " again\n"},
		{"it was never taken out", Observed{}, eleven + ": out of both kernels after -, back in both after -" + weights + "server: passed\n"},
		{
			"the weight does not come back", Observed{Out: took(12, ""), Back: took(15, ""), Differences: []Difference{{"weight of " + eleven + " on lb2", "1", "0"}}},
			"failed: not as before: weight of " + eleven + " on lb2 was 1, and is 0\nserver: failed; ",
		},
		{
			"a virtual router moves", Observed{Out: took(12, ""), Back: took(15, ""), Here: []api.Event{became(30, "master", "backup")}},
			"failed: virtual router web moved: it became backup: why\n",
		},
		{
			"a virtual router moved before", Observed{Out: took(12, ""), Back: took(15, ""), Here: []api.Event{became(-800, "backup", "master")}},
			weights + "server: passed; ",
		},
		{"no history", Observed{Out: took(12, ""), Back: took(15, ""), Missing: "lost"}, "failed: it is not known whether a virtual router moved: lost\n"},
	} {
		s := well(RealServer)
		r := s.NewReport(fault, "root")
		c.o.Fault, c.o.Undone, c.o.HereAfter, c.o.ThereAfter = fault, ms(2000), &s.Here, &s.There
		s.Judge(&r, c.o)
		if text := r.Text(); !strings.Contains(text, c.want) || r.Outage != nil || len(r.Routers) > 0 {
			t.Errorf("%s: got\n%swant\n%s", c.what, text, c.want)
		}
	}
	s := well(RealServer)
	r := s.NewReport(fault, "root")
	s.Judge(&r, Observed{Fault: fault})
	if text := r.Text(); !strings.Contains(text, "weight on lb2: 1 before, not known after") {
		t.Error(text)
	}
}

// TestServerItems: a weight that is not as before is a difference. One that the server asks for may change, but must not be 0.
func TestServerItems(t *testing.T) {
	s := well(RealServer)
	if !s.FullWeight() || s.Target() != eleven || well(Cable).Target() != "" {
		t.Errorf("%v, %s", s.FullWeight(), s.Target())
	}
	before := ServerItems(eleven, true, &s.Here, &s.There)
	s.There.Services[0].Servers[0].EffectiveWeight = 2
	after := ServerItems(eleven, true, &s.Here, &s.There)
	if d := Compare(before, after); len(d) != 1 || d[0].String() != "weight of "+eleven+" on lb2 was 1, and is 2" || s.FullWeight() {
		t.Errorf("%v", d)
	}
	vague := ServerItems(twelve, false, &s.Here, &s.There)
	s.Here.Services[0].Servers[1].EffectiveWeight = 2
	if d := Compare(vague, ServerItems(twelve, false, &s.Here, &s.There)); len(d) > 0 {
		t.Errorf("%v", d)
	}
	s.Here.Services[0].Servers[1].EffectiveWeight, s.There.Services[0].Servers = 0, nil
	d := Compare(vague, ServerItems(twelve, false, &s.Here, &s.There))
	if len(d) != 2 || d[0].After != "0" || d[1].After != "gone" {
		t.Errorf("%v", d)
	}
}
