// SPDX-License-Identifier: Apache-2.0

package address

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/vrrp/internal/nstest"
	"github.com/tandem-lvs/tandem/vrrp/internal/rtnl"
	"github.com/tandem-lvs/tandem/vrrp/link"
)

// manyVIPs returns n host addresses of one family.
func manyVIPs(n int, ipv6 bool) (a Resources) {
	for i := range n {
		addr := netip.AddrFrom4([4]byte{10, 9, byte(i / 250), byte(i%250 + 1)})
		if ipv6 {
			addr = netip.MustParseAddr(fmt.Sprintf("2001:db8:9::%x", i+1))
		}
		a.Addresses = append(a.Addresses, Address{Prefix: netip.PrefixFrom(addr, addr.BitLen())})
	}
	return a
}

func TestReconcilerPlacesAThousandAtOnce(t *testing.T) {
	const many = 1000
	for _, ipv6 := range []bool{false, true} {
		ns := newSegment(t)
		var placed []time.Time
		var counts, all []int // how many were placed so far; the same when all were
		k := New("eth0", Options{Log: hclog.NewNullLogger(), Placed: func(added []netip.Prefix) {
			placed = append(placed, time.Now())
			counts = append(counts, len(added))
		}, AllPlaced: func() {
			sum := 0
			for _, n := range counts {
				sum += n
			}
			all = append(all, sum)
		}})
		k.Set(Resources{}, manyVIPs(many, ipv6))
		stalled, start := nstest.WatchStalls(t), time.Now()
		if err := checkOnce(ns, k); err != nil {
			t.Fatal(err)
		}
		took, first := time.Since(start), placed[0].Sub(start)
		if got := len(onDevice(t, ns, "eth0")); got != many {
			t.Fatalf("%d addresses on the interface, want %d", got, many)
		}
		if err := checkOnce(ns, k); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(all, []int{many}) || len(counts) < 2 {
			t.Errorf("AllPlaced was called after %v addresses, want once after %d; Placed had %v", all, many, counts)
		}
		k.Set(Resources{}, Resources{})
		start = time.Now()
		if err := checkOnce(ns, k); err != nil {
			t.Fatal(err)
		}
		off, stall := time.Since(start), stalled()
		if len(all) != 1 {
			t.Error("AllPlaced was called when nothing was wanted")
		}
		t.Logf("IPv6 %v: %d addresses on in %v, the first to be announced after %v; off in %v",
			ipv6, many, took, first, off)
		if got := onDevice(t, ns, "eth0"); len(got) != 0 {
			t.Errorf("left %d addresses", len(got))
		}
		if most := 2*time.Second + stall; took > most || off > most {
			t.Errorf("%d addresses took %v on and %v off; the machine itself stalled for %v", many, took, off, stall)
		}
	}
}

// An addressFacts is an address as the kernel has it.
type addressFacts struct {
	noPrefixRoute, prefixRoute bool
}

func placeOf(t *testing.T, ns *nstest.NS, prefix string) (p addressFacts) {
	t.Helper()
	nstest.Command(t, ns, nstest.Device("eth0", func(l netlink.Link) error {
		addrs, err := netlink.AddrList(l, netlink.FAMILY_ALL)
		if err != nil {
			return err
		}
		for _, a := range addrs {
			if found, ok := rtnl.Prefix(a); ok && found.String() == prefix {
				p.noPrefixRoute = a.Flags&unix.IFA_F_NOPREFIXROUTE != 0
			}
		}
		routes, err := netlink.RouteList(l, netlink.FAMILY_ALL)
		for _, r := range routes {
			if to, ok := fromIPNet(r.Dst); ok && to == netip.MustParsePrefix(prefix).Masked() {
				p.prefixRoute = true
			}
		}
		return err
	}))
	return p
}

func TestReconcilerObeysNoPrefixRoute(t *testing.T) {
	for _, vip := range []string{"198.51.100.1/24", "2001:db8:1::1/64"} {
		t.Run(vip, func(t *testing.T) {
			ns := newSegment(t)
			var places placements
			k := New("eth0", Options{Log: hclog.NewNullLogger(), Placed: places.placed})
			for i, without := range []bool{true, false, true} {
				want := Resources{Addresses: []Address{{Prefix: netip.MustParsePrefix(vip), NoPrefixRoute: without}}}
				k.Set(Resources{}, want)
				for range 2 {
					if err := checkOnce(ns, k); err != nil {
						t.Fatal(err)
					}
				}
				if got := placeOf(t, ns, vip); got != (addressFacts{noPrefixRoute: without, prefixRoute: !without}) {
					t.Errorf("without prefix route %v: the kernel has %+v", without, got)
				}
				if got := places.count(); got != i+1 {
					t.Errorf("placed %d times after change %d", got, i+1)
				}
			}
		})
	}
}

// TestReconcilerObeysLabels: an address gets its label, also if it was there without it, and an address without a label keeps that
// of another program.
func TestReconcilerObeysLabels(t *testing.T) {
	ns := newSegment(t)
	vip := netip.MustParsePrefix("198.51.100.1/24")
	k := New("eth0", Options{Log: hclog.NewNullLogger()})
	for _, tt := range []struct{ label, want string }{{"", "eth0"}, {"eth0:web", "eth0:web"}, {"", "eth0:web"}, {"eth0:b", "eth0:b"}} {
		k.Set(Resources{}, Resources{Addresses: []Address{{Prefix: vip, Label: tt.label}}})
		for range 2 {
			if err := checkOnce(ns, k); err != nil {
				t.Fatal(err)
			}
		}
		got := ""
		nstest.Command(t, ns, nstest.Device("eth0", func(l netlink.Link) error {
			addrs, err := netlink.AddrList(l, netlink.FAMILY_V4)
			for _, a := range addrs {
				if a.IP.String() == vip.Addr().String() {
					got = a.Label
				}
			}
			return err
		}))
		if got != tt.want {
			t.Errorf("with label %q the kernel has %q, want %q", tt.label, got, tt.want)
		}
	}
}

func TestReconcilerBringsIPv6BackWithTheLink(t *testing.T) {
	ns, peer := nstest.New(t), nstest.New(t)
	nstest.Veth(t, ns, "eth0", peer, "peer0")
	k := New("eth0", Options{Log: hclog.NewNullLogger()})
	w := link.NewWatcher(hclog.NewNullLogger(), k.Link)
	w.Watch([]string{"eth0"})
	nstest.RunIn(t, ns, w.Run)
	nstest.RunIn(t, ns, k.Run)
	whole := vips("192.0.2.100/24", "2001:db8::100/64", "2001:db8::101/128")
	k.Set(Resources{}, whole)
	list := []string{"192.0.2.100/24", "2001:db8::100/64", "2001:db8::101/128"}
	awaitAddrs(t, ns, "eth0", list...)
	for range 3 {
		k.Set(whole, Resources{}) // a router with a faulty link holds nothing
		nstest.Command(t, ns, nstest.Device("eth0", netlink.LinkSetDown))
		awaitAddrs(t, ns, "eth0")
		k.Set(whole, whole) // the owner does not know of the fault yet
		nstest.Command(t, ns, nstest.Device("eth0", netlink.LinkSetUp))
		awaitAddrs(t, ns, "eth0", list...)

		nstest.Command(t, ns, nstest.Device("eth0", netlink.LinkSetDown)) // the kernel deletes the address, which is still wanted
		nstest.Command(t, ns, nstest.Device("eth0", netlink.LinkSetUp))
		stalls, start := nstest.WatchStalls(t), time.Now()
		awaitAddrs(t, ns, "eth0", list...)
		took := time.Since(start)
		if stalled := stalls(); took > checkInterval/2+stalled {
			t.Errorf("back after %v, of which the machine stalled %v: not by the event", took, stalled)
		}
	}
	if got := onDevice(t, ns, "eth0"); !slices.Equal(got, list) {
		t.Errorf("has %v", got)
	}
}

func TestReconcilerPutsBackWhatNobodySawGo(t *testing.T) {
	ns := newSegment(t)
	const times = 3 // the wake-up by Set repairs fewer
	deleted := make(chan error, times)
	var places placements
	k := New("eth0", Options{Log: hclog.NewNullLogger(), Placed: func(added []netip.Prefix) {
		places.placed(added)
		if places.count() <= times { // at once, and no Watcher reports it
			deleted <- nstest.DeleteFrom("eth0", "192.0.2.100/24")()
		}
	}})
	k.Set(Resources{}, vips("192.0.2.100/24"))
	stalls, start := nstest.WatchStalls(t), time.Now()
	nstest.RunIn(t, ns, k.Run)
	for range times {
		if err := <-deleted; err != nil {
			t.Fatal(err)
		}
	}
	awaitAddrs(t, ns, "eth0", "192.0.2.100/24")
	took := time.Since(start)
	if stalled := stalls(); took > checkInterval/2+stalled {
		t.Errorf("put back %d times within %v, of which the machine stalled %v", times, took, stalled)
	}
}
