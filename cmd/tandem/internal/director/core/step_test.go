// SPDX-License-Identifier: Apache-2.0

package core

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/election/message"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/lvs"
	"github.com/tandem-lvs/tandem/vrrp"
)

// show writes the important parts of effects in one line.
func show(out Effects) string {
	var all []string
	if t := out.Table; t != nil {
		kind := "delta"
		if t.Full {
			kind = "full"
		}
		all = append(all, fmt.Sprintf("table %d %s", t.Generation, kind))
		for _, e := range t.Set {
			all = append(all, weightsOf([]lvs.Entry{e}))
		}
		if len(t.Remove) > 0 {
			all = append(all, fmt.Sprint("remove ", len(t.Remove)))
		}
	}
	if out.Checks != nil {
		all = append(all, fmt.Sprint("checks ", len(out.Checks.Targets)))
	}
	if o := out.Election; o != nil {
		word := "election"
		for _, r := range o.Routers {
			word += " " + r.Name
			if r.Standby {
				word += " standby"
			}
		}
		all = append(all, word)
	}
	for _, f := range out.Files {
		all = append(all, f.File.String())
	}
	for _, r := range out.Replies {
		word := "reply " + strings.Join(r.Routers, " ")
		if r.Err != nil {
			word += "failed"
		}
		all = append(all, strings.TrimSpace(word))
	}
	return strings.Join(all, ", ")
}

// web returns a configuration with the virtual router "web" and the service www.
func web(checked bool) *configs.Config {
	cfg := with(www(checked, lvs.WeightZero))
	cfg.Routers = []configs.Router{{Config: vrrp.Config{Name: "web"}}}
	return cfg
}

func report(sequence uint64, is vrrp.Status) Report {
	is.Name = "web"
	return Report{message.Report{Sequence: sequence, Routers: []vrrp.Status{is}}}
}

// TestStep makes one step for each row, with the state that the row before has left.
func TestStep(t *testing.T) {
	fewer, idle := web(true), web(true)
	fewer.Services[0].Servers = fewer.Services[0].Servers[:1]
	idle.Services[0].CheckWhen = configs.CheckMaster
	master := vrrp.Status{State: vrrp.Master}
	type step struct {
		event Event
		want  string
	}
	for name, steps := range map[string][]step{
		"start": {
			{Start{Config: web(true)}, "checks 2, election web"},
			{TableRead{}, "table 1 full, 11=0 12=0"},
			{TableDone{Generation: 1}, ""},
		},
		"restart": {
			{Start{Config: web(true), Overrides: map[string]Override{second: {Drained: true}}}, "checks 2, election web"},
			{TableRead{Entries: tableOf(www(true, 0), "11=3 12=0")}, "table 1 full, 11=3 12=0"},
			{is(first, up), ""},
			{is(second, up), ""},
		},
		"verdict": {
			{Start{Config: web(true)}, "checks 2, election web"},
			{TableRead{}, "table 1 full, 11=0 12=0"},
			{is(first, up), "table 2 delta, 11=3 12=0"},
			{is(first, up), ""},
			{is("www/192.0.2.99:80", up), ""},
			{is(second, up), "table 3 delta, 11=3 12=5"},
		},
		"reload": {
			{Start{Config: web(true)}, "checks 2, election web"},
			{TableRead{}, "table 1 full, 11=0 12=0"},
			{is(first, up), "table 2 delta, 11=3 12=0"},
			{Reload{Config: fewer}, "table 3 full, 11=3, checks 1, election web, reply"},
			{Reload{Config: &configs.Config{State: configs.State{Dir: "/else"}}}, "reply failed"},
			{Reload{Config: with()}, "table 4 full, checks 0, election, reply"},
		},
		"drain": {
			{Start{Config: web(false)}, "checks 0, election web"},
			{TableRead{}, "table 1 full, 11=3 12=5"},
			{ServerOrder{Server: first, Action: api.Drain}, "table 2 delta, 11=0 12=5, orders.json"},
			{Stored{File: OverridesFile, Generation: 1}, ""},
			{TableDone{Generation: 1}, "election web"}, // it is ready
			{TableDone{Generation: 2}, "reply"},
			{ServerOrder{Server: first, Action: api.Undrain}, "table 3 delta, 11=3 12=5, orders.json"},
		},
		"failover": {
			{Start{Config: web(false)}, "checks 0, election web"},
			{Failover{}, "reply failed"},
			{report(1, master), ""},
			{Failover{}, "election web standby, standby.json"},
			{Release{}, ""}, // it waits for the end of the hand-over
			{report(2, vrrp.Status{State: vrrp.Master, Standby: true, HandingOver: true}), ""},
			{report(2, vrrp.Status{State: vrrp.Backup, Standby: true}), "election web, standby.json"},
			{Stored{File: StandbyFile, Generation: 2}, "reply web, reply web"},
		},
		"a failover that nobody takes": {
			{Start{Config: web(false), Standby: []string{"web"}}, "checks 0, election web standby"},
			{report(1, vrrp.Status{State: vrrp.Master, Standby: true}), ""},
			{Failover{}, "election web, standby.json"},
			{report(2, master), "election web standby, standby.json"},
			{report(3, vrrp.Status{State: vrrp.Master, Standby: true, HandingOver: true}), ""},
			{report(3, vrrp.Status{State: vrrp.Master, Standby: true}), "election web, standby.json"},
			{Stored{File: StandbyFile, Generation: 3}, "reply failed"},
		},
		"role change": {
			{Start{Config: idle}, "checks 0, election web"},
			{TableRead{Entries: tableOf(www(true, 0), "11=0 12=5")}, "table 1 full, 11=0 12=5"},
			{report(1, vrrp.Status{State: vrrp.Backup}), "table 2 delta, 11=3 12=5, checks 0"},
			{report(1, master), "checks 2"},
			{is(first, down), "table 3 delta, 11=0 12=5"},
			{report(1, vrrp.Status{State: vrrp.Backup}), "table 4 delta, 11=3 12=5, checks 0"},
		},
	} {
		s := New()
		for i, step := range steps {
			if got := show(s.Step(noon, step.event)); got != step.want {
				t.Errorf("%s, step %d: got %q, want %q", name, i+1, got, step.want)
			}
		}
	}
}

// A failover ends when its time is over, even if the election reports no result.
func TestFailoverEnds(t *testing.T) {
	s := New()
	s.Step(noon, Start{Config: web(false)})
	s.Step(noon, report(1, vrrp.Status{State: vrrp.Master}))
	end := seconds(2).Add((&vrrp.Config{}).OfferTime()) // the test's configuration has no interval
	if out := s.Step(noon, Failover{}); out.Next != end {
		t.Errorf("it waits until %s", out.Next)
	}
	if got := show(s.Step(end, Tick{})); got != "election web, standby.json, reply failed" { // the disk has hung since noon, too
		t.Errorf("got %q", got)
	}
}

// BenchmarkVerdict measures one verdict. It must cost the same whatever the size of the configuration.
func BenchmarkVerdict(b *testing.B) {
	for _, n := range []int{10, 1000, 10000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s := New()
			var services []configs.Service
			for i := range n {
				svc := www(true, lvs.WeightZero)
				svc.Name = fmt.Sprint("s", i)
				svc.Virtuals = slices.Clone(svc.Virtuals)
				svc.Virtuals[0].Port = uint16(i + 1)
				services = append(services, svc)
			}
			s.Step(noon, Start{Config: with(services...)})
			s.Step(noon, TableRead{})
			verdicts := [2]Event{is("s5/192.0.2.11:80", up), is("s5/192.0.2.11:80", down)}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				if out := s.Step(noon, verdicts[i%2]); out.Table == nil || len(out.Table.Set) != 1 {
					b.Fatal(out)
				}
				i++
			}
		})
	}
}
