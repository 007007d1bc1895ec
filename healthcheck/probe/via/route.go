// SPDX-License-Identifier: Apache-2.0

package via

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/healthcheck/probe/internal/socket"
)

// A route is the way from this machine to a real server.
type route struct {
	link int        // index of the interface
	next netip.Addr // the server, or the router on the way to it
	near bool       // no router is between
	from netip.Addr // the director's own address that probes come from; never the VIP
}

// findRoute asks the kernel for the route to a target; nil: there is none.
func findRoute(t *healthcheck.Target) (*route, error) {
	server := t.Endpoint().Addr()
	routes, err := netlink.RouteGetWithOptions(server.AsSlice(), &netlink.RouteGetOptions{Oif: t.Config.Device})
	switch {
	case errors.Is(err, unix.ENETUNREACH), errors.Is(err, unix.EHOSTUNREACH), err == nil && len(routes) == 0:
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("failed to find the route to %s: %w", server, err)
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

// Unresolved reports whether this machine has no route to the server, or the next hop on the route does not answer address
// resolution. If this cannot be found out, it returns false.
func Unresolved(t *healthcheck.Target) bool {
	_, gone := nextHop(t)
	return gone
}

// Lost is Unresolved for a server that has just not answered. The kernel believes in a hardware address for up to a minute after the
// last answer. Lost has it ask at once (RFC 4861, section 7.3.3: probe), so that the checks that follow can tell a server that
// drops packets to the VIP from one that is not there. Without this, a director whose cable is silent blames all servers, and refuses
// clients when it is connected again.
func Lost(t *healthcheck.Target) bool {
	is, gone := nextHop(t)
	const believed = netlink.NUD_REACHABLE | netlink.NUD_STALE | netlink.NUD_DELAY
	if is != nil && is.State&believed != 0 {
		// The error is ignored: the kernel asks by itself, only later.
		_ = netlink.NeighSet(&netlink.Neigh{LinkIndex: is.LinkIndex, Family: is.Family, IP: is.IP, HardwareAddr: is.HardwareAddr,
			State: netlink.NUD_PROBE})
	}
	return gone
}

// nextHop returns the next hop on the route to the server, nil if the kernel does not know it. gone says that there is no route,
// or that the next hop does not answer address resolution.
func nextHop(t *healthcheck.Target) (is *netlink.Neigh, gone bool) {
	to, err := findRoute(t)
	if err != nil || to == nil {
		return nil, err == nil
	}
	is, err = neighbour(to.link, to.next)
	if err != nil {
		return nil, false
	}
	return is, is != nil && !resolved(is)
}

// neighbour looks up one address in the kernel's table of neighbours; nil: it is not there.
func neighbour(link int, addr netip.Addr) (*netlink.Neigh, error) {
	req := nl.NewNetlinkRequest(unix.RTM_GETNEIGH, 0)
	req.AddData(&netlink.Ndmsg{Family: uint8(socket.Family(addr)), Index: uint32(link)})
	req.AddData(nl.NewRtAttr(netlink.NDA_DST, addr.AsSlice()))
	messages, err := req.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWNEIGH)
	if err == unix.ENOENT || err == nil && len(messages) == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return netlink.NeighDeserialize(messages[0])
}

// resolved reports whether a neighbour's hardware address is known.
func resolved(is *netlink.Neigh) bool {
	const known = netlink.NUD_REACHABLE | netlink.NUD_STALE | netlink.NUD_DELAY | netlink.NUD_PROBE |
		netlink.NUD_PERMANENT | netlink.NUD_NOARP
	return is != nil && is.State&known != 0
}

// WithSource returns the target with one of the director's own addresses as source, unless it has a source. Otherwise a
// master's kernel would choose the VIP as source, and the answer would never leave the server. If the target cannot be
// probed, WithSource returns a result.
func WithSource(t *healthcheck.Target) (*healthcheck.Target, healthcheck.Result) {
	if t.Config.Source.IsValid() {
		return t, healthcheck.Result{}
	}
	to, err := findRoute(t)
	switch {
	case err != nil:
		return t, healthcheck.Result{Outcome: healthcheck.NotRun, Reason: err.Error()}
	case to == nil:
		return t, healthcheck.FailSilently(healthcheck.Unreachable, unix.ENETUNREACH.Error())
	}
	sourced := *t
	sourced.Config.Source = to.from
	return &sourced, healthcheck.Result{}
}

// ownAddress returns the director's address towards a server. It is the kernel's choice, unless that is the VIP, which a
// master has too.
func ownAddress(to netlink.Route, server, vip netip.Addr) (netip.Addr, error) {
	first, ok := netip.AddrFromSlice(to.Src)
	if first = first.Unmap(); ok && first != vip {
		return first, nil
	}
	link, err := netlink.LinkByIndex(to.LinkIndex)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("failed to find the interface that leads to %s: %w", server, err)
	}
	all, err := netlink.AddrList(link, netlink.FAMILY_ALL)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("failed to read the addresses of %s: %w", link.Attrs().Name, err)
	}
	for _, a := range all {
		ip, ok := netip.AddrFromSlice(a.IP)
		if ip = ip.Unmap(); ok && ip != vip && a.Contains(server.AsSlice()) {
			return ip, nil
		}
	}
	return netip.Addr{}, fmt.Errorf("%s has no address of this director's own in the network of %s", link.Attrs().Name, server)
}

// ReturnInterfaces names the interfaces where answers to the probes of a target may arrive, except loopback: the one towards
// the target, and the one that has the probes' source address. If there is no route now, it names none.
func ReturnInterfaces(t *healthcheck.Target) ([]string, error) {
	to, err := findRoute(t)
	if err != nil || to == nil {
		return nil, err
	}
	indices := []int{to.link}
	all, err := netlink.AddrList(nil, netlink.FAMILY_ALL)
	if err != nil {
		return nil, fmt.Errorf("failed to read the addresses of this machine: %w", err)
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
			return nil, fmt.Errorf("failed to find the interface that leads to %s: %w", t.Addr.Addr(), err)
		}
		if link.Attrs().Name != "lo" {
			names = append(names, link.Attrs().Name)
		}
	}
	return names, nil
}
