// SPDX-License-Identifier: Apache-2.0

package link

import (
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/vishvananda/netlink"

	"github.com/tandem-lvs/tandem/vrrp"
	"github.com/tandem-lvs/tandem/vrrp/internal/nstest"
)

// A sightings is what a Watcher reported.
type sightings struct {
	mu    sync.Mutex
	last  map[string]vrrp.Link
	count map[string]int
}

func (s *sightings) notify(l vrrp.Link) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last[l.Name] = l
	s.count[l.Name]++
}

func (s *sightings) get(name string) (vrrp.Link, int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last[name], s.count[name]
}

func (s *sightings) await(t *testing.T, name, what string, ok func(vrrp.Link) bool) vrrp.Link {
	t.Helper()
	var l vrrp.Link
	nstest.Eventually(t, what, func() bool {
		var n int
		l, n = s.get(name)
		return n > 0 && ok(l)
	})
	return l
}

func watch(t *testing.T, ns *nstest.NS, w *Watcher, s *sightings, names ...string) {
	t.Helper()
	w.Watch(names)
	nstest.RunIn(t, ns, w.Run)
	for _, name := range names {
		s.await(t, name, name+" told at once", func(vrrp.Link) bool { return true })
	}
}

func newWatcher() (*Watcher, *sightings) {
	s := &sightings{last: map[string]vrrp.Link{}, count: map[string]int{}}
	return NewWatcher(hclog.NewNullLogger(), s.notify), s
}

func hasAddr(prefix string) func(vrrp.Link) bool {
	return func(l vrrp.Link) bool { return slices.Contains(l.Addrs, netip.MustParsePrefix(prefix)) }
}

func TestWatcherTellsWhatAnInterfaceIs(t *testing.T) {
	ns, peer := nstest.New(t), nstest.New(t)
	w, seen := newWatcher()
	watch(t, ns, w, seen, "eth0", "lo")
	if l, _ := seen.get("lo"); l.Fault() != "" || !hasAddr("127.0.0.1/8")(l) {
		t.Errorf("lo told as %+v, want usable with 127.0.0.1/8", l)
	}
	if l, _ := seen.get("eth0"); l.Fault() != "interface eth0 is missing" {
		t.Errorf("eth0 told as %+v, want missing", l)
	}

	fault := func(want string) func(vrrp.Link) bool { return func(l vrrp.Link) bool { return l.Fault() == want } }
	nstest.Veth(t, ns, "eth0", peer, "peer0")
	made := seen.await(t, "eth0", "made", fault(""))
	if len(made.Hardware) != 6 || made.MTU != 1500 {
		t.Errorf("hardware address %v and MTU %d, want 6 bytes and 1500", made.Hardware, made.MTU)
	}
	steps := []struct {
		what string
		ns   *nstest.NS
		do   func() error
		want func(vrrp.Link) bool
	}{
		{"IPv4 address added", ns, nstest.AddTo("eth0", "192.0.2.1/24"), hasAddr("192.0.2.1/24")},
		{"IPv6 address past duplicate detection", ns, nstest.AddTo("eth0", "2001:db8::1/64"), hasAddr("2001:db8::1/64")},
		{"IPv4 address deleted", ns, nstest.DeleteFrom("eth0", "192.0.2.1/24"),
			func(l vrrp.Link) bool { return !hasAddr("192.0.2.1/24")(l) && hasAddr("2001:db8::1/64")(l) }},
		{"carrier lost", peer, nstest.Device("peer0", netlink.LinkSetDown), fault("interface eth0 has no carrier")},
		{"carrier back", peer, nstest.Device("peer0", netlink.LinkSetUp), fault("")},
		{"down", ns, nstest.Device("eth0", netlink.LinkSetDown), fault("interface eth0 is down")},
		{"IPv6 addresses gone with the link", ns, func() error { return nil },
			func(l vrrp.Link) bool { return len(l.Addrs) == 0 }},
		{"up", ns, nstest.Device("eth0", netlink.LinkSetUp), fault("")},
		{"MTU set", ns, nstest.Device("eth0", func(l netlink.Link) error { return netlink.LinkSetMTU(l, 1400) }),
			func(l vrrp.Link) bool { return l.MTU == 1400 }},
		{"renamed away", ns, nstest.Device("eth0", func(l netlink.Link) error { return netlink.LinkSetName(l, "eth9") }),
			fault("interface eth0 is missing")},
		{"renamed back", ns, nstest.Device("eth9", func(l netlink.Link) error { return netlink.LinkSetName(l, "eth0") }),
			func(l vrrp.Link) bool { return l.Index == made.Index && l.Fault() == "" }},
		{"deleted", ns, nstest.Device("eth0", netlink.LinkDel), fault("interface eth0 is missing")},
	}
	for _, step := range steps {
		nstest.Command(t, step.ns, step.do)
		seen.await(t, "eth0", step.what, step.want)
	}
	nstest.Veth(t, ns, "eth0", peer, "peer0")
	again := seen.await(t, "eth0", "made again", fault(""))
	if again.Index == made.Index {
		t.Errorf("made again with index %d as before", again.Index)
	}
}

// TestGlobalAddressesComeFirst: the kernel lists an IPv4 address of link scope before those of global scope, and an advertisement
// must not be sent from it.
func TestGlobalAddressesComeFirst(t *testing.T) {
	ns, peer := nstest.New(t), nstest.New(t)
	nstest.Veth(t, ns, "eth0", peer, "peer0")
	w, seen := newWatcher()
	watch(t, ns, w, seen, "eth0")
	nstest.Command(t, ns, nstest.AddTo("eth0", "192.0.2.7/24"))
	nstest.Command(t, ns, nstest.AddTo("eth0", "198.51.100.7/24"))
	nstest.Command(t, ns, nstest.Device("eth0", func(l netlink.Link) error {
		a, err := netlink.ParseAddr("169.254.0.7/16")
		if err != nil {
			return err
		}
		a.Scope = int(netlink.SCOPE_LINK)
		return netlink.AddrAdd(l, a)
	}))
	l := seen.await(t, "eth0", "link-scope address added", hasAddr("169.254.0.7/16"))
	var got []string
	for _, p := range l.Addrs {
		if p.Addr().Is4() {
			got = append(got, p.String())
		}
	}
	if want := "192.0.2.7/24 198.51.100.7/24 169.254.0.7/16"; strings.Join(got, " ") != want {
		t.Errorf("addresses %v, want %s", got, want)
	}
}

func TestWatchReplacesTheNames(t *testing.T) {
	ns := nstest.New(t)
	w, seen := newWatcher()
	watch(t, ns, w, seen, "lo", "eth0")
	_, los := seen.get("lo")
	w.Watch([]string{"eth1", "eth0", "eth0"})
	nstest.Eventually(t, "the new name told", func() bool { _, n := seen.get("eth1"); return n == 1 })
	if _, n := seen.get("eth0"); n != 2 {
		t.Errorf("eth0 told %d times, want 2: once for each Watch", n)
	}
	nstest.Command(t, ns, nstest.AddTo("lo", "192.0.2.1/32"))
	w.Watch([]string{"eth1"})
	nstest.Eventually(t, "eth1 told again", func() bool { _, n := seen.get("eth1"); return n == 2 })
	if _, n := seen.get("lo"); n != los {
		t.Errorf("lo told %d times after it was dropped", n-los)
	}
}

func TestWatcherIgnoresOtherInterfaces(t *testing.T) {
	ns, peer := nstest.New(t), nstest.New(t)
	nstest.Veth(t, ns, "eth0", peer, "peer0")
	nstest.Veth(t, ns, "eth1", peer, "peer1")
	w, seen := newWatcher()
	watch(t, ns, w, seen, "lo", "eth1")
	seen.await(t, "eth1", "usable", func(l vrrp.Link) bool { return l.Fault() == "" })
	_, before := seen.get("lo")
	nstest.Command(t, ns, nstest.AddTo("eth0", "192.0.2.1/24"))
	nstest.Command(t, ns, nstest.AddTo("eth1", "192.0.2.2/24"))
	seen.await(t, "eth1", "the later change told", hasAddr("192.0.2.2/24"))
	if _, n := seen.get("lo"); n != before {
		t.Errorf("lo told %d times while another interface changed", n-before)
	}
}

func TestWatcherLeavesTentativeAddressesOut(t *testing.T) {
	ns, peer := nstest.New(t), nstest.New(t)
	nstest.Veth(t, ns, "eth0", peer, "peer0")
	nstest.Command(t, ns, nstest.SetSysctl("ipv6/conf/eth0/dad_transmits", "100"))
	nstest.Command(t, ns, nstest.AddTo("eth0", "2001:db8::1/64"))
	w, seen := newWatcher()
	watch(t, ns, w, seen, "eth0")
	nstest.Command(t, ns, nstest.AddTo("eth0", "192.0.2.1/24"))
	l := seen.await(t, "eth0", "the usable address", hasAddr("192.0.2.1/24"))
	if hasAddr("2001:db8::1/64")(l) {
		t.Errorf("told %v, want nothing that is still in duplicate detection", l.Addrs)
	}
}

// addMany adds 10.x addresses through one socket.
func addMany(name string, n int) func() error {
	return func() error {
		h, err := netlink.NewHandle()
		if err != nil {
			return err
		}
		defer h.Close()
		l, err := h.LinkByName(name)
		if err != nil {
			return err
		}
		for i := range n {
			a, err := netlink.ParseAddr(fmt.Sprintf("10.0.%d.%d/32", i/250, i%250+1))
			if err == nil {
				err = h.AddrReplace(l, a)
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
}

func TestWatcherTellsABurstInFewLooks(t *testing.T) {
	const addrs = 1000
	ns := nstest.New(t)
	w, seen := newWatcher()
	watch(t, ns, w, seen, "lo")
	start := time.Now()
	nstest.Command(t, ns, addMany("lo", addrs))
	took := time.Since(start)
	seen.await(t, "lo", "the whole burst", func(l vrrp.Link) bool { return len(l.Addrs) >= addrs })
	_, told := seen.get("lo")
	t.Logf("%d addresses in %v told %d times", addrs, took, told)
	// A busy machine makes the changes slowly, and then it is no burst: the pause between two readings is 10 ms at most.
	if told > max(addrs/5, int(took/lookPause)) {
		t.Errorf("%d changes in %v told %d times", addrs, took, told)
	}
}

func TestWatcherSurvivesAnOverrun(t *testing.T) {
	ns := nstest.New(t)
	w, seen := newWatcher()
	w.buffer = 1 // the kernel raises this to its minimum: room for one or two events
	watch(t, ns, w, seen, "lo")
	nstest.Eventually(t, "an overrun", func() bool {
		nstest.Command(t, ns, addMany("lo", 50))
		nstest.Command(t, ns, nstest.Device("lo", netlink.LinkSetDown))
		nstest.Command(t, ns, nstest.Device("lo", netlink.LinkSetUp))
		return w.resubscribed.Load() > 0
	})
	nstest.Command(t, ns, nstest.AddTo("lo", "192.0.2.1/32"))
	seen.await(t, "lo", "the last change", hasAddr("192.0.2.1/32"))
}

func TestWatcherLeavesNoGoroutine(t *testing.T) {
	ns := nstest.New(t)
	before := runtime.NumGoroutine()
	w, seen := newWatcher()
	w.Watch([]string{"lo"})
	stop := nstest.RunIn(t, ns, w.Run)
	seen.await(t, "lo", "told", func(l vrrp.Link) bool { return l.Index > 0 })
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	nstest.Eventually(t, "goroutines ended", func() bool { return runtime.NumGoroutine() <= before })
}
