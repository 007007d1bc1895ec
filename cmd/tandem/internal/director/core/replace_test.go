// SPDX-License-Identifier: Apache-2.0

package core

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/lvs"
)

// TestWhatIsReplacedIsLogged: if another program has set up a service at a configured address, the director takes it over, and
// logs a warning for each change. It logs nothing about services that are its own or not configured.
func TestWhatIsReplacedIsLogged(t *testing.T) {
	const replaced = "replacing what another program has set up in the IPVS table"
	id := lvs.ServiceID{Protocol: lvs.TCP, Addr: netip.MustParseAddr("192.0.2.100"), Port: 80}
	server := configs.Server{Server: lvs.Server{ServerID: lvs.ServerID{Addr: netip.MustParseAddr("192.0.2.11"), Port: 80}, Method: lvs.DR, Weight: 1}}
	www := configs.Service{Name: "www", Virtuals: []lvs.Service{{ServiceID: id, Scheduler: "rr"}}, Servers: []configs.Server{server}}
	other := lvs.Entry{Service: lvs.Service{ServiceID: id, Scheduler: "wlc"}}
	elsewhere := other
	elsewhere.Port = 81
	for _, tt := range []struct {
		name  string
		table []lvs.Entry
		owned map[lvs.ServiceID]bool
		want  []any
	}{
		{"nothing there", nil, nil, nil},
		{"another's", []lvs.Entry{other, elsewhere}, nil, []any{"change", "set scheduler of tcp 192.0.2.100:80: wlc → rr"}},
		{"ours", []lvs.Entry{other}, map[lvs.ServiceID]bool{id: true}, nil},
	} {
		s := New()
		s.Step(noon, Start{Config: &configs.Config{Services: []configs.Service{www}}})
		out := s.Step(noon, TableRead{Entries: tt.table, Owned: tt.owned})
		i := slices.IndexFunc(out.Lines, func(l Line) bool { return l.Message == replaced })
		switch {
		case i < 0 && tt.want != nil:
			t.Errorf("%s: lines %v, want %v", tt.name, lines(out), tt.want)
		case i >= 0 && (out.Lines[i].Level != Warn || !slices.Equal(out.Lines[i].Pairs, tt.want)):
			t.Errorf("%s: %+v, want %v", tt.name, out.Lines[i], tt.want)
		}
	}
}

// TestReplacedAfterAReload: a service that a reload adds, and that another program has set up, is told as at the start. What was
// told at the start is not told again when the first table is written.
func TestReplacedAfterAReload(t *testing.T) {
	www := with(www(false, lvs.Remove))
	others := tableOf(www.Services[0], "11=3 12=5")
	others[0].Scheduler = "wlc"
	for i := range others[0].Servers {
		others[0].Servers[i].Method = lvs.DR
	}
	changes := lvs.Replaced(others, www.Entries(), nil)
	const change = "set scheduler of tcp 192.0.2.100:80: wlc → wrr"
	type step struct {
		ev   Event
		told []string
	}
	for name, steps := range map[string][]step{
		"after a reload": {
			{Start{Config: with()}, nil},
			{TableRead{Entries: others}, nil},
			{TableDone{Generation: 1}, nil},
			{Reload{Config: www}, nil},
			{TableDone{Generation: 2, Replaced: changes}, []string{change}},
			{TableDone{Generation: 2}, nil},
		},
		"after a reload that has read the table, while an earlier table is written": {
			{Start{Config: with()}, nil},
			{TableRead{}, nil},
			{Reload{Config: www, Found: TableRead{Entries: others}}, []string{change}},
			{TableDone{Generation: 1}, nil},
			{TableDone{Generation: 2, Replaced: changes}, nil},
			{TableDone{Generation: 2, Replaced: changes}, []string{change}}, // another program again
		},
		"after a reload that has found an own service": {
			{Start{Config: with()}, nil},
			{TableRead{}, nil},
			{TableDone{Generation: 1}, nil},
			{Reload{Config: www, Found: TableRead{Entries: others, Owned: map[lvs.ServiceID]bool{www.Services[0].Virtuals[0].ServiceID: true}}}, nil},
		},
		"at the start, at the second attempt": {
			{Start{Config: www}, nil},
			{TableRead{Entries: others}, []string{change}},
			{TableDone{Generation: 1, Problem: "the kernel does not answer"}, nil},
			{TableDone{Generation: 1, Replaced: changes}, nil},
			{Reload{Config: with()}, nil},
			{TableDone{Generation: 2}, nil},
			{Reload{Config: www}, nil},
			{TableDone{Generation: 3, Replaced: changes}, []string{change}},
		},
	} {
		s := New()
		for i, step := range steps {
			var warned, recorded []string
			out := s.Step(seconds(i), step.ev)
			for _, l := range out.Lines {
				if l.Level == Warn && l.Message == "replacing what another program has set up in the IPVS table" {
					warned = append(warned, l.Pairs[1].(string))
				}
			}
			if out.History != nil {
				for _, ev := range out.History.Events {
					if ev.Kind == api.EventRepair && ev.What == "replaces what another program has set up in the IPVS table" {
						recorded = append(recorded, ev.Cause)
					}
				}
			}
			if !slices.Equal(warned, step.told) || !slices.Equal(recorded, step.told) {
				t.Errorf("%s, step %d, %T: warned %q, recorded %q, want %q", name, i, step.ev, warned, recorded, step.told)
			}
		}
	}
}
