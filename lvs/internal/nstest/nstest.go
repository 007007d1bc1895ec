// SPDX-License-Identifier: Apache-2.0

// Package nstest gives the tests of the lvs packages network namespaces of their own.
package nstest

import (
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// A NS is a network namespace that ends with its test.
type NS struct {
	tb     testing.TB
	handle netns.NsHandle
}

// New makes a namespace with its loopback interface up. It needs root: without it the test fails, because a
// namespace test that did not run has shown nothing.
func New(tb testing.TB) *NS {
	tb.Helper()
	if os.Geteuid() != 0 {
		tb.Fatal("namespace tests need root")
	}
	ns := &NS{tb: tb}
	done := make(chan error)
	go func() {
		// The thread is not unlocked and ends with this goroutine: it belongs to the new namespace.
		runtime.LockOSThread()
		h, err := netns.New()
		ns.handle = h
		done <- err
	}()
	if err := <-done; err != nil {
		tb.Fatalf("new network namespace: %v", err)
	}
	tb.Cleanup(func() { _ = ns.handle.Close() })
	ns.Do(func() {
		lo, err := netlink.LinkByName("lo")
		if err == nil {
			err = netlink.LinkSetUp(lo)
		}
		if err != nil {
			tb.Errorf("bring lo up: %v", err)
		}
	})
	return ns
}

// Do runs f on a thread inside the namespace and waits for it. Sockets that f opens stay in the namespace;
// goroutines that it starts do not run there. f must not call tb.FailNow or its kin.
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
		ns.tb.Fatalf("enter network namespace: %v", err)
	}
}

// Veth joins two namespaces by a veth pair, both ends up and ready to send: until the kernel has noticed the carrier, it drops
// what is sent without an error.
func Veth(tb testing.TB, a *NS, nameA string, b *NS, nameB string) {
	tb.Helper()
	a.Do(func() {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = nameA
		pair := &netlink.Veth{LinkAttrs: attrs, PeerName: nameB, PeerNamespace: netlink.NsFd(int(b.handle))}
		if err := netlink.LinkAdd(pair); err != nil {
			tb.Errorf("add veth %s–%s: %v", nameA, nameB, err)
			return
		}
		up(tb, nameA)
	})
	b.Do(func() { up(tb, nameB) })
	for ns, name := range map[*NS]string{a: nameA, b: nameB} {
		var state netlink.LinkOperState
		for began := time.Now(); state != netlink.OperUp; time.Sleep(time.Millisecond) {
			if time.Since(began) > 30*time.Second {
				tb.Fatalf("%s is %s, not up", name, state)
			}
			ns.Do(func() {
				if link, err := netlink.LinkByName(name); err == nil {
					state = link.Attrs().OperState
				}
			})
		}
	}
}

func up(tb testing.TB, name string) {
	link, err := netlink.LinkByName(name)
	if err == nil {
		err = netlink.LinkSetUp(link)
	}
	if err != nil {
		tb.Errorf("bring %s up: %v", name, err)
	}
}
