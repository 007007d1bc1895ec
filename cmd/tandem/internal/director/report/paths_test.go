// SPDX-License-Identifier: Apache-2.0

package report

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/election/message"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/vrrp"
)

// TestPaths: a router with a heartbeat has a row for each path, also before the election has reported them, and the answers to its
// question. A router of the same name on another interface is another one.
func TestPaths(t *testing.T) {
	peer := netip.MustParseAddr("10.9.0.2")
	web := configs.Router{Config: vrrp.Config{Name: "web", Interface: "eth0", VRID: 51, Heartbeat: []vrrp.Path{{Interface: "eth1"}, {Peer: peer}}}}
	plain := configs.Router{Config: vrrp.Config{Name: "plain", Interface: "eth0", VRID: 52}}
	since := time.Unix(1000, 0)
	report := message.Report{
		Routers: []vrrp.Status{{Name: "web", Interface: "eth0", State: vrrp.Backup, Paths: []vrrp.PathStatus{
			{Name: "eth0", State: vrrp.PathSilent, Since: since, Received: 3},
			{Name: "10.9.0.2", Unicast: true, State: vrrp.PathDown, Fault: "no route", SendErrors: 2},
		}}},
		Asked: []message.Asked{
			{Interface: "eth9", Name: "web", Count: 1},
			{Interface: "eth0", Name: "web", Count: 4, Answered: 1, Answers: []message.Answer{{Address: peer, Hardware: "x", Peer: true}}},
		},
	}
	rows := routerStatus([]configs.Router{web, plain}, report)
	got := rows[0].Paths
	if len(got) != 3 || got[0].State != "silent" || !got[0].Since.Equal(since) || got[0].Received != 3 ||
		got[1].Name != "eth1" || got[1].State != "unknown" || got[2].State != "down" || !got[2].Unicast || got[2].Reason != "no route" || got[2].SendErrors != 2 {
		t.Errorf("%+v", got)
	}
	if a := rows[0].Asked; a == nil || a.Count != 4 || a.Answered != 1 || len(a.Answers) != 1 || !a.Answers[0].Peer {
		t.Errorf("%+v", a)
	}
	report.Routers[0].Warnings = []string{"the wire", report.Routers[0].Paths[0].Warning(), report.Routers[0].Paths[1].Warning()}
	report.Routers[0].Tracking.NoWitness = true
	guards, all := guardWarnings(report), electionWarnings(report)
	for _, w := range guards {
		if !slices.Contains(all, w) {
			t.Errorf("%q is none of %q", w, all)
		}
	}
	if len(guards) != 3 || len(all) != 4 {
		t.Errorf("%q, of %q", guards, all)
	}
	pair := func(name string) vrrp.Status {
		return vrrp.Status{Name: name, Group: "pair", Tracking: vrrp.Tracking{NoWitness: true}}
	}
	if got := guardWarnings(message.Report{Routers: []vrrp.Status{pair("a"), pair("b")}}); len(got) != 1 || !strings.HasPrefix(got[0], "sync group pair: no witness answers") {
		t.Errorf("a sync group without a witness: %q", got)
	}
	if rows[1].Paths == nil || len(rows[1].Paths) > 0 || rows[1].Asked != nil {
		t.Errorf("%+v", rows[1])
	}
}
