// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"net/netip"
	"os"
	"runtime"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// A namespace is a network namespace that ends with its test.
type namespace struct {
	t      testing.TB
	handle netns.NsHandle
}

// newNamespace makes a namespace with its loopback interface up. It needs root: without root the test fails, because a
// test that did not run has shown nothing.
func newNamespace(t testing.TB) *namespace {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("namespace tests need root")
	}
	ns := &namespace{t: t}
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // without unlocking: the thread belongs to the new namespace, and ends with this goroutine
		h, err := netns.New()
		ns.handle = h
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatalf("failed to make a network namespace: %v", err)
	}
	t.Cleanup(func() { _ = ns.handle.Close() })
	ns.do(func() { bringUp(t, "lo") })
	return ns
}

// do runs f on a thread inside the namespace and waits for it. Sockets that f opens stay in the namespace. Goroutines that
// f starts do not run there. f must not call t.FailNow or t.Fatal.
func (ns *namespace) do(f func()) {
	ns.t.Helper()
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
		ns.t.Fatalf("failed to enter a network namespace: %v", err)
	}
}

// addVeth connects two namespaces by a veth pair, both ends up and ready to send: until the kernel has noticed the carrier, it
// drops what is sent without an error.
func addVeth(t testing.TB, a *namespace, nameA string, b *namespace, nameB string) {
	t.Helper()
	a.do(func() {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = nameA
		pair := &netlink.Veth{LinkAttrs: attrs, PeerName: nameB, PeerNamespace: netlink.NsFd(int(b.handle))}
		if err := netlink.LinkAdd(pair); err != nil {
			t.Errorf("failed to add the veth pair %s–%s: %v", nameA, nameB, err)
			return
		}
		bringUp(t, nameA)
	})
	b.do(func() { bringUp(t, nameB) })
	for ns, name := range map[*namespace]string{a: nameA, b: nameB} {
		eventually(t, name+" is ready", func() (ready bool) {
			ns.do(func() {
				link, err := netlink.LinkByName(name)
				ready = err == nil && link.Attrs().OperState == netlink.OperUp
			})
			return ready
		})
	}
}

func bringUp(t testing.TB, name string) {
	link, err := netlink.LinkByName(name)
	if err == nil {
		err = netlink.LinkSetUp(link)
	}
	if err != nil {
		t.Errorf("failed to bring up %s: %v", name, err)
	}
}

func addrs(list ...string) []netip.Addr {
	var all []netip.Addr
	for _, s := range list {
		all = append(all, netip.MustParseAddr(s))
	}
	return all
}
