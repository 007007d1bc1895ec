// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/garp"
)

// watch runs a Watcher in the namespace until the test ends, and returns it with the rivals that it reports.
func watch(t *testing.T, ns *namespace, iface string) (*Watcher, <-chan garp.Rival) {
	t.Helper()
	return watchLogging(t, ns, iface, hclog.NewNullLogger())
}

func watchLogging(t *testing.T, ns *namespace, iface string, log hclog.Logger) (*Watcher, <-chan garp.Rival) {
	t.Helper()
	found := make(chan garp.Rival, 16)
	w := NewWatcher(iface, log, func(r garp.Rival) { found <- r })
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		ns.do(func() {
			if err := w.Run(ctx); err != nil {
				t.Errorf("run: %v", err)
			}
		})
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	return w, found
}

func give(t *testing.T, ns *namespace, iface, prefix string) {
	t.Helper()
	command(t, ns, iface, func(l netlink.Link) error {
		a, err := netlink.ParseAddr(prefix)
		if err != nil {
			return err
		}
		a.Flags = unix.IFA_F_NODAD
		return netlink.AddrAdd(l, a)
	})
}

// TestWatcherFindsASilentRival is about the usual fault: a real server that answers requests, and sends nothing else.
func TestWatcherFindsASilentRival(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, ours, own, iface, want string }{
		{"IPv4", "192.0.2.100/24", "192.0.2.11/24", "lo", "ARP reply"},
		{"IPv6", "2001:db8::100/64", "2001:db8::11/64", "peer0", "neighbour advertisement"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ns, peer := newPair(t)
			addr := netip.MustParsePrefix(tt.ours).Addr()
			give(t, ns, "eth0", tt.ours)
			give(t, peer, "peer0", tt.own)
			eventually(t, "link-local addresses have settled", func() (ready bool) {
				command(t, ns, "eth0", func(l netlink.Link) error {
					list, err := netlink.AddrList(l, netlink.FAMILY_V6)
					for _, a := range list {
						ready = ready || a.IP.IsLinkLocalUnicast() && a.Flags&unix.IFA_F_TENTATIVE == 0
					}
					return err
				})
				return ready
			})
			w, found := watch(t, ns, "eth0")
			w.Set([]netip.Addr{addr})
			if got := w.Rivals(); len(got) > 0 {
				t.Fatalf("rivals %v before there is one", got)
			}
			give(t, peer, tt.iface, netip.PrefixFrom(addr, addr.BitLen()).String())
			start := time.Now()
			select {
			case r := <-found:
				t.Logf("reported after %v: %+v", time.Since(start), r)
				if r.Address != addr || r.Hardware != hardwareOf(t, peer, "peer0").String() || r.How != tt.want {
					t.Errorf("rival %+v, want %s by %s", r, addr, tt.want)
				}
			case <-time.After(15 * time.Second):
				t.Fatal("not reported within 15 s")
			}
			w.Set(nil)
			eventually(t, "with the addresses the rivals are gone", func() bool { return len(w.Rivals()) == 0 })
		})
	}
}

// TestWatcherIsPromptWhenSomebodyAsks checks that a claim is reported within 2 s.
func TestWatcherIsPromptWhenSomebodyAsks(t *testing.T) {
	t.Parallel()
	ns, peer := newPair(t)
	give(t, ns, "eth0", "192.0.2.100/24")
	give(t, peer, "peer0", "192.0.2.11/24")
	w, found := watch(t, ns, "eth0")
	w.Set([]netip.Addr{vip})
	// The first question was sent; the next one is due much later.
	seen := newCapture(t, peer, "peer0")
	eventually(t, "asked", func() bool {
		return slices.ContainsFunc(seen.all(), func(s sighting) bool { return s.form == garp.Request })
	})
	give(t, peer, "lo", "192.0.2.100/32")
	stalls, claimed := watchStalls(t), time.Now()
	command(t, peer, "peer0", func(l netlink.Link) error {
		b, err := frame(garp.Request, netip.MustParseAddr("192.0.2.1"), l.Attrs().HardwareAddr, false)
		if err != nil {
			return err
		}
		copy(b[38:42], vip.AsSlice()) // somebody asks for the VIP
		w := &sender{iface: "peer0"}
		defer w.close()
		if err := w.ready(time.Now()); err != nil {
			return err
		}
		return w.write(b)
	})
	select {
	case r := <-found:
		took := time.Since(claimed)
		stalled := stalls()
		t.Logf("reported after %v, of which the machine stalled %v", took, stalled)
		if took > 2*time.Second+stalled || !slices.Equal(r.Neighbours, []netip.Addr{netip.MustParseAddr("192.0.2.1")}) {
			t.Errorf("reported after %v of %+v", took, r)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("not reported within 10 s")
	}
	if w.Claims() == 0 {
		t.Error("no claim was counted")
	}
}

// TestAnInterfaceThatCameLaterIsOursToo: a new interface of this machine, such as a macvlan, is not a rival.
func TestAnInterfaceThatCameLaterIsOursToo(t *testing.T) {
	t.Parallel()
	ns, peer := newPair(t)
	other := newNamespace(t)
	ours, later := hardwareOf(t, ns, "eth0"), garp.Hardware{}
	ns.do(func() {
		p, err := newProbe("eth0")
		if err != nil {
			t.Errorf("open: %v", err)
			return
		}
		defer p.close()
		addVeth(t, ns, "eth1", other, "other0")
		later = garp.Hardware(hardwareOf(t, ns, "eth1"))
		if !p.isOwn(garp.Hardware(ours)) || !p.isOwn(later) || p.isOwn(garp.Hardware(hardwareOf(t, peer, "peer0"))) {
			t.Errorf("own addresses %v, want eth0's and eth1's and no other", p.own)
		}
	})
}

func TestOwnersFindsWhoAnswers(t *testing.T) {
	t.Parallel()
	ns, peer := newPair(t)
	give(t, ns, "eth0", "192.0.2.2/24")
	give(t, peer, "peer0", "192.0.2.11/24")
	give(t, peer, "lo", "192.0.2.100/32")
	var owners []garp.Owner
	var err error
	asked := []netip.Addr{vip, netip.MustParseAddr("192.0.2.101"), netip.MustParseAddr("192.0.2.2")}
	for range 10 { // the machine may stall for longer than Owners waits
		ns.do(func() { owners, err = Owners(context.Background(), "eth0", asked, 300*time.Millisecond) })
		if err != nil || len(owners) > 0 {
			break
		}
	}
	if err != nil || len(owners) != 1 || owners[0].Address != vip || owners[0].Hardware != hardwareOf(t, peer, "peer0").String() {
		t.Errorf("owners %+v, %v, want the peer alone", owners, err)
	}
}

func TestWatcherOutlivesItsInterface(t *testing.T) {
	t.Parallel()
	ns, peer := newNamespace(t), newNamespace(t)
	w, found := watch(t, ns, "eth0")
	w.Set([]netip.Addr{vip})
	for round := range 2 {
		addVeth(t, ns, "eth0", peer, "peer0")
		give(t, peer, "peer0", "192.0.2.100/24")
		select {
		case <-found:
		case <-time.After(15 * time.Second):
			t.Fatalf("round %d: not reported within 15 s", round)
		}
		command(t, ns, "eth0", netlink.LinkDel)
		eventually(t, "the rival is gone with the interface", func() bool { return len(w.Rivals()) == 0 })
	}
}

// TestWatcherFollowsItsInterface: another hardware address is used as soon as LinkChanged is called, long before the next
// check without a cause.
func TestWatcherFollowsItsInterface(t *testing.T) {
	t.Parallel()
	ns, peer := newPair(t)
	give(t, ns, "eth0", "192.0.2.100/24")
	seen := newCapture(t, peer, "peer0")
	const other = "02:00:5e:00:00:07"
	askedFrom := func(hardware string) bool {
		return slices.ContainsFunc(seen.all(), func(s sighting) bool { return s.form == garp.Request && s.hardware == hardware })
	}
	w, _ := watch(t, ns, "eth0")
	w.Set([]netip.Addr{vip})
	eventually(t, "asked", func() bool { return askedFrom(hardwareOf(t, ns, "eth0").String()) })
	command(t, ns, "eth0", func(l netlink.Link) error {
		hardware, err := net.ParseMAC(other)
		if err != nil {
			return err
		}
		return netlink.LinkSetHardwareAddr(l, hardware)
	})
	stalls, start := watchStalls(t), time.Now()
	w.LinkChanged()
	eventually(t, "asked from the new hardware address", func() bool { return askedFrom(other) })
	took := time.Since(start)
	if stalled := stalls(); took > sessionRetry+stalled {
		t.Errorf("asked after %v, of which the machine stalled %v; want at once: 300 ms after the new session", took, stalled)
	}
}
