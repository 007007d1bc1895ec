// SPDX-License-Identifier: Apache-2.0

package director

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/lvs"
)

func detour(last byte) configs.ProbeRoute {
	return configs.ProbeRoute{Family: lvs.IPv4, Addr: netip.AddrFrom4([4]byte{192, 0, 2, last}), Method: lvs.DR}
}

// show writes a marking as "11=100 12=101".
func (m marking) show() string {
	var all []string
	for d, is := range m {
		all = append(all, fmt.Sprintf("%d=%d", d.Addr.As4()[3], is))
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

// A reload must not send the probes of a server to another one.
func TestMarksStay(t *testing.T) {
	var before marking
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
		var wanted []configs.ProbeRoute
		for _, last := range c.servers {
			wanted = append(wanted, detour(last))
		}
		before = mark(wanted, c.first, before)
		if got := before.show(); got != c.want {
			t.Errorf("%s: got %s, want %s", c.why, got, c.want)
		}
	}
}

// Each service has one server, of weight 1 whatever becomes of it elsewhere, and the kernel's table would take it.
func TestProbeServices(t *testing.T) {
	far := configs.ProbeRoute{
		Family: lvs.IPv4, Addr: netip.MustParseAddr("198.51.100.11"), Method: lvs.Tunnel, Tunnel: lvs.Encapsulation{Type: lvs.GUE, Port: 6080},
	}
	six := configs.ProbeRoute{Family: lvs.IPv6, Addr: netip.MustParseAddr("2001:db8::11"), Method: lvs.DR}
	var got []string
	for _, e := range probeServices(marking{detour(11): 102, far: 100, six: 101}) {
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

// A check that needs a mark has to wait for the service behind it, and no other check has.
func TestTargetsWaitForTheirMarks(t *testing.T) {
	svc := www(false, lvs.WeightZero)
	vip := svc.Virtuals[0].Addr
	knock, words, plain := healthcheck.DefaultConfig(healthcheck.TCP), healthcheck.DefaultConfig(healthcheck.HTTP), healthcheck.DefaultConfig(healthcheck.HTTP)
	knock.Via, words.Via = vip, vip
	for i := range svc.Servers {
		svc.Servers[i].Checks = []healthcheck.Config{plain, knock, words}
	}
	marks := func(led marking) map[string]uint32 {
		all := make(map[string]uint32)
		for _, target := range targets([]configs.Service{svc}, nil, led) {
			all[target.ID] = target.Config.Mark
		}
		return all
	}
	want := map[string]uint32{"www/192.0.2.11:80": 0, "www/192.0.2.11:80 #2": 0, "www/192.0.2.12:80": 0, "www/192.0.2.12:80 #2": 0}
	if got := marks(nil); !maps.Equal(got, want) {
		t.Errorf("without services: %v", got)
	}
	want["www/192.0.2.12:80 #3"] = 7
	if got := marks(marking{detour(12): 7}); !maps.Equal(got, want) {
		t.Errorf("with one: %v", got)
	}
	if svc.Servers[1].Checks[2].Mark != 0 {
		t.Error("the configuration was written to")
	}
}

// The plan is worked out for a configuration once.
func TestDetoursFollowTheConfiguration(t *testing.T) {
	svc := www(true, lvs.WeightZero)
	check := healthcheck.DefaultConfig(healthcheck.HTTP)
	check.Via = svc.Virtuals[0].Addr
	for i := range svc.Servers {
		svc.Servers[i].Checks = []healthcheck.Config{check}
	}
	first := &configs.Config{LVS: configs.LVS{ProbeMark: 100}, Services: []configs.Service{svc}}
	var d detouring
	d.follow(first)
	if got := d.marks.show(); got != "11=100 12=101" || len(d.services) != 2 {
		t.Errorf("%s, %v", got, d.services)
	}
	second := *first
	second.Services = []configs.Service{svc}
	second.Services[0].Servers = svc.Servers[1:]
	d.follow(&second)
	if got := d.marks.show(); got != "12=101" || len(d.services) != 1 {
		t.Errorf("after a reload: %s, %v", got, d.services)
	}
}
