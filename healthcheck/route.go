// SPDX-License-Identifier: Apache-2.0

package healthcheck

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// A route is how this machine reaches a real server.
type route struct {
	link int        // the interface, by its number
	next netip.Addr // the server, or the router on the way to it
	near bool       // no router is between
	from netip.Addr // the director's own address that probes come from; never the VIP
}

// findRoute asks the kernel for the route to a target; nil: there is none.
func findRoute(t Target) (*route, error) {
	server := t.endpoint().Addr()
	routes, err := netlink.RouteGet(server.AsSlice())
	switch {
	case errors.Is(err, unix.ENETUNREACH), errors.Is(err, unix.EHOSTUNREACH), err == nil && len(routes) == 0:
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("find the route to %s: %w", server, err)
	}
	r := &route{link: routes[0].LinkIndex, next: server, near: routes[0].Gw == nil, from: t.Config.Source}
	if !r.near {
		r.next, _ = netip.AddrFromSlice(routes[0].Gw)
		r.next = r.next.Unmap()
	}
	if !r.from.IsValid() {
		r.from, err = ownAddress(routes[0], server, t.Config.Via)
	}
	return r, err
}

// unresolved tells whether this machine has no way to the server, or the first machine on it does not answer address
// resolution. What cannot be found out is taken for no.
func (t Target) unresolved() bool {
	to, err := findRoute(t)
	if err != nil || to == nil {
		return err == nil
	}
	is, err := neighbour(to.link, to.next)
	return err == nil && is != nil && !resolved(is)
}

// resolved tells whether a neighbour's hardware address is known.
func resolved(is *netlink.Neigh) bool {
	const known = netlink.NUD_REACHABLE | netlink.NUD_STALE | netlink.NUD_DELAY | netlink.NUD_PROBE |
		netlink.NUD_PERMANENT | netlink.NUD_NOARP
	return is != nil && is.State&known != 0
}

// familyOf is the family of an address to sockets and to netlink, which have the same numbers.
func familyOf(a netip.Addr) int {
	if a.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

// aim gives the probe of a target that goes through the VIP its source, which must be the director's own: left to
// itself, a master's kernel takes the VIP, and the answer would never leave the server. A result is of what cannot be
// probed.
func aim(t Target) (Target, result) {
	if t.Config.Source.IsValid() {
		return t, result{}
	}
	to, err := findRoute(t)
	switch {
	case err != nil:
		return t, result{outcome: notRun, reason: err.Error()}
	case to == nil:
		res := fail(unix.ENETUNREACH.Error())
		res.silent = true
		return t, res
	}
	t.Config.Source = to.from
	return t, result{}
}

// ownAddress is the director's address towards a server: the one that the kernel would take, but the VIP, which a
// master has too.
func ownAddress(to netlink.Route, server, vip netip.Addr) (netip.Addr, error) {
	first, ok := netip.AddrFromSlice(to.Src)
	if first = first.Unmap(); ok && first != vip {
		return first, nil
	}
	link, err := netlink.LinkByIndex(to.LinkIndex)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("find the interface that leads to %s: %w", server, err)
	}
	all, err := netlink.AddrList(link, netlink.FAMILY_ALL)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("read the addresses of %s: %w", link.Attrs().Name, err)
	}
	for _, a := range all {
		ip, ok := netip.AddrFromSlice(a.IP)
		if ip = ip.Unmap(); ok && ip != vip && a.Contains(server.AsSlice()) {
			return ip, nil
		}
	}
	return netip.Addr{}, fmt.Errorf("%s has no address of this director's own in the network of %s", link.Attrs().Name, server)
}

// Ingress names the interfaces on which answers to the probes of a target may come in, loopback excepted: the one that
// leads to it, and the one that has the address which the probes come from. None: there is no route to it now.
func Ingress(t Target) ([]string, error) {
	to, err := findRoute(t)
	if err != nil || to == nil {
		return nil, err
	}
	indices := []int{to.link}
	all, err := netlink.AddrList(nil, netlink.FAMILY_ALL)
	if err != nil {
		return nil, fmt.Errorf("read the addresses of this machine: %w", err)
	}
	for _, a := range all {
		if ip, ok := netip.AddrFromSlice(a.IP); ok && ip.Unmap() == to.from && !slices.Contains(indices, a.LinkIndex) {
			indices = append(indices, a.LinkIndex)
		}
	}
	var names []string
	for _, index := range indices {
		link, err := netlink.LinkByIndex(index)
		if err != nil {
			return nil, fmt.Errorf("find the interface that leads to %s: %w", t.Addr.Addr(), err)
		}
		if link.Attrs().Name != "lo" {
			names = append(names, link.Attrs().Name)
		}
	}
	return names, nil
}
