// SPDX-License-Identifier: Apache-2.0

package core

import (
	"net/netip"
	"slices"
	"testing"

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
