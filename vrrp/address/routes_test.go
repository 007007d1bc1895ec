// SPDX-License-Identifier: Apache-2.0

package address

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/vishvananda/netlink"

	"github.com/tandem-lvs/tandem/vrrp"
	"github.com/tandem-lvs/tandem/vrrp/internal/nstest"
	"github.com/tandem-lvs/tandem/vrrp/link"
)

// routesIn returns the routes and rules of others than the kernel itself, as "who what", sorted.
func routesIn(t *testing.T, ns *nstest.NS) []string {
	t.Helper()
	who := map[int]string{routeProtocol: "ours", 4: "static"}
	list := []string{}
	nstest.Command(t, ns, func() error {
		routes, err := netlink.RouteListFiltered(netlink.FAMILY_ALL, &netlink.Route{}, netlink.RT_FILTER_TABLE)
		if err != nil {
			return err
		}
		for _, r := range routes {
			if name, ok := who[int(r.Protocol)]; ok {
				to, _ := fromIPNet(r.Dst)
				s := name + " " + routeKey{to, uint32(r.Table), uint32(r.Priority)}.String()
				if r.Gw != nil {
					s += " via " + r.Gw.String()
				}
				if r.Src != nil {
					s += " src " + r.Src.String()
				}
				list = append(list, s)
			}
		}
		rules, err := netlink.RuleList(netlink.FAMILY_ALL)
		for _, r := range rules {
			if name, ok := who[int(r.Protocol)]; ok {
				rule := vrrp.Rule{FWMark: r.Mark, Table: uint32(r.Table), Priority: uint32(r.Priority)}
				rule.From, _ = fromIPNet(r.Src)
				rule.To, _ = fromIPNet(r.Dst)
				list = append(list, name+" rule "+rule.String())
			}
		}
		return err
	})
	slices.Sort(list)
	return list
}

func awaitRoutes(t *testing.T, ns *nstest.NS, want ...string) {
	t.Helper()
	nstest.Eventually(t, fmt.Sprintf("routes and rules are %q", want), func() bool {
		return slices.Equal(routesIn(t, ns), want)
	})
}

func route(to string, change func(*vrrp.Route)) vrrp.Route {
	r := vrrp.Route{To: netip.MustParsePrefix(to)}
	if change != nil {
		change(&r)
	}
	return r
}

func via(addr string) func(*vrrp.Route) {
	return func(r *vrrp.Route) { r.Via = netip.MustParseAddr(addr) }
}

func TestReconcilerRoutesFollowTheMaster(t *testing.T) {
	from := func(p string) netip.Prefix { return netip.MustParsePrefix(p) }
	tests := []struct {
		name   string
		want   Resources
		kernel []string
	}{
		{"IPv4 by a gateway", Resources{Routes: []vrrp.Route{route("198.51.100.0/24", via("192.0.2.2"))}},
			[]string{"ours 198.51.100.0/24 via 192.0.2.2"}},
		{"host bits do not matter", Resources{Routes: []vrrp.Route{route("198.51.100.9/24", via("192.0.2.2"))}},
			[]string{"ours 198.51.100.0/24 via 192.0.2.2"}},
		{"IPv4 on the link", Resources{Routes: []vrrp.Route{route("198.51.100.0/24", nil)}}, []string{"ours 198.51.100.0/24"}},
		{"default routes", Resources{Routes: []vrrp.Route{route("0.0.0.0/0", via("192.0.2.2")), route("::/0", via("2001:db8::2"))}},
			[]string{"ours 0.0.0.0/0 via 192.0.2.2", "ours ::/0 via 2001:db8::2"}},
		{"a table, a metric and a source", Resources{Routes: []vrrp.Route{
			route("198.51.100.0/24", func(r *vrrp.Route) {
				r.Table, r.Metric, r.Source = 700, 5, netip.MustParseAddr("192.0.2.100")
			}),
			route("2001:db8:5::/48", func(r *vrrp.Route) {
				r.Table, r.Metric, r.Source = 700, 5, netip.MustParseAddr("2001:db8::100")
			})}},
			[]string{"ours 198.51.100.0/24 table 700 metric 5 src 192.0.2.100",
				"ours 2001:db8:5::/48 table 700 metric 5 src 2001:db8::100"}},
		{"a gateway that is on the link by decree", Resources{Routes: []vrrp.Route{
			route("198.51.100.0/24", func(r *vrrp.Route) { r.Via, r.OnLink = netip.MustParseAddr("203.0.113.1"), true }),
			route("2001:db8:5::/48", func(r *vrrp.Route) { r.Via, r.OnLink = netip.MustParseAddr("2001:db8:6::1"), true })}},
			[]string{"ours 198.51.100.0/24 via 203.0.113.1", "ours 2001:db8:5::/48 via 2001:db8:6::1"}},
		{"another device", Resources{Routes: []vrrp.Route{route("198.51.100.0/24", func(r *vrrp.Route) { r.Device = "eth1" })}},
			[]string{"ours 198.51.100.0/24"}},
		{"the same route twice", Resources{Routes: []vrrp.Route{route("198.51.100.0/24", nil),
			route("198.51.100.0/24", func(r *vrrp.Route) { r.Table = 254 })}}, []string{"ours 198.51.100.0/24"}},
		{"rules", Resources{Rules: []vrrp.Rule{
			{Family: 4, From: from("192.0.2.100/32"), Table: 700, Priority: 100},
			{Family: 4, From: from("0.0.0.0/0"), FWMark: 7, Table: 70, Priority: 100},
			{Family: 6, To: from("2001:db8:5::/48"), Table: 700, Priority: 101}}},
			[]string{"ours rule 100: from 192.0.2.100/32 lookup 700", "ours rule 100: from all fwmark 0x7 lookup 70",
				"ours rule 101: from all to 2001:db8:5::/48 lookup 700"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ns := newSegment(t, "192.0.2.1/24")
			nstest.Veth(t, ns, "eth1", ns, "far1")
			tt.want = vips("192.0.2.100/24", "2001:db8::100/64").Append(tt.want)
			k := New("eth0", Options{Log: hclog.NewNullLogger()})
			check := func(what string, kernel ...string) {
				t.Helper()
				if err := checkOnce(ns, k); err != nil {
					t.Fatalf("%s: %v", what, err)
				}
				if got := routesIn(t, ns); !slices.Equal(got, kernel) {
					t.Errorf("%s: the kernel has %q, want %q", what, got, kernel)
				}
			}
			k.Set(tt.want, tt.want)
			check("take-over", tt.kernel...)
			writes := k.Writes()
			check("again", tt.kernel...)
			if got := k.Writes(); got != writes {
				t.Errorf("%d writes where nothing had changed", got-writes)
			}

			// A second instance finds what the first has left: it keeps that, or removes it.
			k = New("eth0", Options{Log: hclog.NewNullLogger()})
			k.Set(tt.want, tt.want)
			check("left over, master", tt.kernel...)
			if got := k.Writes(); got != 0 {
				t.Errorf("%d writes to take over what was there", got)
			}
			k = New("eth0", Options{Log: hclog.NewNullLogger()})
			k.Set(tt.want, Resources{})
			check("left over, backup")
			if got := onDevice(t, ns, "eth0"); !slices.Equal(got, []string{"192.0.2.1/24"}) {
				t.Errorf("addresses left: %v", got)
			}
			writes = k.Writes()
			check("backup again")
			if got := k.Writes(); got != writes {
				t.Errorf("%d writes where nothing was to be done", got-writes)
			}
		})
	}
}

func TestReconcilerPutsRoutesBack(t *testing.T) {
	ns := newSegment(t, "192.0.2.1/24")
	var log strings.Builder
	k := New("eth0", Options{Log: hclog.New(&hclog.LoggerOptions{Output: &log})})
	want := vips("192.0.2.100/24", "198.51.100.1/24")
	want.Routes = []vrrp.Route{
		route("203.0.113.0/24", via("198.51.100.2")),
		route("203.0.113.0/25", func(r *vrrp.Route) { r.Source = netip.MustParseAddr("192.0.2.100") }),
	}
	want.Rules = []vrrp.Rule{{Family: 4, Table: 70, Priority: 100}}
	whole := []string{"ours 203.0.113.0/24 via 198.51.100.2", "ours 203.0.113.0/25 src 192.0.2.100",
		"ours rule 100: from all lookup 70"}
	w := link.NewWatcher(hclog.NewNullLogger(), k.Link)
	w.Watch([]string{"eth0"})
	nstest.RunIn(t, ns, w.Run)
	k.Set(want, want)
	stop := nstest.RunIn(t, ns, k.Run)
	awaitRoutes(t, ns, whole...)
	steps := []struct {
		what string
		do   func() error
	}{
		{"a route deleted", func() error { return netlink.RouteDel(&netlink.Route{Dst: ipNet(want.Routes[0].To)}) }},
		{"a rule deleted", func() error { return netlink.RuleDel(ruleRequest(want.Rules[0])) }},
		{"gone with the address that led to the gateway", nstest.DeleteFrom("eth0", "198.51.100.1/24")},
		{"gone with the address that was its source", nstest.DeleteFrom("eth0", "192.0.2.100/24")},
		{"gone with the link", func() error {
			if err := nstest.Device("eth0", netlink.LinkSetDown)(); err != nil {
				return err
			}
			return nstest.Device("eth0", netlink.LinkSetUp)()
		}},
		{"led elsewhere", func() error {
			return netlink.RouteReplace(&netlink.Route{Dst: ipNet(want.Routes[0].To), Gw: net.IPv4(192, 0, 2, 9),
				Protocol: routeProtocol})
		}},
	}
	for _, step := range steps {
		nstest.Command(t, ns, step.do)
		awaitRoutes(t, ns, whole...)
		awaitAddrs(t, ns, "eth0", "192.0.2.1/24", "192.0.2.100/24", "198.51.100.1/24")
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if got := routesIn(t, ns); len(got) != 0 {
		t.Errorf("left %q behind when it ended", got)
	}
	if !strings.Contains(log.String(), "route was gone or changed and is put back: interface=eth0 route=203.0.113.0/24") {
		t.Errorf("the log does not tell of a route put back:\n%s", log.String())
	}
}

func TestReconcilerChangesARouteInPlace(t *testing.T) {
	ns := newSegment(t, "192.0.2.1/24")
	k := New("eth0", Options{Log: hclog.NewNullLogger()})
	for i, gateway := range []string{"192.0.2.2", "192.0.2.3"} {
		want := Resources{Routes: []vrrp.Route{route("198.51.100.0/24", via(gateway))}}
		k.Set(want, want)
		if err := checkOnce(ns, k); err != nil {
			t.Fatal(err)
		}
		if got := routesIn(t, ns); !slices.Equal(got, []string{"ours 198.51.100.0/24 via " + gateway}) {
			t.Errorf("the kernel has %q", got)
		}
		if got := k.Writes(); got != uint64(i+1) {
			t.Errorf("%d writes after change %d", got, i+1)
		}
	}
}

func TestReconcilerLeavesOthersRoutesAlone(t *testing.T) {
	ns := newSegment(t, "192.0.2.1/24")
	to := netip.MustParsePrefix("198.51.100.0/24")
	rule := vrrp.Rule{Family: 4, Table: 70, Priority: 100}
	nstest.Command(t, ns, func() error {
		theirs := ruleRequest(rule)
		theirs.Protocol = 4
		if err := netlink.RuleAdd(theirs); err != nil {
			return err
		}
		return netlink.RouteAdd(&netlink.Route{Dst: ipNet(to), Gw: net.IPv4(192, 0, 2, 9), Protocol: 4})
	})
	var log strings.Builder
	k := New("eth0", Options{Log: hclog.New(&hclog.LoggerOptions{Output: &log})})
	resources := Resources{Routes: []vrrp.Route{{To: to, Via: netip.MustParseAddr("192.0.2.2")}}, Rules: []vrrp.Rule{rule}}
	theirs := []string{"static 198.51.100.0/24 via 192.0.2.9", "static rule 100: from all lookup 70"}
	both := append([]string{"ours rule 100: from all lookup 70"}, theirs...) // the kernel tells rules apart by their owner
	for _, tt := range []struct {
		want   Resources
		kernel []string
	}{{resources, both}, {resources, both}, {Resources{}, theirs}} {
		k.Set(resources, tt.want)
		if err := checkOnce(ns, k); err != nil {
			t.Fatal(err)
		}
		if got := routesIn(t, ns); !slices.Equal(got, tt.kernel) {
			t.Errorf("the kernel has %q, want %q", got, tt.kernel)
		}
	}
	if n := strings.Count(log.String(), "route exists already and is not ours"); n != 1 {
		t.Errorf("warned %d times, want once:\n%s", n, log.String())
	}
}

func TestReconcilerSaysWhichRouteFails(t *testing.T) {
	ns := newSegment(t, "192.0.2.1/24")
	k := New("eth0", Options{Log: hclog.NewNullLogger()})
	want := vips("192.0.2.100/24")
	want.Routes = []vrrp.Route{
		route("198.51.100.0/24", via("203.0.113.1")),
		route("203.0.113.0/24", func(r *vrrp.Route) { r.Device = "eth7" }),
		route("198.18.0.0/15", via("192.0.2.2")),
	}
	k.Set(want, want)
	err := checkOnce(ns, k)
	if want := "failed to add route 198.51.100.0/24: network is unreachable (and 1 more)"; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
	if got := routesIn(t, ns); !slices.Equal(got, []string{"ours 198.18.0.0/15 via 192.0.2.2"}) {
		t.Errorf("the others: %q", got)
	}
	if got := onDevice(t, ns, "eth0"); !slices.Equal(got, []string{"192.0.2.1/24", "192.0.2.100/24"}) {
		t.Errorf("the addresses: %v", got)
	}
}
