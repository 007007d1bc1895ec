// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/integration/nstest"
	"github.com/vishvananda/netlink"
)

func TestConfigureKeepsRoles(t *testing.T) {
	_, a, b := pair(t, 51, 52)
	kept, changed := fastConfig(51, 150), fastConfig(52, 160)
	changed.AdvertInterval = 50 * time.Millisecond
	changed.VIPs = append(changed.VIPs, netip.MustParsePrefix("192.0.2.201/24"))
	a.loop.Configure([]Config{changed, kept})
	got := a.await(52, "changed", func(s Status) bool { return s.Priority == 160 })
	if got.State != Master || got.EffectivePriority != 160 || got.AdvertInterval != 50*time.Millisecond || len(got.VIPs) != 2 {
		t.Errorf("%+v", got.Status)
	}
	received := b.counters(52).AdvertsReceived
	eventually(t, "b hears the changed router", func() bool { return b.counters(52).AdvertsReceived > received+5 })
	for _, vrid := range []uint8{51, 52} {
		if all := b.notified(vrid); all[len(all)-1].State != Backup || b.counters(vrid).BecameMaster != 0 {
			t.Errorf("b was disturbed: %+v", all[len(all)-1].Status)
		}
	}
	if all := a.notified(51); all[len(all)-1].State != Master || slices.ContainsFunc(all, func(s sighting) bool { return s.at.After(got.at) }) {
		t.Errorf("the unchanged router was disturbed: %+v", all[len(all)-1].Status)
	}
}

func TestConfigureRemovesAndAdds(t *testing.T) {
	_, a, b := pair(t, 51, 52)
	a.loop.Configure([]Config{fastConfig(52, 150), fastConfig(53, 150)})
	gone := a.await(51, "gone", func(s Status) bool { return s.Reason == "192.0.2.2 took over" })
	if gone.State != Initialize {
		t.Errorf("%+v", gone.Status)
	}
	a.await(51, "let go", func(s Status) bool { return !s.Holding })
	b.awaitState(51, Master)
	a.awaitState(53, Master)
	eventually(t, "two routers", func() bool { return len(a.loop.Status()) == 2 })
}

func TestAnotherVRIDIsAnotherRouter(t *testing.T) {
	_, a, b := pair(t, 51)
	moved := fastConfig(61, 150)
	moved.Name = "router 51"
	a.loop.Configure([]Config{moved})
	b.awaitState(51, Master)
	first := a.await(61, "started", func(s Status) bool { return s.State == Backup })
	all := a.notified(51)
	if last := all[len(all)-1]; last.Holding || last.State != Initialize || last.at.After(first.at) {
		t.Errorf("the router before it had not gone: %+v", last.Status)
	}
	a.awaitState(61, Master)
}

func TestAnotherNameIsTheSameRouter(t *testing.T) {
	_, a, b := pair(t, 51)
	a.loop.SetTracking("site", Tracking{Delta: -10})
	renamed := fastConfig(51, 150)
	renamed.Name = "site"
	a.loop.Configure([]Config{renamed})
	a.await(51, "what is tracked under the new name", func(s Status) bool { return s.EffectivePriority == 140 })
	gone := func(s sighting) bool {
		return s.Name == "router 51" && !s.Holding && s.Reason == "it is called site now"
	}
	if !slices.ContainsFunc(a.notified(51), gone) {
		t.Error("nobody heard that the former name is gone")
	}
	var under []sighting
	for _, s := range a.notified(51) {
		if s.Name == "site" {
			under = append(under, s)
		}
	}
	if len(under) == 0 || slices.ContainsFunc(under, func(s sighting) bool { return s.State != Master || !s.Holding }) {
		t.Errorf("under its new name: %+v", under)
	}
	if all := a.loop.Status(); len(all) != 1 || all[0].Name != "site" || all[0].EffectivePriority != 140 {
		t.Errorf("%+v", all)
	}
	if b.counters(51).BecameMaster != 0 || b.counters(51).PriorityZeroReceived != 0 {
		t.Errorf("b was disturbed: %+v", b.counters(51))
	}
}

func TestSwappedVRIDs(t *testing.T) {
	_, a, _ := pair(t, 51, 52)
	x, y := fastConfig(52, 150), fastConfig(51, 150)
	x.Name, y.Name = y.Name, x.Name
	a.loop.Configure([]Config{x, y})
	for _, c := range []Config{x, y} {
		a.await(c.VRID, "master under its new name", func(s Status) bool { return s.Name == c.Name && s.State == Master })
	}
}

func TestRemovedAndWantedAgainStaysMaster(t *testing.T) {
	a := newBridge(t).plug("192.0.2.1", fastConfig(51, 150))
	a.awaitState(51, Master)
	a.loop.Configure(nil)
	a.await(51, "leaving", func(s Status) bool { return s.HandingOver })
	a.loop.Configure([]Config{fastConfig(51, 150)})
	a.await(51, "master that stays", func(s Status) bool {
		return s.State == Master && !s.HandingOver && s.Reason == "told to stay before anybody took over"
	})
	if slices.ContainsFunc(a.notified(51)[3:], func(s sighting) bool { return !s.Holding }) {
		t.Error("let go in between")
	}
}

func TestTakenVRID(t *testing.T) {
	first, second := fastConfig(51, 150), fastConfig(51, 150)
	second.Name = "another"
	a := newBridge(t).plug("192.0.2.1", first, second)
	a.awaitState(51, Master)
	if all := a.loop.Status(); len(all) != 1 || all[0].Name != "router 51" {
		t.Errorf("%+v", all)
	}
}

func TestTrackingMovesTheMaster(t *testing.T) {
	_, a, b := pair(t, 51)
	a.loop.SetTracking("router 51", Tracking{Delta: -100})
	a.loop.SetTracking("nobody", Tracking{Delta: -1})
	if took := b.awaitState(51, Master); took.Reason != "own priority 100 is higher than 50 of 192.0.2.1" {
		t.Errorf("b: %q", took.Reason)
	}
	got := a.awaitState(51, Backup)
	if got.Priority != 150 || got.EffectivePriority != 50 || got.Reason != "higher priority 100 heard from 192.0.2.2" {
		t.Errorf("a: %+v", got.Status)
	}
	a.loop.SetTracking("router 51", Tracking{})
	a.awaitState(51, Master)
	b.awaitState(51, Backup)
}

func TestTrackingMayPrecedeTheRouter(t *testing.T) {
	a := newBridge(t).plug("192.0.2.1")
	a.loop.SetTracking("router 51", Tracking{Delta: -108})
	a.loop.Configure([]Config{fastConfig(51, 150)})
	if got := a.awaitState(51, Master); got.EffectivePriority != 42 {
		t.Errorf("%+v", got.Status)
	}
}

func TestFaults(t *testing.T) {
	s := newBridge(t)
	c := fastConfig(51, 150)
	c.ExcludedVIPs = prefixes("192.0.2.52/24")
	a := s.plug("", c)
	expect := func(reason string) {
		t.Helper()
		got := a.await(51, "fault: "+reason, func(s Status) bool { return s.State == Fault && s.Reason == reason })
		if got.Holding || got.Master.IsValid() {
			t.Errorf("%+v", got.Status)
		}
	}
	expect("interface eth0 has no IPv4 address besides the VIPs")
	command(t, a.ns, addTo("eth0", c.VIPs[0].String()))
	command(t, a.ns, addTo("eth0", c.ExcludedVIPs[0].String()))
	command(t, a.ns, addTo("eth0", "192.0.2.1/24"))
	if got := a.awaitState(51, Master); got.Master != addrA {
		t.Errorf("the VIP serves as primary address: %+v", got.Status)
	}
	command(t, a.ns, device("eth0", netlink.LinkSetDown))
	expect("interface eth0 is down")
	command(t, a.ns, device("eth0", netlink.LinkSetUp))
	a.awaitState(51, Master)
	s.setPort(a, netlink.LinkSetDown)
	expect("interface eth0 has no carrier")
	s.setPort(a, netlink.LinkDel)
	expect("interface eth0 is missing")

	// Another interface of the same name: the socket of the first would be deaf.
	nstest.Veth(t, a.ns, "eth0", s.ns, a.port)
	s.setPort(a, func(l netlink.Link) error {
		br, err := netlink.LinkByName("br0")
		if err != nil {
			return err
		}
		return netlink.LinkSetMaster(l, br)
	})
	command(t, a.ns, addTo("eth0", "192.0.2.1/24"))
	a.awaitState(51, Master)
	b := s.plug("192.0.2.2", fastConfig(51, 200))
	b.awaitState(51, Master)
	a.awaitState(51, Backup)
	if c := a.counters(51); c.BecameMaster != 3 {
		t.Errorf("%+v", c)
	}
}

func TestPrimaryAddressChanges(t *testing.T) {
	_, a, b := pair(t, 51)
	command(t, a.ns, addTo("eth0", "192.0.2.9/24"))
	// Otherwise its secondaries go with a primary address.
	command(t, a.ns, setSysctl("ipv4/conf/eth0/promote_secondaries", "1"))
	command(t, a.ns, deleteFrom("eth0", "192.0.2.1/24"))
	nine := netip.MustParseAddr("192.0.2.9")
	a.await(51, "a speaks from its other address", func(s Status) bool { return s.State == Master && s.Master == nine })
	b.await(51, "b hears it", func(s Status) bool { return s.State == Backup && s.Master == nine })
}

func TestUnservableConfigurations(t *testing.T) {
	for _, tt := range []struct {
		want   string
		change func(*Config)
	}{
		{"VRRP version 4 is not supported", func(c *Config) { c.Version = 4 }},
		{"VRID 0 is not valid", func(c *Config) { c.VRID = 0 }},
		{"priority 0 is not valid", func(c *Config) { c.Priority = 0 }},
		{"advertisement interval 5ms is not valid in version 3", func(c *Config) { c.AdvertInterval = 5 * time.Millisecond }},
		{"advertisement interval 15ms is not valid in version 3", func(c *Config) { c.AdvertInterval = 15 * time.Millisecond }},
		{"advertisement interval 40.96s is not valid in version 3", func(c *Config) { c.AdvertInterval = 40960 * time.Millisecond }},
		{"0 VIPs are not valid: 1 to 255", func(c *Config) { c.VIPs = nil }},
		{"256 VIPs are not valid: 1 to 255", func(c *Config) { c.VIPs = slices.Repeat(c.VIPs, 256) }},
		{"VIPs of both families are not valid", func(c *Config) { c.VIPs = append(c.VIPs, prefixes("2001:db8::1/64")...) }},
		{"advertisement interval 1.5s is not valid in version 2", func(c *Config) { c.Version, c.AdvertInterval = 2, 1500*time.Millisecond }},
		{"advertisement interval 4m16s is not valid in version 2", func(c *Config) { c.Version, c.AdvertInterval = 2, 256*time.Second }},
		{"VRRP version 2 has no IPv6", func(c *Config) { c.Version, c.VIPs = 2, prefixes("2001:db8::1/64") }},
		{"VRRP version 3 has no password", func(c *Config) { c.Password = "secret" }},
		{"a password of 9 octets is not valid: at most 8", func(c *Config) { c.Version, c.Password = 2, "123456789" }},
		{"unicast addresses of another family than the VIPs are not valid", func(c *Config) { c.UnicastPeers = []netip.Addr{linkLocalB} }},
		{"unicast addresses of another family than the VIPs are not valid", func(c *Config) { c.UnicastSource = linkLocalA }},
		{"", func(c *Config) { c.Version, c.Password, c.AdvertInterval = 2, "12345678", maxAdvertInterval2 }},
		{"", func(c *Config) { c.VIPs = prefixes("fe80::100/64", "2001:db8::100/64") }},
		{"", func(c *Config) { c.AdvertInterval, c.Priority, c.VRID = maxAdvertInterval, 255, 255 }},
		{"", func(c *Config) { c.AdvertInterval, c.Priority, c.VRID = minAdvertInterval, 1, 1 }},
	} {
		c := testConfig(100)
		if tt.change(&c); c.problem() != tt.want {
			t.Errorf("problem %q, want %q", c.problem(), tt.want)
		}
	}
	bad := fastConfig(51, 150)
	bad.Version = 4
	a := newBridge(t).plug("192.0.2.1", bad)
	if got := a.awaitState(51, Fault); got.Reason != "VRRP version 4 is not supported" {
		t.Errorf("%+v", got.Status)
	}
	a.loop.Configure([]Config{fastConfig(51, 150)})
	a.awaitState(51, Master)
}
