// SPDX-License-Identifier: Apache-2.0

package address

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/vrrp"
	"github.com/tandem-lvs/tandem/vrrp/internal/nstest"
	"github.com/tandem-lvs/tandem/vrrp/link"
)

func TestVirtualMACNamesAndAddresses(t *testing.T) {
	v4, v6 := prefixes("192.0.2.100/24"), prefixes("2001:db8::100/64")
	tests := []struct {
		config      vrrp.Config
		iface, mac  string
		wantVirtual bool
	}{
		{vrrp.Config{Interface: "eth0", VRID: 51, VIPs: v4}, "eth0", "", false},
		{vrrp.Config{Interface: "eth0", VRID: 51, VIPs: v4, VirtualMAC: true}, "vrrp.51", "00:00:5e:00:01:33", true},
		{vrrp.Config{Interface: "eth0", VRID: 255, VIPs: v6, VirtualMAC: true}, "vrrp6.255", "00:00:5e:00:02:ff", true},
		{vrrp.Config{Interface: "eth0", VRID: 51, VIPs: v4, VirtualMAC: true, VirtualMACInterface: "web"}, "web", "00:00:5e:00:01:33", true},
	}
	for _, tt := range tests {
		if got := tt.config.AddressInterface(); got != tt.iface {
			t.Errorf("%+v: interface %s, want %s", tt.config, got, tt.iface)
		}
		mac := tt.config.MAC()
		if (mac != vrrp.VirtualMAC{}) != tt.wantVirtual || tt.wantVirtual && hardwareOf(mac).String() != tt.mac {
			t.Errorf("%+v: MAC address %s, want %s", tt.config, mac.Hardware(), tt.mac)
		}
	}
}

// An iface is what a test wants to know of an interface.
type iface struct {
	hardware string
	up       bool
}

// stateOf returns the interface, nil if it is missing.
func stateOf(t *testing.T, ns *nstest.NS, name string) (s *iface) {
	t.Helper()
	nstest.Command(t, ns, func() error {
		l, err := netlink.LinkByName(name)
		if errors.As(err, new(netlink.LinkNotFoundError)) {
			return nil
		}
		if err == nil {
			s = &iface{l.Attrs().HardwareAddr.String(), l.Attrs().RawFlags&unix.IFF_UP != 0}
		}
		return err
	})
	return s
}

func awaitState(t *testing.T, ns *nstest.NS, name, what string, ok func(*iface) bool) {
	t.Helper()
	nstest.Eventually(t, name+" is "+what, func() bool { return ok(stateOf(t, ns, name)) })
}

func missing(s *iface) bool { return s == nil }
func down(s *iface) bool    { return s != nil && !s.up }
func up(s *iface) bool      { return s != nil && s.up }

func newVirtualReconciler(log hclog.Logger) *Reconciler {
	return New("vrrp.51", Options{Log: log, MAC: vrrp.VirtualMAC{Parent: "eth0", VRID: 51}})
}

func TestReconcilerMakesAndRemovesTheVirtualMACInterface(t *testing.T) {
	ns := newSegment(t, "192.0.2.1/24")
	k := newVirtualReconciler(hclog.NewNullLogger())
	own := vips("192.0.2.100/24", "2001:db8::100/64")
	stop := nstest.RunIn(t, ns, k.Run)
	for range 2 {
		k.Set(own, Resources{})
		awaitState(t, ns, "vrrp.51", "there and down", down)
		k.Set(own, own)
		awaitState(t, ns, "vrrp.51", "up", up)
		awaitAddrs(t, ns, "vrrp.51", "192.0.2.100/24", "2001:db8::100/64")
		if s := stateOf(t, ns, "vrrp.51"); !s.up || s.hardware != "00:00:5e:00:01:33" {
			t.Errorf("as master: %+v", *s)
		}
		k.Set(own, Resources{})
		awaitState(t, ns, "vrrp.51", "down again", down)
		awaitAddrs(t, ns, "vrrp.51")
		k.Set(Resources{}, Resources{})
		awaitState(t, ns, "vrrp.51", "gone when there is no use for it", missing)
	}
	k.Set(own, own)
	awaitState(t, ns, "vrrp.51", "up", up)
	awaitAddrs(t, ns, "vrrp.51", "192.0.2.100/24", "2001:db8::100/64")
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if stateOf(t, ns, "vrrp.51") != nil {
		t.Error("left the interface behind when it ended")
	}
	if got := onDevice(t, ns, "eth0"); !slices.Equal(got, []string{"192.0.2.1/24"}) {
		t.Errorf("the parent has %v", got)
	}
}

func TestReconcilerTakesOverAVirtualMACInterface(t *testing.T) {
	ns := newSegment(t, "192.0.2.1/24")
	own := vips("192.0.2.100/24")
	first := newVirtualReconciler(hclog.NewNullLogger())
	first.Set(own, own)
	if err := checkOnce(ns, first); err != nil { // and then killed
		t.Fatal(err)
	}
	second := newVirtualReconciler(hclog.NewNullLogger())
	second.Set(own, own)
	if err := checkOnce(ns, second); err != nil {
		t.Fatal(err)
	}
	if got := second.Writes(); got != 0 {
		t.Errorf("%d writes to take over what was there", got)
	}
	third := newVirtualReconciler(hclog.NewNullLogger())
	third.Set(own, Resources{})
	for range 2 {
		if err := checkOnce(ns, third); err != nil {
			t.Fatal(err)
		}
	}
	if s := stateOf(t, ns, "vrrp.51"); !down(s) || len(onDevice(t, ns, "vrrp.51")) != 0 {
		t.Errorf("as backup: %+v with %v", s, onDevice(t, ns, "vrrp.51"))
	}
	if got := third.Writes(); got != 2 {
		t.Errorf("%d writes to put it at rest, want 2", got)
	}
}

func TestReconcilerRefusesAForeignInterface(t *testing.T) {
	macvlan := func(parent string, hardware net.HardwareAddr) func(netlink.LinkAttrs, int) netlink.Link {
		return func(a netlink.LinkAttrs, index int) netlink.Link {
			a.ParentIndex, a.HardwareAddr = index, hardware
			return &netlink.Macvlan{LinkAttrs: a, Mode: netlink.MACVLAN_MODE_PRIVATE}
		}
	}
	ours := hardwareOf(vrrp.VirtualMAC{VRID: 51})
	tests := []struct {
		name   string
		parent string
		make   func(netlink.LinkAttrs, int) netlink.Link
		words  string
	}{
		{"another kind", "eth0", func(a netlink.LinkAttrs, _ int) netlink.Link {
			return &netlink.Bridge{LinkAttrs: a}
		}, "interface vrrp.51 is of kind bridge, not macvlan: it is not ours"},
		{"another parent", "eth1", macvlan("eth1", ours), "interface vrrp.51 is not on eth0 but on interface number"},
		{"another address", "eth0", macvlan("eth0", hardwareOf(vrrp.VirtualMAC{VRID: 52})),
			"interface vrrp.51 has address 00:00:5e:00:01:34, not 00:00:5e:00:01:33"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ns := newSegment(t)
			nstest.Veth(t, ns, "eth1", ns, "far1")
			nstest.Command(t, ns, nstest.Device(tt.parent, func(parent netlink.Link) error {
				a := netlink.NewLinkAttrs()
				a.Name = "vrrp.51"
				return netlink.LinkAdd(tt.make(a, parent.Attrs().Index))
			}))
			var log strings.Builder
			k := newVirtualReconciler(hclog.New(&hclog.LoggerOptions{Output: &log}))
			own := vips("192.0.2.100/24")
			k.Set(own, own)
			stop := nstest.RunIn(t, ns, k.Run)
			nstest.Eventually(t, "trouble: "+tt.words, func() bool { return strings.Contains(k.Trouble(), tt.words) })
			if err := stop(); err != nil {
				t.Errorf("run: %v", err)
			}
			if s := stateOf(t, ns, "vrrp.51"); !down(s) || len(onDevice(t, ns, "vrrp.51")) != 0 || k.Writes() != 0 {
				t.Errorf("touched it: %+v with %v, %d writes", s, onDevice(t, ns, "vrrp.51"), k.Writes())
			}
		})
	}
}

func TestReconcilerMakesTheVirtualMACInterfaceAgain(t *testing.T) {
	ns, peer := nstest.New(t), nstest.New(t)
	k := newVirtualReconciler(hclog.NewNullLogger())
	w := link.NewWatcher(hclog.NewNullLogger(), k.Link)
	w.Watch([]string{"eth0", "vrrp.51"})
	nstest.RunIn(t, ns, w.Run)
	nstest.RunIn(t, ns, k.Run)
	own := vips("192.0.2.100/24")
	k.Set(own, own)
	nstest.Veth(t, ns, "eth0", peer, "peer0")
	awaitState(t, ns, "vrrp.51", "made when its parent is there", up)
	for _, step := range []struct {
		what string
		do   func() error
	}{
		{"deleted", nstest.Device("vrrp.51", netlink.LinkDel)},
		{"brought down", nstest.Device("vrrp.51", netlink.LinkSetDown)},
		{"gone with its parent", nstest.Device("eth0", netlink.LinkDel)},
	} {
		nstest.Command(t, ns, step.do)
		if step.what == "gone with its parent" {
			awaitState(t, ns, "vrrp.51", "gone", missing)
			nstest.Veth(t, ns, "eth0", peer, "peer0")
		}
		stalls, start := nstest.WatchStalls(t), time.Now()
		awaitState(t, ns, "vrrp.51", "up though it was "+step.what, up)
		awaitAddrs(t, ns, "vrrp.51", "192.0.2.100/24")
		took := time.Since(start)
		if stalled := stalls(); took > checkInterval/2+stalled {
			t.Errorf("%s: put right after %v, of which the machine stalled %v: not by the event", step.what, took, stalled)
		}
	}
}

// TestVirtualMACAnswersAlone asks for the VIP and for the parent's own address from the wire: each is at one MAC
// address only, and the VIP's traffic arrives.
func TestVirtualMACAnswersAlone(t *testing.T) {
	ns, peer := nstest.New(t), nstest.New(t)
	nstest.Veth(t, ns, "eth0", peer, "peer0")
	for _, key := range []string{"ipv4/conf/eth0/arp_ignore", "ipv4/conf/eth0/arp_announce"} {
		nstest.Command(t, ns, nstest.SetSysctl(key, "0"))
	}
	nstest.Command(t, ns, nstest.SetSysctl("ipv4/conf/all/rp_filter", "1"))
	nstest.Command(t, ns, nstest.AddTo("eth0", "192.0.2.1/24"))
	nstest.Command(t, peer, nstest.AddTo("peer0", "192.0.2.9/24"))
	nstest.Command(t, peer, nstest.SetSysctl("ipv4/conf/peer0/arp_accept", "0"))
	k := newVirtualReconciler(hclog.NewNullLogger())
	own := vips("192.0.2.100/24", "2001:db8::100/64")
	k.Set(own, own)
	if err := checkOnce(ns, k); err != nil {
		t.Fatal(err)
	}
	var parent string
	nstest.Command(t, ns, nstest.Device("eth0", func(l netlink.Link) error {
		parent = l.Attrs().HardwareAddr.String()
		return nil
	}))
	for _, tt := range []struct{ addr, hardware string }{
		{"192.0.2.100", "00:00:5e:00:01:33"}, {"192.0.2.1", parent},
	} {
		echo(t, ns, peer, tt.addr)
		if got := neighbour(t, peer, tt.addr); got != tt.hardware {
			t.Errorf("%s is at %s for the neighbour, want %s", tt.addr, got, tt.hardware)
		}
	}
	ns.Do(func() {
		b, err := os.ReadFile("/proc/thread-self/net/if_inet6")
		if err != nil || strings.Count(string(b), "vrrp.51") != 1 {
			t.Errorf("IPv6 addresses of the interface (%v):\n%s", err, b)
		}
	})
}

// echo sends a datagram from the peer to an address and waits for the answer.
func echo(t *testing.T, ns, peer *nstest.NS, addr string) {
	t.Helper()
	server := net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(addr), 7))
	var at, from *net.UDPConn
	nstest.Command(t, ns, func() (err error) { at, err = net.ListenUDP("udp", server); return err })
	defer func() { _ = at.Close() }()
	nstest.Command(t, peer, func() (err error) { from, err = net.DialUDP("udp", nil, server); return err })
	defer func() { _ = from.Close() }()
	deadline := time.Now().Add(15 * time.Second)
	b := make([]byte, 16)
	if err := errors.Join(at.SetDeadline(deadline), from.SetDeadline(deadline)); err != nil {
		t.Fatal(err)
	}
	if _, err := from.Write([]byte("there?")); err != nil {
		t.Fatal(err)
	}
	n, asker, err := at.ReadFromUDPAddrPort(b)
	if err != nil {
		t.Fatalf("%s was not reached: %v", addr, err)
	}
	if _, err := at.WriteToUDPAddrPort(b[:n], asker); err != nil {
		t.Fatal(err)
	}
	if _, err := from.Read(b); err != nil {
		t.Fatalf("%s did not answer: %v", addr, err)
	}
}

func neighbour(t *testing.T, ns *nstest.NS, addr string) (hardware string) {
	t.Helper()
	nstest.Command(t, ns, nstest.Device("peer0", func(l netlink.Link) error {
		list, err := netlink.NeighList(l.Attrs().Index, netlink.FAMILY_V4)
		for _, n := range list {
			if n.IP.String() == addr {
				hardware = n.HardwareAddr.String()
			}
		}
		return err
	}))
	return hardware
}

func TestRemoveResources(t *testing.T) {
	for _, virtual := range []bool{false, true} {
		ns := newSegment(t, "192.0.2.1/24")
		c := vrrp.Config{
			Name: "web", Interface: "eth0", VRID: 51, VIPs: prefixes("192.0.2.100/24"), VirtualMAC: virtual,
			ExcludedVIPs: prefixes("192.0.2.101/24", "2001:db8::100/64"),
			Routes:       []vrrp.Route{route("198.51.100.0/24", via("192.0.2.2"))},
			Rules:        []vrrp.Rule{{Family: 4, Table: 70, Priority: 100}},
		}
		k := New(c.AddressInterface(), Options{Log: hclog.NewNullLogger(), MAC: c.MAC()})
		k.Set(Resources{}, PlacementsOf(c)[0].Resources)
		if err := checkOnce(ns, k); err != nil {
			t.Fatal(err)
		}
		if got := onDevice(t, ns, c.AddressInterface()); len(got) < 3 || len(routesIn(t, ns)) != 2 {
			t.Fatalf("before: %v and %q", got, routesIn(t, ns))
		}
		for range 2 {
			nstest.Command(t, ns, func() error { return RemoveResources([]vrrp.Config{c}) })
		}
		if got := onDevice(t, ns, "eth0"); !slices.Equal(got, []string{"192.0.2.1/24"}) {
			t.Errorf("left %v", got)
		}
		if got := routesIn(t, ns); len(got) != 0 || stateOf(t, ns, "vrrp.51") != nil {
			t.Errorf("left %q, %+v", got, stateOf(t, ns, "vrrp.51"))
		}
	}
}

// A macvlan of a former version is put into VEPA mode: see VirtualMAC.
func TestReconcilerChangesTheModeOfALeftOver(t *testing.T) {
	ns := newSegment(t, "192.0.2.1/24")
	mac := vrrp.VirtualMAC{Parent: "eth0", VRID: 51}
	nstest.Command(t, ns, nstest.Device("eth0", func(parent netlink.Link) error {
		a := netlink.NewLinkAttrs()
		a.Name, a.ParentIndex, a.HardwareAddr = "vrrp.51", parent.Attrs().Index, hardwareOf(mac)
		return netlink.LinkAdd(&netlink.Macvlan{LinkAttrs: a, Mode: netlink.MACVLAN_MODE_PRIVATE})
	}))
	k := New("vrrp.51", Options{Log: hclog.NewNullLogger(), MAC: mac})
	stop := nstest.RunIn(t, ns, k.Run)
	k.Set(vips("192.0.2.100/24"), vips("192.0.2.100/24"))
	awaitAddrs(t, ns, "vrrp.51", "192.0.2.100/24")
	ns.Do(func() {
		dev, err := netlink.LinkByName("vrrp.51")
		if err != nil {
			t.Error(err)
			return
		}
		if is, ok := dev.(*netlink.Macvlan); !ok || is.Mode != netlink.MACVLAN_MODE_VEPA {
			t.Errorf("%+v", dev)
		}
	})
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}
