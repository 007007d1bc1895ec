// SPDX-License-Identifier: Apache-2.0

package core

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/lvs"
)

func route(last byte) probeRoute {
	return probeRoute{Family: lvs.IPv4, Addr: netip.AddrFrom4([4]byte{192, 0, 2, last}), Method: lvs.DR}
}

// show writes marks as "11=100 12=101".
func (marks probeMarks) show() string {
	var all []string
	for r, is := range marks {
		all = append(all, fmt.Sprintf("%d=%d", r.Addr.As4()[3], is))
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

// The mark of a real server stays the same over a reload, so that no probe reaches another server.
func TestMarksStay(t *testing.T) {
	var before probeMarks
	for _, c := range []struct {
		why     string
		servers []byte
		first   uint32
		want    string
	}{
		{"at the start", []byte{11, 12, 13}, 100, "11=100 12=101 13=102"},
		{"again", []byte{11, 12, 13}, 100, "11=100 12=101 13=102"},
		{"one has gone", []byte{11, 13}, 100, "11=100 13=102"},
		{"two have come, one of them before the others", []byte{10, 11, 13, 14}, 100, "10=101 11=100 13=102 14=103"},
		{"the range has moved", []byte{10, 11}, 500, "10=500 11=501"},
		{"by less than its length", []byte{10, 11, 12}, 501, "10=502 11=501 12=503"},
		{"all have gone", nil, 501, ""},
	} {
		var wanted []probeRoute
		for _, last := range c.servers {
			wanted = append(wanted, route(last))
		}
		before = before.follow(wanted, c.first)
		if got := before.show(); got != c.want {
			t.Errorf("%s: got %s, want %s", c.why, got, c.want)
		}
	}
}

// Each service of a mark has one server. Its weight is always 1. The kernel's table accepts the service.
func TestProbeServices(t *testing.T) {
	far := probeRoute{
		Family: lvs.IPv4, Addr: netip.MustParseAddr("198.51.100.11"), Method: lvs.Tunnel, Tunnel: lvs.Encapsulation{Type: lvs.GUE, Port: 6080},
	}
	six := probeRoute{Family: lvs.IPv6, Addr: netip.MustParseAddr("2001:db8::11"), Method: lvs.DR}
	var got []string
	for _, e := range (probeMarks{route(11): 102, far: 100, six: 101}).entries() {
		if err := e.Validate(); err != nil {
			t.Error(err)
		}
		got = append(got, e.String())
	}
	want := []string{
		"fwmark 100 (ipv4) (rr) [198.51.100.11:0 (tunnel gue port 6080, weight 1)]",
		"fwmark 101 (ipv6) (rr) [[2001:db8::11]:0 (dr, weight 1)]",
		"fwmark 102 (ipv4) (rr) [192.0.2.11:0 (dr, weight 1)]",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestMarksFollowTheConfiguration(t *testing.T) {
	svc := www(true, lvs.WeightZero)
	check := healthcheck.DefaultConfig(healthcheck.HTTP)
	check.Via = svc.Virtuals[0].Addr
	for i := range svc.Servers {
		svc.Servers[i].Checks = []healthcheck.Config{check}
	}
	s := started(with(svc))
	if got := s.marks.show(); got != "11=100 12=101" || len(s.ProbeServices()) != 2 {
		t.Errorf("%s, %v", got, s.ProbeServices())
	}
	fewer := svc
	fewer.Servers = svc.Servers[1:]
	out := s.Step(noon, Reload{Config: with(fewer)})
	if got := s.marks.show(); got != "12=101" || len(s.ProbeServices()) != 1 {
		t.Errorf("after a reload: %s, %v", got, s.ProbeServices())
	}
	// A probe with a new mark waits until the kernel has the service of the mark. Another server's mark does not change.
	out = s.Step(noon, Reload{Config: with(svc)})
	if got := len(out.Checks.Targets); got != 1 {
		t.Errorf("%d targets before the table is written", got)
	}
	out = s.Step(noon, TableDone{Generation: out.Table.Generation})
	if out.Checks == nil || len(out.Checks.Targets) != 2 {
		t.Errorf("checks after it: %v", out.Checks)
	}
}
