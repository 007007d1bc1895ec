// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/tandem-lvs/tandem/vrrp"
	"github.com/tandem-lvs/tandem/vrrp/internal/nstest"
)

func TestConfigureKeepsRoles(t *testing.T) {
	t.Parallel()
	nstest.Undisturbed(t, func(t testing.TB) {
		_, a, b := pair(t, 51, 52)
		kept, changed := fastConfig(51, 150), fastConfig(52, 160)
		changed.AdvertInterval = 50 * time.Millisecond
		changed.VIPs = append(changed.VIPs, netip.MustParsePrefix("192.0.2.201/24"))
		a.loop.Configure([]vrrp.Config{changed, kept})
		got := a.await(52, "changed", func(s vrrp.Status) bool { return s.Priority == 160 })
		if got.State != vrrp.Master || got.EffectivePriority != 160 || got.AdvertInterval != 50*time.Millisecond || len(got.VIPs) != 2 {
			t.Errorf("%+v", got.Status)
		}
		received := b.counters(52).AdvertsReceived
		nstest.Eventually(t, "b hears the changed router", func() bool { return b.counters(52).AdvertsReceived > received+5 })
		for _, vrid := range []uint8{51, 52} {
			if all := b.notified(vrid); all[len(all)-1].State != vrrp.Backup || b.counters(vrid).BecameMaster != 0 {
				t.Errorf("b was disturbed: %+v", all[len(all)-1].Status)
			}
		}
		if all := a.notified(51); all[len(all)-1].State != vrrp.Master || slices.ContainsFunc(all, func(s sighting) bool { return s.at.After(got.at) }) {
			t.Errorf("the unchanged router was disturbed: %+v", all[len(all)-1].Status)
		}
	})
}

func TestConfigureRemovesAndAdds(t *testing.T) {
	t.Parallel()
	nstest.Undisturbed(t, func(t testing.TB) {
		_, a, b := pair(t, 51, 52)
		a.loop.Configure([]vrrp.Config{fastConfig(52, 150), fastConfig(53, 150)})
		gone := a.await(51, "gone", func(s vrrp.Status) bool { return s.Reason == "192.0.2.2 took over" })
		if gone.State != vrrp.Initialize {
			t.Errorf("%+v", gone.Status)
		}
		a.await(51, "let go", func(s vrrp.Status) bool { return !s.Holding })
		b.awaitState(51, vrrp.Master)
		a.awaitState(53, vrrp.Master)
		nstest.Eventually(t, "two routers", func() bool { return len(a.loop.Status()) == 2 })
	})
}

func TestAnotherVRIDIsAnotherRouter(t *testing.T) {
	t.Parallel()
	nstest.Undisturbed(t, func(t testing.TB) {
		_, a, b := pair(t, 51)
		moved := fastConfig(61, 150)
		moved.Name = "router 51"
		a.loop.Configure([]vrrp.Config{moved})
		b.awaitState(51, vrrp.Master)
		first, _ := a.awaitAny(61, 0, "started", func(s vrrp.Status) bool { return s.State == vrrp.Backup })
		all := a.notified(51)
		if last := all[len(all)-1]; last.Holding || last.State != vrrp.Initialize || last.at.After(first.at) {
			t.Errorf("the router before it had not gone: %+v", last.Status)
		}
		a.awaitState(61, vrrp.Master)
	})
}

func TestAnotherNameIsTheSameRouter(t *testing.T) {
	t.Parallel()
	nstest.Undisturbed(t, func(t testing.TB) {
		_, a, b := pair(t, 51)
		a.loop.SetTracking("site", vrrp.Tracking{Delta: -10})
		renamed := fastConfig(51, 150)
		renamed.Name = "site"
		a.loop.Configure([]vrrp.Config{renamed})
		a.await(51, "what is tracked under the new name", func(s vrrp.Status) bool { return s.EffectivePriority == 140 })
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
		if len(under) == 0 || slices.ContainsFunc(under, func(s sighting) bool { return s.State != vrrp.Master || !s.Holding }) {
			t.Errorf("under its new name: %+v", under)
		}
		if all := a.loop.Status(); len(all) != 1 || all[0].Name != "site" || all[0].EffectivePriority != 140 {
			t.Errorf("%+v", all)
		}
		if b.counters(51).BecameMaster != 0 || b.counters(51).PriorityZeroReceived != 0 {
			t.Errorf("b was disturbed: %+v", b.counters(51))
		}
	})
}

func TestSwappedVRIDs(t *testing.T) {
	t.Parallel()
	nstest.Undisturbed(t, func(t testing.TB) {
		_, a, _ := pair(t, 51, 52)
		x, y := fastConfig(52, 150), fastConfig(51, 150)
		x.Name, y.Name = y.Name, x.Name
		a.loop.Configure([]vrrp.Config{x, y})
		for _, c := range []vrrp.Config{x, y} {
			a.await(c.VRID, "master under its new name", func(s vrrp.Status) bool { return s.Name == c.Name && s.State == vrrp.Master })
		}
	})
}

func TestRemovedAndWantedAgainStaysMaster(t *testing.T) {
	t.Parallel()
	nstest.Undisturbed(t, func(t testing.TB) {
		a := newBridge(t).plug("192.0.2.1", fastConfig(51, 150))
		a.awaitState(51, vrrp.Master)
		again := sync.OnceFunc(func() { a.loop.Configure([]vrrp.Config{fastConfig(51, 150)}) })
		a.whenTold(func(s vrrp.Status) {
			if s.HandingOver {
				again()
			}
		})
		a.loop.Configure(nil)
		a.await(51, "master that stays", func(s vrrp.Status) bool {
			return s.State == vrrp.Master && !s.HandingOver && s.Reason == "told to stay before anybody took over"
		})
		if slices.ContainsFunc(a.notified(51)[3:], func(s sighting) bool { return !s.Holding }) {
			t.Error("let go in between")
		}
	})
}

func TestTakenVRID(t *testing.T) {
	t.Parallel()
	first, second := fastConfig(51, 150), fastConfig(51, 150)
	second.Name = "another"
	a := newBridge(t).plug("192.0.2.1", first, second)
	a.awaitState(51, vrrp.Master)
	if all := a.loop.Status(); len(all) != 1 || all[0].Name != "router 51" {
		t.Errorf("%+v", all)
	}
}

func TestTrackingMovesTheMaster(t *testing.T) {
	t.Parallel()
	nstest.Undisturbed(t, func(t testing.TB) {
		_, a, b := pair(t, 51)
		a.loop.SetTracking("router 51", vrrp.Tracking{Delta: -100})
		a.loop.SetTracking("nobody", vrrp.Tracking{Delta: -1})
		if took := b.awaitState(51, vrrp.Master); took.Reason != "own priority 100 is higher than 50 of 192.0.2.1" {
			t.Errorf("b: %q", took.Reason)
		}
		got := a.awaitState(51, vrrp.Backup)
		if got.Priority != 150 || got.EffectivePriority != 50 || got.Reason != "higher priority 100 heard from 192.0.2.2" {
			t.Errorf("a: %+v", got.Status)
		}
		a.loop.SetTracking("router 51", vrrp.Tracking{})
		a.awaitState(51, vrrp.Master)
		b.awaitState(51, vrrp.Backup)
	})
}

func TestTrackingMayPrecedeTheRouter(t *testing.T) {
	t.Parallel()
	a := newBridge(t).plug("192.0.2.1")
	a.loop.SetTracking("router 51", vrrp.Tracking{Delta: -108})
	a.loop.Configure([]vrrp.Config{fastConfig(51, 150)})
	if got := a.awaitState(51, vrrp.Master); got.EffectivePriority != 42 {
		t.Errorf("%+v", got.Status)
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	nstest.Undisturbed(t, func(t testing.TB) {
		s := newBridge(t)
		c := fastConfig(51, 150)
		c.ExcludedVIPs = prefixes("192.0.2.52/24")
		a := s.plug("", c)
		expect := func(reason string) {
			t.Helper()
			got := a.await(51, "fault: "+reason, func(s vrrp.Status) bool { return s.State == vrrp.Fault && s.Reason == reason })
			if got.Holding || got.Master.IsValid() {
				t.Errorf("%+v", got.Status)
			}
		}
		expect("interface eth0 has no IPv4 address besides the VIPs")
		nstest.Command(t, a.ns, nstest.AddTo("eth0", c.VIPs[0].String()))
		nstest.Command(t, a.ns, nstest.AddTo("eth0", c.ExcludedVIPs[0].String()))
		nstest.Command(t, a.ns, nstest.AddTo("eth0", "192.0.2.1/24"))
		if got := a.awaitState(51, vrrp.Master); got.Master != addrA {
			t.Errorf("the VIP serves as primary address: %+v", got.Status)
		}
		nstest.Command(t, a.ns, nstest.Device("eth0", netlink.LinkSetDown))
		expect("interface eth0 is down")
		nstest.Command(t, a.ns, nstest.Device("eth0", netlink.LinkSetUp))
		a.awaitState(51, vrrp.Master)
		s.setPort(a, netlink.LinkSetDown)
		expect("interface eth0 has no carrier")
		s.setPort(a, netlink.LinkDel)
		expect("interface eth0 is missing")

		// Another interface of the same name: the sockets of the first would receive nothing.
		nstest.Veth(t, a.ns, "eth0", s.ns, a.port)
		s.setPort(a, func(l netlink.Link) error {
			br, err := netlink.LinkByName("br0")
			if err != nil {
				return err
			}
			return netlink.LinkSetMaster(l, br)
		})
		nstest.Command(t, a.ns, nstest.AddTo("eth0", "192.0.2.1/24"))
		a.awaitState(51, vrrp.Master)
		b := s.plug("192.0.2.2", fastConfig(51, 200))
		b.awaitState(51, vrrp.Master)
		a.awaitState(51, vrrp.Backup)
		if c := a.counters(51); c.BecameMaster != 3 {
			t.Errorf("%+v", c)
		}
	})
}

func TestPrimaryAddressChanges(t *testing.T) {
	t.Parallel()
	nstest.Undisturbed(t, func(t testing.TB) {
		_, a, b := pair(t, 51)
		nstest.Command(t, a.ns, nstest.AddTo("eth0", "192.0.2.9/24"))
		// Otherwise the kernel deletes the secondary addresses with a primary one.
		nstest.Command(t, a.ns, nstest.SetSysctl("ipv4/conf/eth0/promote_secondaries", "1"))
		nstest.Command(t, a.ns, nstest.DeleteFrom("eth0", "192.0.2.1/24"))
		nine := netip.MustParseAddr("192.0.2.9")
		a.await(51, "a speaks from its other address", func(s vrrp.Status) bool { return s.State == vrrp.Master && s.Master == nine })
		b.await(51, "b hears it", func(s vrrp.Status) bool { return s.State == vrrp.Backup && s.Master == nine })
	})
}

func TestUnservableConfigurations(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		want   string
		change func(*vrrp.Config)
	}{
		{"VRRP version 4 is not supported", func(c *vrrp.Config) { c.Version = 4 }},
		{"VRID 0 is not valid", func(c *vrrp.Config) { c.VRID = 0 }},
		{"priority 0 is not valid", func(c *vrrp.Config) { c.Priority = 0 }},
		{"advertisement interval 5ms is not valid in version 3", func(c *vrrp.Config) { c.AdvertInterval = 5 * time.Millisecond }},
		{"advertisement interval 15ms is not valid in version 3", func(c *vrrp.Config) { c.AdvertInterval = 15 * time.Millisecond }},
		{"advertisement interval 40.96s is not valid in version 3", func(c *vrrp.Config) { c.AdvertInterval = 40960 * time.Millisecond }},
		{"256 VIPs are not valid: at most 255", func(c *vrrp.Config) { c.VIPs = slices.Repeat(c.VIPs, 256) }},
		{"VIPs of both families are not valid", func(c *vrrp.Config) { c.VIPs = append(c.VIPs, prefixes("2001:db8::1/64")...) }},
		{"advertisement interval 1.5s is not valid in version 2", func(c *vrrp.Config) { c.Version, c.AdvertInterval = 2, 1500*time.Millisecond }},
		{"advertisement interval 4m16s is not valid in version 2", func(c *vrrp.Config) { c.Version, c.AdvertInterval = 2, 256*time.Second }},
		{"VRRP version 2 has no IPv6", func(c *vrrp.Config) { c.Version, c.VIPs = 2, prefixes("2001:db8::1/64") }},
		{"VRRP version 3 has no password", func(c *vrrp.Config) { c.Password = "secret" }},
		{"a password of 9 octets is not valid: at most 8", func(c *vrrp.Config) { c.Version, c.Password = 2, "123456789" }},
		{"unicast addresses of another family than the VIPs are not valid", func(c *vrrp.Config) { c.UnicastPeers = []netip.Addr{linkLocalB} }},
		{"a source of another family than the VIPs is not valid", func(c *vrrp.Config) { c.Source = linkLocalA }},
		{"2 down_adverts are not valid: 3 to 20", func(c *vrrp.Config) { c.DownAdverts = 2 }},
		{"21 down_adverts are not valid: 3 to 20", func(c *vrrp.Config) { c.DownAdverts = 21 }},
		{"VIPs with a virtual MAC address on another interface are not valid", func(c *vrrp.Config) {
			c.VirtualMAC, c.VIPInterfaces = true, map[netip.Addr]string{vip: "eth1"}
		}},
		{"", func(c *vrrp.Config) { c.VIPs = nil }},
		{"", func(c *vrrp.Config) { c.VIPs, c.UnicastPeers, c.Source = nil, []netip.Addr{linkLocalB}, linkLocalA }},
		{"", func(c *vrrp.Config) { c.DownAdverts = 20 }},
		{"", func(c *vrrp.Config) { c.Version, c.Password, c.AdvertInterval = 2, "12345678", vrrp.MaxAdvertInterval2 }},
		{"", func(c *vrrp.Config) { c.VIPs = prefixes("fe80::100/64", "2001:db8::100/64") }},
		{"", func(c *vrrp.Config) { c.AdvertInterval, c.Priority, c.VRID = vrrp.MaxAdvertInterval, 255, 255 }},
		{"", func(c *vrrp.Config) { c.AdvertInterval, c.Priority, c.VRID = vrrp.MinAdvertInterval, 1, 1 }},
	} {
		c := testConfig(100)
		if tt.change(&c); c.Problem() != tt.want {
			t.Errorf("problem %q, want %q", c.Problem(), tt.want)
		}
	}
	bad := fastConfig(51, 150)
	bad.Version = 4
	a := newBridge(t).plug("192.0.2.1", bad)
	if got := a.awaitState(51, vrrp.Fault); got.Reason != "VRRP version 4 is not supported" {
		t.Errorf("%+v", got.Status)
	}
	a.loop.Configure([]vrrp.Config{fastConfig(51, 150)})
	a.awaitState(51, vrrp.Master)
}
