// SPDX-License-Identifier: Apache-2.0

package address

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
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
	"github.com/tandem-lvs/tandem/vrrp/link"
)

// A placements is what a running Reconciler placed.
type placements struct {
	mu   sync.Mutex
	list []netip.Prefix
}

func (p *placements) placed(added []netip.Prefix) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.list = append(p.list, added...)
}

func (p *placements) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.list)
}

func awaitAddrs(t *testing.T, ns *nstest.NS, name string, want ...string) {
	t.Helper()
	nstest.Eventually(t, fmt.Sprintf("%s has %v", name, want), func() bool {
		return slices.Equal(onDevice(t, ns, name), want)
	})
}

func TestReconcilerFollowsOrders(t *testing.T) {
	ns := newSegment(t, "192.0.2.1/24")
	k := New("eth0", Options{Log: hclog.NewNullLogger()})
	stop := nstest.RunIn(t, ns, k.Run)
	k.Set(vips("192.0.2.100/24", "192.0.2.101/24"), vips("192.0.2.100/24", "192.0.2.101/24"))
	awaitAddrs(t, ns, "eth0", "192.0.2.1/24", "192.0.2.100/24", "192.0.2.101/24")
	k.Set(vips("192.0.2.100/24", "192.0.2.101/24"), vips("192.0.2.101/24"))
	awaitAddrs(t, ns, "eth0", "192.0.2.1/24", "192.0.2.101/24")
	k.Set(vips("192.0.2.101/32", "2001:db8::100/64"), vips("192.0.2.101/32", "2001:db8::100/64"))
	awaitAddrs(t, ns, "eth0", "192.0.2.1/24", "192.0.2.101/32", "2001:db8::100/64")
	k.Set(vips("2001:db8::100/128"), vips("2001:db8::100/128"))
	awaitAddrs(t, ns, "eth0", "192.0.2.1/24", "2001:db8::100/128")
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if got := onDevice(t, ns, "eth0"); !slices.Equal(got, []string{"192.0.2.1/24"}) {
		t.Errorf("left %v behind when it ended", got)
	}
}

// An owner's address that is the only one of the machine stays; beside another address it is a VIP like others.
func TestReconcilerLeavesAnOwnerItsLastAddress(t *testing.T) {
	c := testConfig(vrrp.PriorityOwner)
	c.VIPs, c.ExcludedVIPs = prefixes("192.0.2.100/24"), prefixes("192.0.2.101/24")
	owned := PlacementsOf(c)[0].Resources
	for _, tt := range []struct{ before, after []string }{
		{[]string{"192.0.2.100/24"}, []string{"192.0.2.100/24"}},
		{[]string{"192.0.2.100/24", "192.0.2.101/24"}, []string{"192.0.2.100/24", "192.0.2.101/24"}},
		{[]string{"192.0.2.1/24", "192.0.2.100/24"}, []string{"192.0.2.1/24"}},
	} {
		ns := newSegment(t, tt.before...)
		k := New("eth0", Options{Log: hclog.NewNullLogger()})
		stop := nstest.RunIn(t, ns, k.Run)
		k.Set(owned, Resources{})
		awaitAddrs(t, ns, "eth0", tt.after...)
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		if got := onDevice(t, ns, "eth0"); !slices.Equal(got, tt.after) {
			t.Errorf("of %v it left %v, want %v", tt.before, got, tt.after)
		}
	}
}

func TestReconcilerTakesLeaversOffAlsoWhenItWasNotLooking(t *testing.T) {
	ns := newSegment(t, "192.0.2.100/24")
	k := New("eth0", Options{Log: hclog.NewNullLogger()})
	k.Set(vips("192.0.2.100/24"), vips("192.0.2.100/24"))
	k.Set(vips("192.0.2.101/24"), Resources{})
	k.Set(Resources{}, Resources{})
	if err := checkOnce(ns, k); err != nil {
		t.Fatal(err)
	}
	if got := onDevice(t, ns, "eth0"); len(got) != 0 {
		t.Errorf("left %v, want nothing", got)
	}
	if _, off := k.desired(); !off.empty() {
		t.Errorf("still to come off: %v", off)
	}
}

// runWatched runs a Reconciler of eth0 of a namespace, and a Watcher that tells it of changes. It records what is placed.
func runWatched(t *testing.T, ns *nstest.NS) (*Reconciler, *placements) {
	t.Helper()
	places := new(placements)
	k := New("eth0", Options{Log: hclog.NewNullLogger(), Placed: places.placed})
	w := link.NewWatcher(hclog.NewNullLogger(), k.Link)
	w.Watch([]string{"eth0"})
	nstest.RunIn(t, ns, w.Run)
	nstest.RunIn(t, ns, k.Run)
	return k, places
}

func TestReconcilerPutsBackAtOnceWhatSomebodyDeleted(t *testing.T) {
	ns := newSegment(t, "192.0.2.1/24")
	k, places := runWatched(t, ns)
	k.Set(Resources{}, vips("192.0.2.100/24", "2001:db8::100/64"))
	whole := []string{"192.0.2.1/24", "192.0.2.100/24", "2001:db8::100/64"}
	awaitAddrs(t, ns, "eth0", whole...)
	nstest.Eventually(t, "both are announced", func() bool { return places.count() == 2 })
	for _, gone := range []string{"192.0.2.100/24", "2001:db8::100/64"} {
		before := places.count()
		repaired, _ := k.Repairs()
		stalls, start := nstest.WatchStalls(t), time.Now()
		nstest.Command(t, ns, nstest.DeleteFrom("eth0", gone))
		nstest.Eventually(t, gone+" announced again", func() bool { return places.count() == before+1 })
		took := time.Since(start)
		stalled := stalls()
		t.Logf("%s was back within %v, of which the machine stalled %v", gone, took, stalled)
		if took >= checkInterval/2+stalled {
			t.Errorf("%s back after %v, of which the machine stalled %v: not by the event", gone, took, stalled)
		}
		nstest.Eventually(t, gone+" is counted", func() bool {
			n, last := k.Repairs()
			return n == repaired+1 && last == gone
		})
		awaitAddrs(t, ns, "eth0", whole...)
	}
	nstest.Command(t, ns, nstest.Device("eth0", netlink.LinkSetDown))
	nstest.Command(t, ns, nstest.Device("eth0", netlink.LinkSetUp))
	awaitAddrs(t, ns, "eth0", whole...)
}

func TestReconcilerPutsBackWithoutAWatcher(t *testing.T) {
	ns := newSegment(t)
	k := New("eth0", Options{Log: hclog.NewNullLogger()})
	nstest.RunIn(t, ns, k.Run)
	k.Set(Resources{}, vips("192.0.2.100/24"))
	awaitAddrs(t, ns, "eth0", "192.0.2.100/24")
	nstest.Command(t, ns, nstest.DeleteFrom("eth0", "192.0.2.100/24"))
	awaitAddrs(t, ns, "eth0", "192.0.2.100/24")
}

func TestReconcilerWaitsForItsInterface(t *testing.T) {
	ns, peer := nstest.New(t), nstest.New(t)
	var log strings.Builder
	var places placements
	k := New("eth0", Options{Log: hclog.New(&hclog.LoggerOptions{Output: &log}), Placed: places.placed})
	k.Set(Resources{}, vips("192.0.2.100/24"))
	for range 3 {
		if err := checkOnce(ns, k); err != nil {
			t.Fatalf("interface missing: %v", err)
		}
	}
	if log.Len() > 0 || k.Writes() > 0 {
		t.Errorf("%d writes and log %q while the interface was missing, want none", k.Writes(), log.String())
	}
	nstest.RunIn(t, ns, k.Run)
	nstest.Veth(t, ns, "eth0", peer, "peer0")
	awaitAddrs(t, ns, "eth0", "192.0.2.100/24")
}

func TestReconcilerFollowsTheNameNotTheDevice(t *testing.T) {
	ns, peer := newSegment(t), nstest.New(t)
	k := New("eth0", Options{Log: hclog.NewNullLogger()})
	w := link.NewWatcher(hclog.NewNullLogger(), k.Link)
	w.Watch([]string{"eth0"})
	nstest.RunIn(t, ns, w.Run)
	nstest.RunIn(t, ns, k.Run)
	k.Set(Resources{}, vips("192.0.2.100/24"))
	awaitAddrs(t, ns, "eth0", "192.0.2.100/24")
	nstest.Command(t, ns, nstest.Device("eth0", netlink.LinkSetDown))
	nstest.Command(t, ns, nstest.Device("eth0", func(l netlink.Link) error { return netlink.LinkSetName(l, "eth9") }))
	awaitAddrs(t, ns, "eth9")
	nstest.Veth(t, ns, "eth0", peer, "peer1")
	awaitAddrs(t, ns, "eth0", "192.0.2.100/24")
}

func TestReconcilerTriesAgainAndLogsOnce(t *testing.T) {
	ns := newSegment(t)
	nstest.Command(t, ns, nstest.SetSysctl("ipv6/conf/eth0/disable_ipv6", "1"))
	var log strings.Builder
	k := New("eth0", Options{Log: hclog.New(&hclog.LoggerOptions{Output: &log})})
	k.Set(Resources{}, vips("192.0.2.100/24", "2001:db8::100/64", "2001:db8::101/64"))
	stop := nstest.RunIn(t, ns, k.Run)
	nstest.Eventually(t, "tried three times", func() bool { return k.Writes() >= 1+3*2 })
	awaitAddrs(t, ns, "eth0", "192.0.2.100/24")
	nstest.Command(t, ns, nstest.SetSysctl("ipv6/conf/eth0/disable_ipv6", "0"))
	awaitAddrs(t, ns, "eth0", "192.0.2.100/24", "2001:db8::100/64", "2001:db8::101/64")
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"disable_ipv6 set?) (and 1 more)", "as they should be again"} {
		if n := strings.Count(log.String(), line); n != 1 {
			t.Errorf("logged %d times, want once: %s\n%s", n, line, log.String())
		}
	}
}

func TestReconcilerTellsOnceWhatItHolds(t *testing.T) {
	ns := newSegment(t)
	nstest.Command(t, ns, nstest.SetSysctl("ipv4/conf/eth0/promote_secondaries", "1"))
	var places placements
	k := New("eth0", Options{Log: hclog.NewNullLogger(), Placed: places.placed})
	both := vips("192.0.2.100/24", "192.0.2.101/24")
	for _, step := range []struct {
		what string
		want Resources
		told int
	}{
		{"both added", both, 2},
		{"still there", both, 2},
		{"one comes off, the other is not told again", vips("192.0.2.101/24"), 2},
		{"and comes back", both, 3},
	} {
		k.Set(both, step.want)
		if err := checkOnce(ns, k); err != nil {
			t.Fatal(err)
		}
		if got := places.count(); got != step.told {
			t.Errorf("%s: placed %d times, want %d", step.what, got, step.told)
		}
	}
}

func TestReconcilerEndsThoughNothingIsThere(t *testing.T) {
	ns := nstest.New(t)
	k := New("missing0", Options{Log: hclog.NewNullLogger()})
	k.Set(Resources{}, vips("192.0.2.100/24"))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	nstest.Command(t, ns, func() error { return k.Run(ctx) })
}

func TestReconcilerLeavesNothingOpen(t *testing.T) {
	ns := newSegment(t)
	open := func() int {
		list, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	descriptors, goroutines := open(), runtime.NumGoroutine()
	k := New("eth0", Options{Log: hclog.NewNullLogger()})
	stop := nstest.RunIn(t, ns, k.Run)
	k.Set(Resources{}, vips("192.0.2.100/24"))
	awaitAddrs(t, ns, "eth0", "192.0.2.100/24")
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	nstest.Eventually(t, "descriptors closed and goroutines ended", func() bool {
		return open() <= descriptors && runtime.NumGoroutine() <= goroutines
	})
}

// The checks become rarer the longer nothing has changed. What a link.Watcher reports needs the fewest.
func TestReconcilerChecksLessAndLess(t *testing.T) {
	routed := vips("192.0.2.100/24")
	routed.Routes = []vrrp.Route{route("203.0.113.0/24", via("192.0.2.2"))}
	for _, tt := range []struct {
		what            string
		watched, failed bool
		want            Resources
		unchanged       time.Duration
		pause           time.Duration
	}{
		{"just changed", true, false, vips("192.0.2.100/24"), 0, 20 * time.Millisecond},
		{"changed a while ago", true, false, vips("192.0.2.100/24"), 300 * time.Millisecond, 300 * time.Millisecond},
		{"calm", true, false, vips("192.0.2.100/24"), time.Hour, 30 * time.Second},
		{"calm, a backup", true, false, Resources{}, time.Hour, 30 * time.Second},
		{"calm, and nobody watches", false, false, vips("192.0.2.100/24"), time.Hour, time.Second},
		{"calm, with routes", true, false, routed, time.Hour, time.Second},
		{"failed", true, true, vips("192.0.2.100/24"), time.Hour, 100 * time.Millisecond},
		{"failed, just changed", true, true, vips("192.0.2.100/24"), 0, 20 * time.Millisecond},
	} {
		rc := New("eth0", Options{Log: hclog.NewNullLogger()})
		if tt.watched {
			rc.Link(vrrp.Link{Name: "eth0"})
		}
		var err error
		if tt.failed {
			err = errors.New("it failed")
		}
		if got := rc.pause(tt.want, err, tt.unchanged); got != tt.pause {
			t.Errorf("%s: next check after %v, want %v", tt.what, got, tt.pause)
		}
	}
}

// Not only the first deletion is an event: neither the pauses that grow nor a former deletion hide the next.
func TestReconcilerPutsBackWhatSomebodyDeletesAgainAndAgain(t *testing.T) {
	ns := newSegment(t, "192.0.2.1/24")
	k, places := runWatched(t, ns)
	k.Set(Resources{}, vips("192.0.2.100/24"))
	nstest.Eventually(t, "it is announced", func() bool { return places.count() == 1 })
	for round := range 200 {
		before := places.count()
		nstest.Command(t, ns, nstest.DeleteFrom("eth0", "192.0.2.100/24"))
		nstest.Eventually(t, fmt.Sprintf("put back in round %d", round), func() bool { return places.count() > before })
	}
}
