// SPDX-License-Identifier: Apache-2.0

package address

import (
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/vrrp/internal/rtnl"
)

// portion is the number of addresses that one request adds or deletes. It is large enough that the system calls cost little,
// and small enough that the announcement of the first address does not wait long.
const portion = 16

// addresses returns the addresses of the interface; an interface that has gone has none.
func (k *kernel) addresses(dev netlink.Link) (addrs []netlink.Addr, err error) {
	err = again(func() error {
		addrs, err = k.handle.AddrList(dev, netlink.FAMILY_ALL)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("failed to read addresses of interface %s: %w", describe(dev), err)
	}
	return addrs, nil
}

// addAddresses adds VIPs to the interface, or corrects their flags. It returns the new ones.
func (k *kernel) addAddresses(dev netlink.Link, list []Address) (added []Address, err error) {
	requests := make([]*nl.NetlinkRequest, len(list))
	for i, a := range list {
		// An existing address stays as it is in IPv4, and gets the flags in IPv6.
		flags := unix.NLM_F_CREATE | unix.NLM_F_EXCL
		if a.Addr().Is6() {
			flags = unix.NLM_F_CREATE | unix.NLM_F_REPLACE
		}
		requests[i] = addressRequest(unix.RTM_NEWADDR, flags, dev, a)
	}
	answers, err := k.write(requests)
	if err != nil {
		return nil, fmt.Errorf("failed to add addresses to %s: %w", describe(dev), err)
	}
	var failures failures
	for i, err := range answers {
		a := list[i]
		switch {
		case err == nil:
			added = append(added, a)
		case errors.Is(err, unix.EEXIST):
		case errors.Is(err, unix.EACCES) && a.Addr().Is6():
			failures.add(fmt.Errorf("failed to add %s to %s: %w (is sysctl net.ipv6.conf.%[2]s.disable_ipv6 set?)", a, describe(dev), err))
		default:
			failures.add(fmt.Errorf("failed to add %s to %s: %w", a, describe(dev), err))
		}
	}
	return added, failures.err()
}

// addressRequest returns the request to add or delete a VIP.
func addressRequest(operation, flags int, dev netlink.Link, a Address) *nl.NetlinkRequest {
	family := unix.AF_INET
	if a.Addr().Is6() {
		family = unix.AF_INET6
	}
	header := nl.NewIfAddrmsg(family)
	header.Index, header.Prefixlen = uint32(dev.Attrs().Index), uint8(a.Bits())
	r := nl.NewNetlinkRequest(operation, flags)
	r.AddData(header)
	r.AddData(nl.NewRtAttr(unix.IFA_LOCAL, a.Addr().AsSlice()))
	r.AddData(nl.NewRtAttr(unix.IFA_ADDRESS, a.Addr().AsSlice()))
	if operation == unix.RTM_DELADDR {
		return r
	}
	var set uint32
	if a.NoPrefixRoute {
		set |= unix.IFA_F_NOPREFIXROUTE
	}
	if family == unix.AF_INET6 {
		set |= unix.IFA_F_NODAD
		// Valid without limit, never preferred.
		times := nl.IfaCacheInfo{IfaCacheinfo: unix.IfaCacheinfo{Valid: math.MaxUint32}}
		r.AddData(nl.NewRtAttr(unix.IFA_CACHEINFO, times.Serialize()))
	}
	if a.Label != "" {
		r.AddData(nl.NewRtAttr(unix.IFA_LABEL, nl.ZeroTerminated(a.Label)))
	}
	r.AddData(nl.NewRtAttr(unix.IFA_FLAGS, nl.Uint32Attr(set)))
	return r
}

// removeAddresses removes those of the present addresses that are listed in off, and counts them.
//
// If the first IPv4 address of a subnet is deleted, the kernel deletes the others of the subnet too, unless the sysctl
// promote_secondaries is 1. Addresses that are not ours are put back. The caller adds those in want.
func (k *kernel) removeAddresses(dev netlink.Link, present []netlink.Addr, off, want []Address) (removed int, err error) {
	leave := make(map[netip.Prefix]bool, len(off))
	last := lastOwned(present, off, want)
	for _, a := range off {
		leave[a.Prefix] = !(last && a.Owned && a.Addr().Is4())
	}
	var (
		failures failures
		lost     bool // the kernel may delete other addresses as well
		leaving  []Address
	)
	for _, a := range present {
		if p, ok := vipOf(a); ok && leave[p] {
			leaving = append(leaving, Address{Prefix: p})
			lost = lost || p.Addr().Is4() && a.Flags&unix.IFA_F_SECONDARY == 0
		}
	}
	for len(leaving) > 0 {
		few := leaving[:min(portion, len(leaving))]
		leaving = leaving[len(few):]
		gone, err := k.deleteAddresses(dev, few)
		removed += gone
		failures.add(err)
	}
	if lost {
		for _, a := range want {
			leave[a.Prefix] = true
		}
		failures.add(k.restore(dev, present, leave))
	}
	return removed, failures.err()
}

// lastOwned reports whether an interface has no other IPv4 addresses than ours.
func lastOwned(present []netlink.Addr, off, want []Address) bool {
	managed := make(map[netip.Prefix]bool, len(off)+len(want))
	for _, list := range [][]Address{off, want} {
		for _, a := range list {
			managed[a.Prefix] = true
		}
	}
	return !slices.ContainsFunc(present, func(a netlink.Addr) bool {
		p, ok := rtnl.Prefix(a)
		return ok && p.Addr().Is4() && !managed[p]
	})
}

// deleteAddresses deletes addresses and counts them. A missing address is not an error.
func (k *kernel) deleteAddresses(dev netlink.Link, list []Address) (deleted int, err error) {
	requests := make([]*nl.NetlinkRequest, len(list))
	for i, a := range list {
		requests[i] = addressRequest(unix.RTM_DELADDR, 0, dev, a)
	}
	answers, err := k.write(requests)
	if err != nil {
		return 0, fmt.Errorf("failed to delete addresses from interface %s: %w", describe(dev), err)
	}
	var failures failures
	for i, err := range answers {
		switch {
		case err == nil:
			deleted++
		case errors.Is(err, unix.EADDRNOTAVAIL), errors.Is(err, unix.ENODEV):
		default:
			failures.add(fmt.Errorf("failed to delete %s from interface %s: %w", list[i], describe(dev), err))
		}
	}
	return deleted, failures.err()
}

// restore puts back the secondary addresses that have gone since present was read, except those in leave.
func (k *kernel) restore(dev netlink.Link, present []netlink.Addr, leave map[netip.Prefix]bool) error {
	left, err := k.addresses(dev)
	if err != nil {
		return err
	}
	there := make(map[netip.Prefix]bool, len(left))
	for _, a := range left {
		if p, ok := rtnl.Prefix(a); ok {
			there[p] = true
		}
	}
	var failures failures
	for _, a := range present {
		p, ok := rtnl.Prefix(a)
		if !ok || !p.Addr().Is4() || a.Flags&unix.IFA_F_SECONDARY == 0 || there[p] || leave[p] {
			continue
		}
		a.Flags &= unix.IFA_F_NOPREFIXROUTE | unix.IFA_F_MCAUTOJOIN
		if a.Broadcast == nil {
			a.Broadcast = net.IPv4zero
		}
		k.writes.Add(1)
		if err := k.handle.AddrAdd(dev, &a); err != nil && !errors.Is(err, unix.EEXIST) {
			failures.add(fmt.Errorf("failed to put %s back on interface %s: %w", p, describe(dev), err))
		}
	}
	return failures.err()
}

// vipOf returns an address in the form in which VIPs are compared. A point-to-point address is never a VIP.
func vipOf(a netlink.Addr) (netip.Prefix, bool) {
	if a.Peer != nil {
		return netip.Prefix{}, false
	}
	return rtnl.Prefix(a)
}
