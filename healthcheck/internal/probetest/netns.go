// SPDX-License-Identifier: Apache-2.0

package probetest

import (
	"os"
	"runtime"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// A NS is a network namespace that ends with its test.
type NS struct {
	tb     testing.TB
	handle netns.NsHandle
}

// NewNS makes a namespace with its loopback interface up. It needs root: without root the test fails.
func NewNS(tb testing.TB) *NS {
	tb.Helper()
	if os.Geteuid() != 0 {
		tb.Fatal("namespace tests need root")
	}
	ns := &NS{tb: tb}
	done := make(chan error)
	go func() {
		// The thread belongs to the new namespace: it stays locked and ends with this goroutine.
		runtime.LockOSThread()
		h, err := netns.New()
		ns.handle = h
		done <- err
	}()
	if err := <-done; err != nil {
		tb.Fatalf("failed to make a network namespace: %v", err)
	}
	tb.Cleanup(func() { _ = ns.handle.Close() })
	ns.Do(func() { up(tb, "lo") })
	return ns
}

// Do runs f on a thread inside the namespace and waits for it. Sockets that f opens stay in the namespace; goroutines
// that it starts do not run there. f must not call tb.FailNow or its kin.
func (ns *NS) Do(f func()) {
	ns.tb.Helper()
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		if err := netns.Set(ns.handle); err != nil {
			done <- err
			return
		}
		defer close(done)
		f()
	}()
	if err := <-done; err != nil {
		ns.tb.Fatalf("failed to enter a network namespace: %v", err)
	}
}

// Veth joins two namespaces by a veth pair, both ends up.
func Veth(tb testing.TB, a *NS, nameA string, b *NS, nameB string) {
	tb.Helper()
	a.Do(func() {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = nameA
		pair := &netlink.Veth{LinkAttrs: attrs, PeerName: nameB, PeerNamespace: netlink.NsFd(int(b.handle))}
		if err := netlink.LinkAdd(pair); err != nil {
			tb.Errorf("failed to add the veth pair %s and %s: %v", nameA, nameB, err)
			return
		}
		up(tb, nameA)
	})
	b.Do(func() { up(tb, nameB) })
}

func up(tb testing.TB, name string) {
	link, err := netlink.LinkByName(name)
	if err == nil {
		err = netlink.LinkSetUp(link)
	}
	if err != nil {
		tb.Errorf("failed to bring %s up: %v", name, err)
	}
}

// Give adds an address to an interface of the present namespace.
func Give(tb testing.TB, name, addr string) {
	tb.Helper()
	link, err := netlink.LinkByName(name)
	if err != nil {
		tb.Error(err)
		return
	}
	a, err := netlink.ParseAddr(addr)
	if err == nil {
		if a.IP.To4() == nil {
			a.Flags = 0x02 // IFA_F_NODAD
		}
		err = netlink.AddrAdd(link, a)
	}
	if err != nil {
		tb.Errorf("failed to add %s to %s: %v", addr, name, err)
	}
}

// Write writes a setting of the present namespace.
func Write(tb testing.TB, path, text string) {
	tb.Helper()
	if err := os.WriteFile(path, []byte(text), 0); err != nil {
		tb.Error(err)
	}
}

// HideLoopback makes a real server answer no ARP for the addresses of lo.
func HideLoopback(tb testing.TB) {
	tb.Helper()
	Write(tb, "/proc/sys/net/ipv4/conf/all/arp_ignore", "1")
	Write(tb, "/proc/sys/net/ipv4/conf/all/arp_announce", "2")
}
