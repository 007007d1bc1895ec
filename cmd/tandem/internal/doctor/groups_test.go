// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/diagnosis"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/garp"
	"github.com/tandem-lvs/tandem/vrrp"
)

// natTables are a second virtual router, and a service whose real servers have its VIP as gateway.
const natTables = `
[[vrrp]]
name = "inside"
interface = "eth1"
vrid = 52
vips = ["10.0.0.1/24"]
GROUP
[[service]]
name = "far"
virtual = "192.0.2.100:81"
method = "nat"
[[service.server]]
address = "10.0.0.11"
`

// natPair is a master for NAT with two interfaces, and its file. Group is the sync_group of the second virtual router; that of the
// first one is "nat".
func natPair(t *testing.T, group string) (*configs.Config, *scene) {
	t.Helper()
	s := master()
	s.nat()
	s.snapshot.Sysctls["net/ipv4/conf/eth1/send_redirects"] = "0"
	eth1 := s.snapshot.Links["eth0"]
	eth1.Name, eth1.Index, eth1.Addrs = "eth1", 3, nil
	s.snapshot.Links["eth1"] = eth1
	s.address("eth1", "10.0.0.2/24")
	s.address("eth1", "10.0.0.1/24")
	s.snapshot.Schedulers = append(s.snapshot.Schedulers, "wlc")
	s.snapshot.Status.VRRP = append(s.snapshot.Status.VRRP, control.Router{Name: "inside", State: "master", Since: s.snapshot.Status.VRRP[0].Since})
	return parsed(t, pairText("nat", `sync_group = "nat"`)+strings.Replace(natTables, "GROUP", group, 1)), s
}

// TestSplitNAT: virtual routers that NAT needs on the same director, and that have no group in common, are a finding, whether the
// director warns of them or not.
func TestSplitNAT(t *testing.T) {
	const finding = "warning nat-split: service far: the virtual routers web and inside are not in one sync_group: "
	c, s := natPair(t, `sync_group = "nat"`)
	if got := Director(c, s.snapshot); len(got) != 0 {
		t.Errorf("with one group: %v", got)
	}
	// Each group has one member now, of which the file warns; a running director would say so.
	for _, group := range []string{"", `sync_group = "other"`} {
		c, s = natPair(t, group)
		for range 2 {
			if got := Director(c, s.snapshot); !slices.Equal(ids(got), []string{"nat-split"}) || !strings.HasPrefix(got[0].String(), finding) {
				t.Errorf("%q: %v", group, got)
			}
			s.snapshot.Status.Warnings = []string{diagnosis.SplitNAT(c.NATSplits[0]).Advice()}
		}
	}
}

// TestSilentSegment: an interface on which nobody answers is one finding, and explains what is not heard there.
func TestSilentSegment(t *testing.T) {
	c, s := natPair(t, `sync_group = "nat"`)
	for i := range s.snapshot.Status.VRRP {
		s.snapshot.Status.VRRP[i].State = "backup"
	}
	s.link(func(l *vrrp.Link) { l.Addrs = l.Addrs[:1] })
	eth1 := s.snapshot.Links["eth1"]
	eth1.Addrs = eth1.Addrs[:1]
	s.snapshot.Links["eth1"] = eth1
	s.snapshot.Owners["eth1"] = []garp.Owner{{Address: netip.MustParseAddr("10.0.0.1"), Hardware: "02:00:00:00:00:02"}}
	s.snapshot.Status.Isolated = []string{"eth0"}
	s.snapshot.Status.Warnings = []string{diagnosis.SilentSegment("eth0").Advice()}
	got := Director(c, s.snapshot)
	if !slices.Equal(ids(got), []string{"segment-silent"}) || !strings.HasPrefix(got[0].String(), "error segment-silent: eth0: no other machine answers there") {
		t.Errorf("%v", got)
	}
	s.snapshot.Status.Isolated, s.snapshot.Status.Warnings = nil, nil
	if got := Director(c, s.snapshot); !slices.Equal(ids(got), []string{"nobody-owns"}) {
		t.Errorf("without it: %v", got)
	}
}

// TestServersBehindSilence: real servers that are reached by a silent interface are no findings of their own.
func TestServersBehindSilence(t *testing.T) {
	c, s := natPair(t, `sync_group = "nat"`)
	s.answers(Unreachable, NotAsked, NotAsked)
	s.snapshot.Routes[s.snapshot.Servers[0].Server.Addr()] = Route{Interface: "eth1"}
	if got := Director(c, s.snapshot); !slices.Equal(ids(got), []string{"server-unreachable"}) {
		t.Errorf("%v", got)
	}
	s.snapshot.Status.Isolated = []string{"eth1"}
	if got := Director(c, s.snapshot); !slices.Equal(ids(got), []string{"segment-silent"}) {
		t.Errorf("behind a silent interface: %v", got)
	}
}
