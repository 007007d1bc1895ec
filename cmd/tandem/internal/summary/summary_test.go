// SPDX-License-Identifier: Apache-2.0

package summary

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
)

// TestProblems: what clients feel comes first, and nothing is said twice.
func TestProblems(t *testing.T) {
	failed := func(n int) (all []api.Server) {
		for i := range n {
			all = append(all, api.Server{Address: netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), Port: 80, Health: "unhealthy", Reason: "timeout"})
		}
		return all
	}
	got := Problems(api.Status{
		Warnings: []string{"the disk is full", "the table hangs"}, Table: &api.TableFault{Warning: "the table hangs"},
		VRRP: []api.Router{{Name: "web", State: "fault", Reason: "eth0 is down"}, {Name: "db", State: "backup"}},
		Services: []api.Service{
			{Name: "empty"}, {Name: "well", Servers: []api.Server{{Health: "healthy", EffectiveWeight: 1}}},
			{Name: "one", Servers: append(failed(1), api.Server{EffectiveWeight: 1})}, {Name: "all", Servers: failed(6)},
		},
	})
	want := []Problem{
		{true, "no real server of all gets clients: 0 of 6 are up"}, {true, "virtual router web is in FAULT: eth0 is down"}, {true, "the table hangs"},
		{false, "the disk is full"}, {false, "1 of 2 servers of one fails: 192.0.2.0:80 (timeout)"},
		{false, "6 of 6 servers of all fail: 192.0.2.0:80 (timeout), 192.0.2.1:80 (timeout), 192.0.2.2:80 (timeout), and 3 more"},
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

func TestWords(t *testing.T) {
	onEth1 := &api.Router{VIPInterfaces: map[netip.Addr]string{netip.MustParseAddr("203.0.113.1"): "eth1"}}
	for got, want := range map[string]string{
		SumsOf(api.Status{}).String(): "",
		SumsOf(api.Status{
			VRRP:     []api.Router{{State: "master"}, {State: "fault"}},
			Services: []api.Service{{Up: 1, Stats: api.Stats{ConnectionRate: 7}, Servers: []api.Server{{Active: 1}, {Sorry: true}}}},
		}).String(): "master of 1 of 2 virtual routers · 1 service · 1 of 1 server up · 1 connection, 7 new a second",
		State(&api.Router{State: "master", HandingOver: true, Standby: true}): "MASTER (handing over)",
		PeerState(&api.PeerRouter{State: "backup", Standby: true}):            "BACKUP (standby)",
		Priority(&api.Router{Priority: 150, EffectivePriority: 1}):            "1 (of 150)",
		Weight(&api.Server{Weight: 3, EffectiveWeight: 3}):                    "3",
		Remark(&api.Server{Note: "drained", Reason: "status 200"}):            "drained; status 200",
		Counted(1, "address") + ", " + Counted(2, "address"):                  "1 address, 2 addresses",
		Remark(&api.Server{Reason: "status 201"}):                             "status 201",
		Dash("") + Dash("x"): "-x",
		VIP(onEth1, netip.MustParsePrefix("192.0.2.100/24")):       "192.0.2.100/24",
		VIP(onEth1, netip.MustParsePrefix("203.0.113.1/32")):       "203.0.113.1/32@eth1",
		PeerName(&api.Peer{Address: "10.0.0.2:8474"}):              "10.0.0.2:8474",
		PeerName(&api.Peer{Address: "10.0.0.2:8474", Name: "lb2"}): "lb2",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
