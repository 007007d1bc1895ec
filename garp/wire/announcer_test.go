// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"bytes"
	"fmt"
	"net"
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
	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/garp"
)

// TestEachFormConvincesTheKernel sends one frame to a neighbour that has just learned the address from another machine. For
// a second Linux defends what it has learned.
func TestEachFormConvincesTheKernel(t *testing.T) {
	before := net.HardwareAddr{0x02, 0, 0, 0, 0, 0x99}
	for _, tt := range []struct {
		form      garp.Form
		own, addr string
	}{
		{garp.Request, "192.0.2.2/24", "192.0.2.100"},
		{garp.Reply, "192.0.2.2/24", "192.0.2.100"},
		{garp.Advertisement, "2001:db8::2/64", "2001:db8::100"},
	} {
		t.Run(tt.form.String(), func(t *testing.T) {
			ns, peer := newPair(t)
			entry := func(l netlink.Link, hw net.HardwareAddr, state int) *netlink.Neigh {
				return &netlink.Neigh{LinkIndex: l.Attrs().Index, IP: net.ParseIP(tt.addr), HardwareAddr: hw, State: state}
			}
			command(t, peer, "peer0", func(l netlink.Link) error {
				own, err := netlink.ParseAddr(tt.own)
				if err != nil {
					return err
				}
				own.Flags = unix.IFA_F_NODAD
				if err := netlink.AddrAdd(l, own); err != nil {
					return err
				}
				return netlink.NeighSet(entry(l, before, netlink.NUD_REACHABLE))
			})
			ours := hardwareOf(t, ns, "eth0")
			ns.do(func() {
				w := &sender{iface: "eth0"}
				defer w.close()
				b, err := frame(tt.form, netip.MustParseAddr(tt.addr), ours, false)
				if err == nil {
					err = w.ready(time.Now())
				}
				if err == nil {
					err = w.write(b)
				}
				if err != nil {
					t.Errorf("send: %v", err)
				}
			})
			eventually(t, fmt.Sprintf("%s is at %s for the neighbour", tt.addr, ours), func() bool {
				var found string
				command(t, peer, "peer0", func(l netlink.Link) error {
					list, err := netlink.NeighList(l.Attrs().Index, netlink.FAMILY_ALL)
					for _, n := range list {
						if n.IP.String() == tt.addr {
							found = n.HardwareAddr.String()
						}
					}
					return err
				})
				return found == ours.String()
			})
		})
	}
}

// TestAFrameIsSentWhenTheTimeIsOver: the time limits the wait for room. A thread that a busy machine has stopped still sends.
func TestAFrameIsSentWhenTheTimeIsOver(t *testing.T) {
	ns, peer := newPair(t)
	seen := newCapture(t, peer, "peer0")
	ns.do(func() {
		w := &sender{iface: "eth0"}
		defer w.close()
		err := w.ready(time.Now())
		if err == nil {
			var b []byte
			if b, err = frame(garp.Reply, vip, w.hardware, false); err == nil {
				err = writeWithin(w.conn, b, -time.Second)
			}
		}
		if err != nil {
			t.Error(err)
		}
	})
	eventually(t, "it arrives", func() bool { return seen.count(garp.Reply, vip) == 1 })
}

func TestAnnouncerSendsTheSchedule(t *testing.T) {
	ns, peer := newPair(t)
	seen := newCapture(t, peer, "peer0")
	ours := hardwareOf(t, ns, "eth0").String()
	a := NewAnnouncer("eth0", hclog.NewNullLogger())
	run(t, ns, a)
	c := garp.Config{Repeat: []time.Duration{0, 150 * time.Millisecond, 300 * time.Millisecond}}
	for round := range byte(10) {
		v4, v6 := netip.AddrFrom4([4]byte{192, 0, 2, 100 + round}), netip.MustParseAddr(fmt.Sprintf("2001:db8::%d", 100+int(round)))
		before, stalls, start := a.Stats(), watchStalls(t), time.Now()
		a.Announce(c, []netip.Addr{v4, v6})
		counts := func() []int {
			return []int{seen.count(garp.Request, v4), seen.count(garp.Reply, v4), seen.count(garp.Advertisement, v6)}
		}
		// A machine that stalls until the next repeat is due leaves one out.
		eventually(t, "three announcements of both addresses", func() bool {
			return slices.Equal(counts(), []int{3, 3, 3}) || time.Since(start) > 3*time.Second
		})
		if stalled, got := stalls(), counts(); !slices.Equal(got, []int{3, 3, 3}) {
			t.Logf("round %d: %v announcements, the machine stalled for %v", round, got, stalled)
			if a.Withdraw([]netip.Addr{v4, v6}); stalled < 50*time.Millisecond || slices.Max(got) > 3 {
				t.Fatalf("%v announcements, want three of each", got)
			}
			continue
		}
		for _, s := range seen.all() {
			if s.addr == v4 && s.hardware != ours {
				t.Errorf("%s for %s from %s, want %s", s.form, s.addr, s.hardware, ours)
			}
		}
		want := before
		want.Requests, want.Replies, want.Advertisements = want.Requests+3, want.Replies+3, want.Advertisements+3
		eventually(t, "all counted", func() bool { return a.Stats() == want })
		return
	}
	t.Fatal("the machine stalled in each round")
}

func TestAnnouncerSpacesFramesAndServesTheSmallRouter(t *testing.T) {
	const spacing = 300 * time.Microsecond
	_, seen, a := newAnnouncing(t)
	large := make([]netip.Addr, 200)
	for i := range large {
		large[i] = netip.AddrFrom4([4]byte{192, 0, 2, byte(i + 1)})
	}
	small := netip.MustParseAddr("198.51.100.1")
	c := garp.Config{Repeat: []time.Duration{0}, Spacing: spacing}
	start := time.Now()
	a.Announce(c, large)
	eventually(t, "the large router's first", func() bool { return len(seen.all()) > 0 })
	sent := a.Stats()
	asked := time.Now()
	a.Announce(c, []netip.Addr{small})
	eventually(t, "everything", func() bool { return len(seen.all()) == 2*len(large)+2 })
	list := seen.all()
	last := list[len(list)-1]
	if took, least := last.at.Sub(start), time.Duration(len(list)-1)*spacing; took < least {
		t.Errorf("%d frames in %v, want at least %v", len(list), took, least)
	} else {
		t.Logf("%d frames in %v, %v apart", len(list), took, took/time.Duration(len(list)))
	}
	for i, s := range list {
		if s.addr != small {
			continue
		}
		before := int(sent.Requests + sent.Replies) // a machine that stalls may ask late
		t.Logf("the small router's first was frame %d, asked for after %d, %v after it was asked for", i, before, s.at.Sub(asked))
		if i-before > len(list)/2 {
			t.Errorf("the small router's first announcement was frame %d of %d, asked for after %d", i, len(list), before)
		}
		break
	}
}

func TestWithdrawEndsAnnouncements(t *testing.T) {
	_, seen, a := newAnnouncing(t)
	busy := garp.Config{Repeat: []time.Duration{0}, Refresh: time.Nanosecond}
	once := garp.Config{Repeat: []time.Duration{0}}
	gone := addrs("192.0.2.100", "192.0.2.101", "192.0.2.102")
	for round := range 50 {
		a.Announce(busy, gone)
		eventually(t, "announced in round "+fmt.Sprint(round), func() bool { return a.Stats().Replies > uint64(10*round) })
		a.Withdraw(gone)
		sent := a.Stats()
		mark := netip.AddrFrom4([4]byte{198, 51, 100, byte(round)})
		a.Announce(once, []netip.Addr{mark})
		eventually(t, "mark seen and counted", func() bool {
			return seen.count(garp.Reply, mark) == 1 && a.Stats().Replies > sent.Replies
		})
		if got := a.Stats(); got.Replies != sent.Replies+1 || got.Requests != sent.Requests+1 {
			t.Fatalf("round %d: counts %+v became %+v, want one more of each", round, sent, got)
		}
		list := seen.all()
		for i, s := range list[len(list)-2:] {
			if s.addr != mark {
				t.Fatalf("round %d: frame %d after the mark was asked for is of %s", round, i, s.addr)
			}
		}
	}
}

// A lockedLog is a log that may be read while it is written.
type lockedLog struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lockedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedLog) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.b.Reset()
}

func (l *lockedLog) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.b.String(), text)
}

func TestAnnouncerWaitsForItsInterface(t *testing.T) {
	t.Parallel()
	ns, peer := newNamespace(t), newNamespace(t)
	var log lockedLog
	a := NewAnnouncer("eth0", hclog.New(&hclog.LoggerOptions{Output: &log}))
	v4 := netip.MustParseAddr("192.0.2.100")
	a.Announce(garp.Config{Repeat: []time.Duration{0, time.Millisecond}, Refresh: 20 * time.Millisecond}, []netip.Addr{v4})
	// troubled does something to the interface and waits for failed attempts to send, which must be logged once.
	troubled := func(text string, do func()) {
		t.Helper()
		do()
		eventually(t, "logged: "+text, func() bool { return log.count(text) > 0 })
		before := a.Stats().Errors
		eventually(t, "tried again: "+text, func() bool { return a.Stats().Errors >= before+2 })
		if got := log.count(text); got != 1 {
			t.Errorf("%s: logged %d times, want once", text, got)
		}
	}
	replied := func(what string, seen *capture) {
		t.Helper()
		before := seen.count(garp.Reply, v4)
		eventually(t, what, func() bool { return seen.count(garp.Reply, v4) > before+1 })
		log.reset()
	}
	troubled("eth0 is missing", func() { run(t, ns, a) })
	addVeth(t, ns, "eth0", peer, "peer0")
	seen := newCapture(t, peer, "peer0")
	replied("announced when it appeared", seen)

	troubled("eth0 is down", func() { command(t, ns, "eth0", netlink.LinkSetDown) })
	command(t, ns, "eth0", netlink.LinkSetUp)
	replied("announced when it was up again", seen)

	troubled("eth0 has no carrier", func() { command(t, peer, "peer0", netlink.LinkSetDown) })
	command(t, peer, "peer0", netlink.LinkSetUp)
	replied("announced when its carrier was back", seen)

	hw := net.HardwareAddr{0x02, 0, 0, 0, 0, 0x42}
	command(t, ns, "eth0", func(l netlink.Link) error { return netlink.LinkSetHardwareAddr(l, hw) })
	eventually(t, "announced at the new hardware address", func() bool {
		list := seen.all()
		return list[len(list)-1].hardware == hw.String()
	})

	troubled("eth0 is missing", func() { command(t, ns, "eth0", netlink.LinkDel) })
	addVeth(t, ns, "eth0", peer, "peer0")
	replied("announced when it was made again", newCapture(t, peer, "peer0"))
}

func TestAnnouncerStartsAgainWhenTheInterfaceIsBack(t *testing.T) {
	ns, seen, a := newAnnouncing(t)
	v4 := netip.MustParseAddr("192.0.2.100")
	for {
		before := a.Stats()
		seenBefore := seen.count(garp.Reply, v4)
		a.Announce(garp.Config{Repeat: []time.Duration{0, time.Second}}, []netip.Addr{v4})
		eventually(t, "the first", func() bool { return seen.count(garp.Reply, v4) > seenBefore && a.Stats().Replies > before.Replies })
		command(t, ns, "eth0", netlink.LinkSetDown)
		if a.Stats().Replies > before.Replies+1 { // the machine stalled, and the repeat was earlier
			command(t, ns, "eth0", netlink.LinkSetUp)
			continue
		}
		eventually(t, "the repeat failed", func() bool { return a.Stats().Errors > before.Errors })
		command(t, ns, "eth0", netlink.LinkSetUp)
		eventually(t, "the first and its repeat once more", func() bool { return a.Stats().Replies == before.Replies+3 })
		return
	}
}

func TestAnnouncerLeavesNothingOpen(t *testing.T) {
	ns, _ := newPair(t)
	open := func() int {
		list, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	descriptors, goroutines := open(), runtime.NumGoroutine()
	a := NewAnnouncer("eth0", hclog.NewNullLogger())
	stop := run(t, ns, a)
	a.Announce(garp.DefaultConfig(), addrs("192.0.2.100"))
	eventually(t, "sent", func() bool { return a.Stats().Replies == 1 })
	stop()
	eventually(t, "descriptors closed and goroutines ended", func() bool {
		return open() <= descriptors && runtime.NumGoroutine() <= goroutines
	})
}

// A process that has no descriptor left must still announce what it takes over.
func TestAnnouncerOpensItsSocketsBeforeItNeedsThem(t *testing.T) {
	t.Parallel()
	ns, _ := newPair(t)
	run(t, ns, NewAnnouncer("eth0", hclog.NewNullLogger()))
	eventually(t, "a packet socket", func() (there bool) {
		ns.do(func() {
			text, err := os.ReadFile("/proc/thread-self/net/packet")
			there = err == nil && bytes.Count(text, []byte("\n")) == 2 // one is the heading
		})
		return there
	})
}
