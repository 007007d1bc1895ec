// SPDX-License-Identifier: Apache-2.0

package diagnosis

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/lvs"
	"github.com/tandem-lvs/tandem/vrrp"
)

func TestClaimed(t *testing.T) {
	server := configs.Server{Server: lvs.Server{ServerID: lvs.ServerID{Addr: netip.MustParseAddr("192.0.2.11"), Port: 80}}}
	far := configs.Server{Server: lvs.Server{ServerID: lvs.ServerID{Addr: netip.MustParseAddr("192.0.2.12"), Port: 80}, Method: lvs.Tunnel}}
	services := []configs.Service{{Name: "www", Servers: []configs.Server{server}}, {Name: "mail"}, {Name: "api", Servers: []configs.Server{server}},
		{Name: "far", Servers: []configs.Server{far}}}
	for _, c := range []struct {
		neighbours []string
		how        string
		id, want   string
	}{
		{nil, "ARP reply", "two-owners",
			"eth0: another machine claims 192.0.2.100: 02:00:00:00:00:11, by ARP reply; check that VRRP passes"},
		{[]string{"192.0.2.3", "fe80::3"}, "", "two-owners",
			"eth0: another machine claims 192.0.2.100: 02:00:00:00:00:11 (192.0.2.3; fe80::3); check that VRRP passes"},
		{[]string{"192.0.2.11"}, "ARP request", "server-answers",
			"eth0: another machine claims 192.0.2.100: 02:00:00:00:00:11 (192.0.2.11, real server of www, api), by ARP request; " +
				"run `tandem realserver apply --vip 192.0.2.100` on it"},
		{[]string{"192.0.2.12"}, "ARP request", "server-answers",
			"eth0: another machine claims 192.0.2.100: 02:00:00:00:00:11 (192.0.2.12, real server of far), by ARP request; " +
				"run `tandem realserver apply --vip 192.0.2.100 --mode tunnel` on it"},
	} {
		claim := Claim{Interface: "eth0", Address: netip.MustParseAddr("192.0.2.100"), Hardware: "02:00:00:00:00:11", How: c.how}
		for _, n := range c.neighbours {
			claim.Neighbours = append(claim.Neighbours, netip.MustParseAddr(n))
		}
		if f := Claimed(claim, services); f.ID != c.id || f.Severity != Error || f.Why == "" || !strings.HasPrefix(f.Advice(), c.want) {
			t.Errorf("%v: got %s, %q, want %s, %q", c.neighbours, f.ID, f.Advice(), c.id, c.want)
		}
	}
}

func TestSplitNAT(t *testing.T) {
	const rest = ": the virtual routers outside and inside are not in one sync_group: with method nat, the answers of the real servers " +
		"are lost while different directors are their masters; give the virtual routers the same sync_group on both directors, and run `tandem reload`"
	for _, c := range []struct {
		services []string
		want     string
	}{
		{[]string{"www"}, "service www"},
		{[]string{"a", "b", "c"}, "services a, b, c"},
		{[]string{"a", "b", "c", "d", "e"}, "services a, b, c and 2 more"},
	} {
		f := SplitNAT(configs.NATSplit{Services: c.services, Outside: "outside", Inside: "inside"})
		if f.Advice() != c.want+rest || f.ID != "nat-split" || f.Severity != Warning || f.Why == "" {
			t.Errorf("%v: %+v", c.services, f)
		}
	}
}

func TestFaultyLink(t *testing.T) {
	for _, c := range []struct {
		link           vrrp.Link
		id, what, mend string
	}{
		{vrrp.Link{Name: "eth0", Index: 2, Up: true, Carrier: true}, "", "", ""},
		{vrrp.Link{Name: "eth0"}, "link-missing", "interface eth0 is missing", "create it"},
		{vrrp.Link{Name: "eth0", Index: 2, Carrier: true}, "link-down", "interface eth0 is down", "ip link set eth0 up"},
		{vrrp.Link{Name: "eth0", Index: 2, Up: true}, "no-carrier", "interface eth0 has no carrier", "check the cable"},
	} {
		if f, faulty := FaultyLink(c.link); faulty != (c.id != "") || f.ID != c.id || f.What != c.what || !strings.Contains(f.Mend, c.mend) {
			t.Errorf("%+v: got %+v, %t", c.link, f, faulty)
		}
	}
}

func TestMissingSchedulers(t *testing.T) {
	services := []configs.Service{
		{Name: "a", Virtuals: []lvs.Service{{Scheduler: "rr"}}},
		{Name: "b", Virtuals: []lvs.Service{{Scheduler: "twos"}}},
	}
	const want = "service b: this kernel has no scheduler twos; install the module ip_vs_twos, or choose one of rr, wrr"
	if got := MissingSchedulers(services, []string{"rr", "wrr"}); len(got) != 1 || got[0].Advice() != want {
		t.Errorf("got %+v, want %s", got, want)
	}
	if got := MissingSchedulers(services, nil); got != nil {
		t.Errorf("without knowledge of the kernel: %+v", got)
	}
}
