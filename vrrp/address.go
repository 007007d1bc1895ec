// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// netlinkTimeout is how long the kernel may take to answer. It answers at once; a reply that was lost is an error
// and not a wait for ever.
const netlinkTimeout = 5 * time.Second

// listAttempts is how often a list of addresses that changed while it was read is read again.
const listAttempts = 10

// openNetlink opens a socket in the network namespace of the calling thread.
func openNetlink() (*netlink.Handle, error) {
	handle, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open netlink socket: %w", err)
	}
	if err := handle.SetSocketTimeout(netlinkTimeout); err != nil {
		handle.Close()
		return nil, fmt.Errorf("set timeout of netlink socket: %w", err)
	}
	return handle, nil
}

// An addressTable reads and writes the kernel's addresses through one socket; it belongs to one goroutine.
type addressTable struct {
	handle *netlink.Handle
	writes *atomic.Uint64
}

// link returns the interface, or nil if it is missing.
func (t addressTable) link(name string) (netlink.Link, error) {
	dev, err := t.handle.LinkByName(name)
	if errors.As(err, new(netlink.LinkNotFoundError)) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read interface %s: %w", name, err)
	}
	return dev, nil
}

// list returns the addresses of the interface; one that has gone has none.
func (t addressTable) list(dev netlink.Link) ([]netlink.Addr, error) {
	for attempt := 1; ; attempt++ {
		addrs, err := t.handle.AddrList(dev, netlink.FAMILY_ALL)
		if err == nil {
			return addrs, nil
		}
		if attempt == listAttempts || !errors.Is(err, netlink.ErrDumpInterrupted) {
			return nil, fmt.Errorf("read addresses of interface %s: %w", describe(dev), err)
		}
	}
}

// add puts a VIP on the interface; one that is there already is no error.
func (t addressTable) add(dev netlink.Link, p netip.Prefix) error {
	a := kernelAddr(p)
	if p.Addr().Is4() {
		// None: the kernel knows the subnet's broadcast address without being told.
		a.Broadcast = net.IPv4zero
	} else {
		forever := uint32(math.MaxUint32)
		a.Flags = unix.IFA_F_NODAD
		a.ValidLft = int(forever)
	}
	t.writes.Add(1)
	err := t.handle.AddrAdd(dev, a)
	switch {
	case errors.Is(err, unix.EEXIST):
		return nil
	case errors.Is(err, unix.EACCES) && p.Addr().Is6():
		return fmt.Errorf("%w (is sysctl net.ipv6.conf.%s.disable_ipv6 set?)", err, describe(dev))
	}
	return err
}

// remove takes those of the present addresses off the interface that are listed in off, and counts them.
//
// With a subnet's first address of IPv4 the kernel deletes the others of the subnet too, unless the sysctl
// promote_secondaries is 1. Those that are not ours are put back; those that the caller wants it adds itself.
func (t addressTable) remove(dev netlink.Link, present []netlink.Addr, off, want []netip.Prefix) (removed int, err error) {
	leave := make(map[netip.Prefix]bool, len(off))
	for _, p := range off {
		leave[p] = true
	}
	var (
		failures failures
		orphans  bool
	)
	for _, a := range present {
		p, ok := ours(a)
		if !ok || !leave[p] {
			continue
		}
		t.writes.Add(1)
		err := t.handle.AddrDel(dev, kernelAddr(p))
		switch {
		case err == nil:
			removed++
			orphans = orphans || p.Addr().Is4() && a.Flags&unix.IFA_F_SECONDARY == 0
		case errors.Is(err, unix.EADDRNOTAVAIL), errors.Is(err, unix.ENODEV):
		default:
			failures.note(fmt.Errorf("delete %s from interface %s: %w", p, describe(dev), err))
		}
	}
	if orphans {
		for _, p := range want {
			leave[p] = true
		}
		failures.note(t.restore(dev, present, leave))
	}
	return removed, failures.err()
}

// restore puts back the secondary addresses that have gone since present was read, those in leave excepted.
func (t addressTable) restore(dev netlink.Link, present []netlink.Addr, leave map[netip.Prefix]bool) error {
	left, err := t.list(dev)
	if err != nil {
		return err
	}
	there := make(map[netip.Prefix]bool, len(left))
	for _, a := range left {
		if p, ok := prefixOf(a); ok {
			there[p] = true
		}
	}
	var failures failures
	for _, a := range present {
		p, ok := prefixOf(a)
		if !ok || !p.Addr().Is4() || a.Flags&unix.IFA_F_SECONDARY == 0 || there[p] || leave[p] {
			continue
		}
		a.Flags &= unix.IFA_F_NOPREFIXROUTE | unix.IFA_F_MCAUTOJOIN
		if a.Broadcast == nil {
			a.Broadcast = net.IPv4zero
		}
		t.writes.Add(1)
		if err := t.handle.AddrAdd(dev, &a); err != nil && !errors.Is(err, unix.EEXIST) {
			failures.note(fmt.Errorf("put %s back on interface %s: %w", p, describe(dev), err))
		}
	}
	return failures.err()
}

// ours returns an address in the form in which VIPs are compared; a point-to-point address never is one.
func ours(a netlink.Addr) (netip.Prefix, bool) {
	if a.Peer != nil {
		return netip.Prefix{}, false
	}
	return prefixOf(a)
}

// prefixOf returns an address with its prefix length, of a point-to-point address its own end.
func prefixOf(a netlink.Addr) (netip.Prefix, bool) {
	if a.IPNet == nil {
		return netip.Prefix{}, false
	}
	addr, ok := netip.AddrFromSlice(a.IP)
	bits, _ := a.Mask.Size()
	return netip.PrefixFrom(addr, bits), ok
}

func kernelAddr(p netip.Prefix) *netlink.Addr {
	return &netlink.Addr{IPNet: &net.IPNet{
		IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen()),
	}}
}

func describe(dev netlink.Link) string {
	if name := dev.Attrs().Name; name != "" {
		return name
	}
	return fmt.Sprintf("number %d", dev.Attrs().Index)
}

// A failures is the first error of many and how many there were.
type failures struct {
	first error
	count int
}

func (f *failures) note(err error) {
	if err == nil {
		return
	}
	if f.count++; f.first == nil {
		f.first = err
	}
}

func (f *failures) err() error {
	if f.count <= 1 {
		return f.first
	}
	return fmt.Errorf("%w (and %d more)", f.first, f.count-1)
}
