// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/diagnosis"
	"github.com/tandem-lvs/tandem/garp"
	"github.com/tandem-lvs/tandem/vrrp"
)

// heartbeat gives the router of a backup a second path, and both paths a state.
func (s *scene) heartbeat(first, second string) {
	s.backup()
	s.extra = `heartbeat = ["eth1"]`
	s.snapshot.Status.VRRP[0].Paths = []control.Path{{Name: "eth0", State: first}, {Name: "eth1", State: second, Reason: "eth1 has no address"}}
	s.guardWarning("web: something about a path")
}

// guardWarning has the director warn of what the doctor sees by itself.
func (s *scene) guardWarning(text string) {
	s.snapshot.Status.Warnings = append(s.snapshot.Status.Warnings, text)
	s.snapshot.Status.GuardWarnings = append(s.snapshot.Status.GuardWarnings, text)
}

// witnesses gives a backup two witnesses.
func (s *scene) witnesses(first, second bool) {
	s.backup()
	s.extra = `witness = ["192.0.2.1", { url = "http://198.51.100.7/up" }]`
	s.snapshot.Status.VRRP[0].Track = []control.Track{
		{Name: "interface eth1", OK: false}, {Name: "witness 192.0.2.1", OK: first, Reason: "timeout"},
		{Name: "witness http://198.51.100.7/up", OK: second, Reason: "HTTP status 503"},
	}
	s.guardWarning("web: something about a witness")
}

// groupWitness gives a backup a sync group of two routers, whose one witness does not answer.
func (s *scene) groupWitness() {
	s.backup()
	s.extra = `sync_group = "pair"
[[vrrp]]
name = "in"
interface = "eth1"
vrid = 52
sync_group = "pair"
vips = ["198.51.100.1/24"]
[[group]]
name = "pair"
witness = ["192.0.2.1"]`
	s.address("eth1", "198.51.100.2/24")
	l := s.snapshot.Links["eth1"]
	l.Index, l.Up, l.Carrier, l.MTU = 3, true, true, 1500
	s.snapshot.Links["eth1"] = l
	s.snapshot.Listened["eth1"] = 3 * time.Second
	s.snapshot.Sysctls["net/ipv4/conf/eth1/send_redirects"] = "1"
	s.snapshot.Owners["eth1"] = []garp.Owner{{Address: netip.MustParseAddr("198.51.100.1"), Hardware: "02:00:00:00:00:02",
		Neighbours: []netip.Addr{netip.MustParseAddr("198.51.100.3")}}}
	s.advert("eth1", "198.51.100.3", 52, func(p *vrrp.Packet) { p.VIPs = []netip.Addr{netip.MustParseAddr("198.51.100.1")} })
	first := &s.snapshot.Status.VRRP[0]
	first.Track = []control.Track{{Name: "witness 192.0.2.1", Reason: "timeout"}}
	second := *first
	second.Name = "in"
	s.snapshot.Status.VRRP = append(s.snapshot.Status.VRRP, second)
	s.guardWarning("sync group pair: something about a witness")
}

func TestPathsAndWitnesses(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*scene)
		want   []string
		worst  diagnosis.Severity
		says   string // in the first finding
	}{
		{"both paths are heard", func(s *scene) { s.heartbeat("heard", "heard") }, nil, 0, ""},
		{"nobody has to be heard", func(s *scene) { s.heartbeat("unknown", "unknown") }, nil, 0, ""},
		{"the second path is silent", func(s *scene) { s.heartbeat("heard", "silent") }, []string{"path-silent"}, diagnosis.Warning,
			"the master is heard over eth0, and not over eth1"},
		{"the first path is silent", func(s *scene) { s.heartbeat("silent", "heard"); s.snapshot.Adverts = nil }, []string{"path-silent"},
			diagnosis.Warning, "the master is heard over eth1, and not over eth0"},
		{"a path that the firewall drops", func(s *scene) {
			s.heartbeat("heard", "silent")
			s.filter(Flow{"eth1", vrrp.Group4, 0}, false)
		}, []string{"vrrp-filtered"}, diagnosis.Warning, "eth1"},
		{"a unicast path is silent", func(s *scene) {
			s.heartbeat("heard", "heard")
			s.extra = `heartbeat = [{ peer = "10.0.0.3" }]`
			s.snapshot.Status.VRRP[0].Paths[1] = control.Path{Name: "10.0.0.3", Unicast: true, State: "silent"}
		}, []string{"path-silent"}, diagnosis.Warning, "that 10.0.0.3 is an address of the other director"},
		{"a path does not work", func(s *scene) { s.heartbeat("heard", "down") }, []string{"path-down"}, diagnosis.Warning, "eth1 has no address"},
		{"the interface has no carrier", func(s *scene) {
			s.heartbeat("down", "heard")
			s.unplug("eth0")
		}, []string{"no-carrier"}, diagnosis.Error, "eth0"},
		{"another warning of the director", func(s *scene) {
			s.heartbeat("heard", "heard")
			s.snapshot.Status.Warnings = append(s.snapshot.Status.Warnings, "else")
		}, []string{"director-warns"}, diagnosis.Warning, "else"},

		{"both witnesses answer", func(s *scene) { s.witnesses(true, true) }, nil, 0, ""},
		{"one witness answers", func(s *scene) { s.witnesses(true, false) }, []string{"witness-silent"}, diagnosis.Note,
			"web: witness http://198.51.100.7/up (HTTP status 503): no answer, and others answer"},
		{"no witness answers", func(s *scene) { s.witnesses(false, false) }, []string{"witness-silent"}, diagnosis.Warning,
			"web: witness 192.0.2.1 (timeout), witness http://198.51.100.7/up (HTTP status 503): no witness answers"},
		{"and the interface is at fault", func(s *scene) { s.witnesses(false, false); s.unplug("eth0") }, []string{"no-carrier"}, diagnosis.Error, ""},
		{"the witness of a sync group does not answer", (*scene).groupWitness, []string{"witness-silent"}, diagnosis.Warning,
			"sync group pair: witness 192.0.2.1 (timeout): no witness answers"},
		{"and the interface of one member is at fault", func(s *scene) { s.groupWitness(); s.unplug("eth0") }, []string{"no-carrier"}, diagnosis.Error, ""},
		{"or that of the other", func(s *scene) { s.groupWitness(); s.unplug("eth1") }, []string{"no-carrier"}, diagnosis.Error, ""},
		{"the director has another file", func(s *scene) {
			s.witnesses(false, false)
			s.snapshot.Status.VRRP[0].Track = nil
		}, nil, 0, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := master()
			tt.change(s)
			c := parsed(t, pairText(s.method, s.extra))
			got := Director(c, s.snapshot)
			if !slices.Equal(ids(got), tt.want) || Worst(got) != tt.worst || len(got) > 0 && !strings.Contains(got[0].What+got[0].Mend, tt.says) {
				t.Errorf("found %v, want %v, with %q\n%+v", ids(got), tt.want, tt.says, got)
			}
		})
	}
}

// TestFlowsOfTheHeartbeat: the firewall is tried on each interface of the heartbeat.
func TestFlowsOfTheHeartbeat(t *testing.T) {
	c := parsed(t, pairText("dr", `heartbeat = ["eth1", { peer = "10.0.0.3" }]`))
	if got, want := flows(c), []Flow{{"eth0", vrrp.Group4, 0}, {"eth1", vrrp.Group4, 0}}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
