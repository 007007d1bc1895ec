// SPDX-License-Identifier: Apache-2.0

package address

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/vrrp/internal/nstest"
	"github.com/tandem-lvs/tandem/vrrp/internal/rtnl"
)

func prefixes(list ...string) []netip.Prefix {
	var ps []netip.Prefix
	for _, s := range list {
		ps = append(ps, netip.MustParsePrefix(s))
	}
	return ps
}

func resourcesOf(list []netip.Prefix) (a Resources) {
	for _, p := range list {
		a.Addresses = append(a.Addresses, Address{Prefix: p})
	}
	return a
}

func vips(list ...string) Resources { return resourcesOf(prefixes(list...)) }

// onDevice returns the addresses of an interface, sorted, without link-local ones.
func onDevice(t *testing.T, ns *nstest.NS, name string) []string {
	t.Helper()
	list := []string{}
	nstest.Command(t, ns, nstest.Device(name, func(l netlink.Link) error {
		var addrs []netlink.Addr
		err := again(func() (err error) {
			addrs, err = netlink.AddrList(l, netlink.FAMILY_ALL)
			return err
		})
		for _, a := range addrs {
			if p, ok := rtnl.Prefix(a); ok && !p.Addr().IsLinkLocalUnicast() {
				list = append(list, p.String())
			}
		}
		return err
	}))
	slices.Sort(list)
	return list
}

// newSegment returns a namespace with eth0, its peer's namespace, and eth0's addresses set.
func newSegment(t *testing.T, addrs ...string) *nstest.NS {
	t.Helper()
	ns, peer := nstest.New(t), nstest.New(t)
	nstest.Veth(t, ns, "eth0", peer, "peer0")
	for _, a := range addrs {
		nstest.Command(t, ns, nstest.AddTo("eth0", a))
	}
	return ns
}

// checkOnce lets the reconciler check once, inside the namespace.
func checkOnce(ns *nstest.NS, k *Reconciler) (err error) {
	ns.Do(func() {
		var kern *kernel
		if kern, err = openKernel(&k.writes); err != nil {
			return
		}
		defer kern.close()
		want, off := k.desired()
		err = k.check(kern, want, off)
	})
	return err
}

func TestReconcilerMakesItSo(t *testing.T) {
	own := "192.0.2.1/24"
	tests := []struct {
		name          string
		before        []string
		managed, want []string
		after         []string
		placed        []string
		writes        uint64
		promote       string
	}{
		{name: "take-over", before: []string{own},
			managed: []string{"192.0.2.100/24", "192.0.2.101/24"}, want: []string{"192.0.2.101/24", "192.0.2.100/24"},
			after:  []string{own, "192.0.2.100/24", "192.0.2.101/24"},
			placed: []string{"192.0.2.101/24", "192.0.2.100/24"}, writes: 2},
		{name: "host prefix", before: []string{own}, want: []string{"192.0.2.100/32"},
			after: []string{own, "192.0.2.100/32"}, placed: []string{"192.0.2.100/32"}, writes: 1},
		{name: "IPv6", before: []string{own}, want: []string{"2001:db8::100/64", "2001:db8::101/128"},
			after:  []string{own, "2001:db8::100/64", "2001:db8::101/128"},
			placed: []string{"2001:db8::100/64", "2001:db8::101/128"}, writes: 2},
		{name: "some there already", before: []string{own, "192.0.2.100/24", "2001:db8::100/64"},
			want:  []string{"192.0.2.100/24", "2001:db8::100/64", "192.0.2.101/24"},
			after: []string{own, "192.0.2.100/24", "192.0.2.101/24", "2001:db8::100/64"}, writes: 1,
			placed: []string{"192.0.2.100/24", "2001:db8::100/64", "192.0.2.101/24"}},
		{name: "wanted twice", before: []string{own}, want: []string{"192.0.2.100/24", "192.0.2.100/24"},
			after: []string{own, "192.0.2.100/24"}, placed: []string{"192.0.2.100/24"}, writes: 1},
		{name: "left over from an instance that was killed", before: []string{own, "192.0.2.100/24", "2001:db8::100/64"},
			managed: []string{"192.0.2.100/24", "2001:db8::100/64"}, after: []string{own}, writes: 2},
		{name: "nothing to take off", before: []string{own}, managed: []string{"192.0.2.100/24"}, after: []string{own}},
		{name: "what is not ours stays", before: []string{own, "192.0.2.9/24", "2001:db8::9/64"},
			managed: []string{"192.0.2.100/24"}, after: []string{own, "192.0.2.9/24", "2001:db8::9/64"}},
		{name: "other prefix length of IPv4 is not ours", before: []string{own, "192.0.2.100/32"},
			want: []string{"192.0.2.100/24"}, after: []string{own, "192.0.2.100/24", "192.0.2.100/32"},
			placed: []string{"192.0.2.100/24"}, writes: 1},
		{name: "other prefix length of IPv4 stays", before: []string{own, "192.0.2.100/24", "192.0.2.100/32"},
			managed: []string{"192.0.2.100/24"}, after: []string{own, "192.0.2.100/32"}, writes: 1},
		{name: "other prefix length of IPv6 counts as held", before: []string{"2001:db8::100/128"},
			want: []string{"2001:db8::100/64"}, after: []string{"2001:db8::100/128"}, placed: []string{"2001:db8::100/64"}},
		{name: "first of the subnet goes, a wanted one is put back", before: []string{"192.0.2.100/24", "192.0.2.101/24"},
			managed: []string{"192.0.2.100/24"}, want: []string{"192.0.2.101/24"}, after: []string{"192.0.2.101/24"},
			placed: []string{"192.0.2.101/24"}, writes: 2},
		{name: "first of the subnet goes, others' are put back",
			before:  []string{"192.0.2.100/24", "192.0.2.9/24", "192.0.2.101/24"},
			managed: []string{"192.0.2.100/24", "192.0.2.101/24"}, after: []string{"192.0.2.9/24"}, writes: 3},
		{name: "first of the subnet goes, the kernel keeps the others", promote: "1",
			before:  []string{"192.0.2.100/24", "192.0.2.9/24", "192.0.2.101/24"},
			managed: []string{"192.0.2.100/24"}, want: []string{"192.0.2.101/24"},
			after: []string{"192.0.2.101/24", "192.0.2.9/24"}, placed: []string{"192.0.2.101/24"}, writes: 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ns := newSegment(t)
			if tt.promote == "" {
				tt.promote = "0"
			}
			nstest.Command(t, ns, nstest.SetSysctl("ipv4/conf/all/promote_secondaries", tt.promote))
			nstest.Command(t, ns, nstest.SetSysctl("ipv4/conf/eth0/promote_secondaries", tt.promote))
			for _, a := range tt.before {
				nstest.Command(t, ns, nstest.AddTo("eth0", a))
			}
			var placed []string
			k := New("eth0", Options{Log: hclog.NewNullLogger(), Placed: func(added []netip.Prefix) {
				for _, p := range added {
					placed = append(placed, p.String())
				}
			}})
			k.Set(vips(tt.managed...), vips(tt.want...))
			for pass := 1; pass <= 2; pass++ {
				if err := checkOnce(ns, k); err != nil {
					t.Fatalf("pass %d: %v", pass, err)
				}
				if got := onDevice(t, ns, "eth0"); !slices.Equal(got, tt.after) {
					t.Errorf("pass %d left %v, want %v", pass, got, tt.after)
				}
				if got := k.Writes(); got != tt.writes {
					t.Errorf("%d writes after pass %d, want %d: the second writes nothing", got, pass, tt.writes)
				}
			}
			if !slices.Equal(placed, tt.placed) {
				t.Errorf("placed %v, want %v", placed, tt.placed)
			}
		})
	}
}

func TestReconcilerPutsOthersAddressesBackAsTheyWere(t *testing.T) {
	ns := newSegment(t)
	nstest.Command(t, ns, nstest.SetSysctl("ipv4/conf/eth0/promote_secondaries", "0"))
	nstest.Command(t, ns, nstest.AddTo("eth0", "192.0.2.100/24"))
	nstest.Command(t, ns, nstest.Device("eth0", func(l netlink.Link) error {
		a, err := netlink.ParseAddr("192.0.2.9/24 eth0:own")
		if err != nil {
			return err
		}
		a.Broadcast = net.IPv4(192, 0, 2, 0)
		return netlink.AddrAdd(l, a)
	}))
	read := func() (a netlink.Addr) {
		nstest.Command(t, ns, nstest.Device("eth0", func(l netlink.Link) error {
			addrs, err := netlink.AddrList(l, netlink.FAMILY_V4)
			if err == nil {
				a = addrs[len(addrs)-1]
			}
			return err
		}))
		return a
	}
	before := read()
	k := New("eth0", Options{Log: hclog.NewNullLogger()})
	k.Set(vips("192.0.2.100/24"), Resources{})
	if err := checkOnce(ns, k); err != nil {
		t.Fatal(err)
	}
	before.Flags &^= unix.IFA_F_SECONDARY
	after := read()
	if got, want := fmt.Sprintf("%+v", after), fmt.Sprintf("%+v", before); got != want {
		t.Errorf("came back as %s, was %s", got, want)
	}
}

func TestReconcilerAddsIPv6ReadyAndNeverAsSource(t *testing.T) {
	ns := newSegment(t)
	k := New("eth0", Options{Log: hclog.NewNullLogger()})
	k.Set(Resources{}, vips("2001:db8::100/64"))
	if err := checkOnce(ns, k); err != nil {
		t.Fatal(err)
	}
	nstest.Command(t, ns, nstest.Device("eth0", func(l netlink.Link) error {
		addrs, err := netlink.AddrList(l, netlink.FAMILY_V6)
		for _, a := range addrs {
			if a.IP.String() != "2001:db8::100" {
				continue
			}
			if got, want := a.Flags, unix.IFA_F_NODAD|unix.IFA_F_DEPRECATED|unix.IFA_F_PERMANENT; got != want {
				t.Errorf("flags %#x, want %#x: no duplicate detection, deprecated, for ever", got, want)
			}
		}
		return err
	}))
}

func TestReconcilerPlacesAFewAtATime(t *testing.T) {
	ns := newSegment(t)
	var want []netip.Prefix
	for i := range 40 {
		want = append(want, netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i + 1)}), 32))
	}
	var sizes []int
	k := New("eth0", Options{Log: hclog.NewNullLogger(), Placed: func(added []netip.Prefix) { sizes = append(sizes, len(added)) }})
	k.Set(Resources{}, resourcesOf(want))
	if err := checkOnce(ns, k); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(sizes, []int{16, 16, 8}) {
		t.Errorf("placed in portions of %v, want 16, 16 and 8", sizes)
	}
}
