// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"context"
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/vishvananda/netlink"

	"github.com/tandem-lvs/tandem/integration/nstest"
)

func TestLinkFault(t *testing.T) {
	tests := []struct {
		link Link
		want string
	}{
		{Link{Name: "eth0"}, "interface eth0 is missing"},
		{Link{Name: "eth0", Index: 2}, "interface eth0 is down"},
		{Link{Name: "eth0", Index: 2, Up: true}, "interface eth0 has no carrier"},
		{Link{Name: "eth0", Index: 2, Up: true, Carrier: true}, ""},
	}
	for _, tt := range tests {
		if got := tt.link.Fault(); got != tt.want {
			t.Errorf("%+v: fault %q, want %q", tt.link, got, tt.want)
		}
	}
}

// A sightings is what a Watcher told.
type sightings struct {
	mu    sync.Mutex
	last  map[string]Link
	count map[string]int
}

func (s *sightings) notify(l Link) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last[l.Name] = l
	s.count[l.Name]++
}

func (s *sightings) get(name string) (Link, int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last[name], s.count[name]
}

func (s *sightings) await(t *testing.T, name, what string, ok func(Link) bool) Link {
	t.Helper()
	var l Link
	eventually(t, what, func() bool {
		var n int
		l, n = s.get(name)
		return n > 0 && ok(l)
	})
	return l
}

// eventually polls until ok, for at most 5 s.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); !ok(); time.Sleep(200 * time.Microsecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 5 s: %s", what)
		}
	}
}

// runIn runs run inside the namespace until the test ends or stop is called; stop waits and returns run's error.
func runIn(t *testing.T, ns *nstest.NS, run func(context.Context) error) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	var err error
	go func() {
		defer close(ended)
		ns.Do(func() { err = run(ctx) })
	}()
	stop = func() error {
		cancel()
		<-ended
		return err
	}
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Errorf("run: %v", err)
		}
	})
	return stop
}

// command runs f inside the namespace and fails the test on its error.
func command(t *testing.T, ns *nstest.NS, f func() error) {
	t.Helper()
	var err error
	ns.Do(func() { err = f() })
	if err != nil {
		t.Fatal(err)
	}
}

func device(name string, f func(netlink.Link) error) func() error {
	return func() error {
		l, err := netlink.LinkByName(name)
		if err != nil {
			return err
		}
		return f(l)
	}
}

func addTo(name, prefix string) func() error {
	return device(name, func(l netlink.Link) error {
		a, err := netlink.ParseAddr(prefix)
		if err != nil {
			return err
		}
		return netlink.AddrAdd(l, a)
	})
}

func deleteFrom(name, prefix string) func() error {
	return device(name, func(l netlink.Link) error {
		a, err := netlink.ParseAddr(prefix)
		if err != nil {
			return err
		}
		return netlink.AddrDel(l, a)
	})
}

func watch(t *testing.T, ns *nstest.NS, w *Watcher, s *sightings, names ...string) {
	t.Helper()
	w.Watch(names)
	runIn(t, ns, w.Run)
	for _, name := range names {
		s.await(t, name, name+" told at once", func(Link) bool { return true })
	}
}

func newWatcher() (*Watcher, *sightings) {
	s := &sightings{last: map[string]Link{}, count: map[string]int{}}
	return NewWatcher(hclog.NewNullLogger(), s.notify), s
}

func hasAddr(prefix string) func(Link) bool {
	return func(l Link) bool { return slices.Contains(l.Addrs, netip.MustParsePrefix(prefix)) }
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

	fault := func(want string) func(Link) bool { return func(l Link) bool { return l.Fault() == want } }
	nstest.Veth(t, ns, "eth0", peer, "peer0")
	made := seen.await(t, "eth0", "made", fault(""))
	if len(made.Hardware) != 6 || made.MTU != 1500 {
		t.Errorf("hardware address %v and MTU %d, want 6 bytes and 1500", made.Hardware, made.MTU)
	}
	steps := []struct {
		what string
		ns   *nstest.NS
		do   func() error
		want func(Link) bool
	}{
		{"IPv4 address added", ns, addTo("eth0", "192.0.2.1/24"), hasAddr("192.0.2.1/24")},
		{"IPv6 address past duplicate detection", ns, addTo("eth0", "2001:db8::1/64"), hasAddr("2001:db8::1/64")},
		{"IPv4 address deleted", ns, deleteFrom("eth0", "192.0.2.1/24"),
			func(l Link) bool { return !hasAddr("192.0.2.1/24")(l) && hasAddr("2001:db8::1/64")(l) }},
		{"carrier lost", peer, device("peer0", netlink.LinkSetDown), fault("interface eth0 has no carrier")},
		{"carrier back", peer, device("peer0", netlink.LinkSetUp), fault("")},
		{"down", ns, device("eth0", netlink.LinkSetDown), fault("interface eth0 is down")},
		{"IPv6 addresses gone with the link", ns, func() error { return nil },
			func(l Link) bool { return len(l.Addrs) == 0 }},
		{"up", ns, device("eth0", netlink.LinkSetUp), fault("")},
		{"MTU set", ns, device("eth0", func(l netlink.Link) error { return netlink.LinkSetMTU(l, 1400) }),
			func(l Link) bool { return l.MTU == 1400 }},
		{"renamed away", ns, device("eth0", func(l netlink.Link) error { return netlink.LinkSetName(l, "eth9") }),
			fault("interface eth0 is missing")},
		{"renamed back", ns, device("eth9", func(l netlink.Link) error { return netlink.LinkSetName(l, "eth0") }),
			func(l Link) bool { return l.Index == made.Index && l.Fault() == "" }},
		{"deleted", ns, device("eth0", netlink.LinkDel), fault("interface eth0 is missing")},
	}
	for _, step := range steps {
		command(t, step.ns, step.do)
		seen.await(t, "eth0", step.what, step.want)
	}
	nstest.Veth(t, ns, "eth0", peer, "peer0")
	again := seen.await(t, "eth0", "made again", fault(""))
	if again.Index == made.Index {
		t.Errorf("made again with index %d as before", again.Index)
	}
}

func TestWatchReplacesTheNames(t *testing.T) {
	ns := nstest.New(t)
	w, seen := newWatcher()
	watch(t, ns, w, seen, "lo", "eth0")
	_, los := seen.get("lo")
	w.Watch([]string{"eth1", "eth0", "eth0"})
	eventually(t, "the new name told", func() bool { _, n := seen.get("eth1"); return n == 1 })
	if _, n := seen.get("eth0"); n != 2 {
		t.Errorf("eth0 told %d times, want 2: once for each Watch", n)
	}
	command(t, ns, addTo("lo", "192.0.2.1/32"))
	w.Watch([]string{"eth1"})
	eventually(t, "eth1 told again", func() bool { _, n := seen.get("eth1"); return n == 2 })
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
	seen.await(t, "eth1", "usable", func(l Link) bool { return l.Fault() == "" })
	_, before := seen.get("lo")
	command(t, ns, addTo("eth0", "192.0.2.1/24"))
	command(t, ns, addTo("eth1", "192.0.2.2/24"))
	seen.await(t, "eth1", "the later change told", hasAddr("192.0.2.2/24"))
	if _, n := seen.get("lo"); n != before {
		t.Errorf("lo told %d times while another interface changed", n-before)
	}
}

func TestWatcherLeavesTentativeAddressesOut(t *testing.T) {
	ns, peer := nstest.New(t), nstest.New(t)
	nstest.Veth(t, ns, "eth0", peer, "peer0")
	command(t, ns, setSysctl("ipv6/conf/eth0/dad_transmits", "100"))
	command(t, ns, addTo("eth0", "2001:db8::1/64"))
	w, seen := newWatcher()
	watch(t, ns, w, seen, "eth0")
	command(t, ns, addTo("eth0", "192.0.2.1/24"))
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
	command(t, ns, addMany("lo", addrs))
	took := time.Since(start)
	seen.await(t, "lo", "the whole burst", func(l Link) bool { return len(l.Addrs) >= addrs })
	_, told := seen.get("lo")
	t.Logf("%d addresses in %v told %d times", addrs, took, told)
	if told > addrs/5 {
		t.Errorf("%d changes told %d times", addrs, told)
	}
}

func TestWatcherSurvivesAnOverrun(t *testing.T) {
	ns := nstest.New(t)
	w, seen := newWatcher()
	w.buffer = 1 // the kernel makes the least of it: room for one event or two
	watch(t, ns, w, seen, "lo")
	eventually(t, "an overrun", func() bool {
		command(t, ns, addMany("lo", 50))
		command(t, ns, device("lo", netlink.LinkSetDown))
		command(t, ns, device("lo", netlink.LinkSetUp))
		return w.Resubscribed() > 0
	})
	command(t, ns, addTo("lo", "192.0.2.1/32"))
	seen.await(t, "lo", "the last change", hasAddr("192.0.2.1/32"))
}

func TestWatcherLeavesNoGoroutine(t *testing.T) {
	ns := nstest.New(t)
	before := runtime.NumGoroutine()
	w, seen := newWatcher()
	w.Watch([]string{"lo"})
	stop := runIn(t, ns, w.Run)
	seen.await(t, "lo", "told", func(l Link) bool { return l.Index > 0 })
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "goroutines ended", func() bool { return runtime.NumGoroutine() <= before })
}
