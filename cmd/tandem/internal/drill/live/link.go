// SPDX-License-Identifier: Apache-2.0

package live

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/drill"
)

// vrrpProtocol marks the routes of this director's virtual routers: the director brings them back itself.
const vrrpProtocol = 112

// errSeveralGateways says that an interface has a route that this package cannot bring back.
var errSeveralGateways = errors.New("it has a route by several gateways, which taking it down would lose")

// uppers are the kinds of interfaces that go down with the one below them.
var uppers = []string{"vlan", "macvlan", "macvtap", "ipvlan", "ipvtap", "macsec"}

// carries returns the interfaces, except own, that would lose their addresses and routes with the one below them.
func carries(below netlink.Link, own []string) (all []string, err error) {
	links, err := netlink.LinkList()
	if err != nil {
		return nil, fmt.Errorf("failed to list the interfaces: %w", err)
	}
	for _, l := range links {
		is := l.Attrs()
		if is.ParentIndex == below.Attrs().Index && slices.Contains(uppers, l.Type()) && !slices.Contains(own, is.Name) {
			all = append(all, is.Name)
		}
	}
	return all, nil
}

// lookAt returns what taking an interface down would lose: its IPv6 addresses except vips, and the routes that neither the kernel
// nor a director makes. It refuses an interface that carries others than own.
func lookAt(name string, vips []netip.Prefix, own []string) (is drill.Link, err error) {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return is, fmt.Errorf("failed to examine %s: %w", name, err)
	}
	others, err := carries(link, own)
	if err != nil {
		return is, err
	}
	if len(others) > 0 {
		return is, fmt.Errorf("%s carries %s, which would lose addresses and routes", name, strings.Join(others, ", "))
	}
	addrs, err := netlink.AddrList(link, netlink.FAMILY_V6)
	if err != nil {
		return is, fmt.Errorf("failed to list the addresses of %s: %w", name, err)
	}
	for _, a := range addrs {
		p, ok := prefixOf(a.IPNet)
		// The kernel makes those of router advertisements, which have a limited life. The link-local addresses that it makes are
		// added like the ones that somebody set: where it was first, the address is there already.
		if ok && a.Flags&unix.IFA_F_PERMANENT != 0 && !slices.Contains(vips, p) {
			is.Addresses = append(is.Addresses, p)
		}
	}
	is.Routes, err = routesOf(link)
	return is, err
}

// routesOf returns the routes of an interface in all tables that do not come back with it.
func routesOf(link netlink.Link) (all []drill.Route, err error) {
	routes, err := netlink.RouteListFiltered(netlink.FAMILY_ALL, &netlink.Route{Table: unix.RT_TABLE_UNSPEC}, netlink.RT_FILTER_TABLE)
	if err != nil {
		return nil, fmt.Errorf("failed to list the routes of %s: %w", link.Attrs().Name, err)
	}
	index := link.Attrs().Index
	for _, r := range routes {
		if slices.ContainsFunc(r.MultiPath, func(n *netlink.NexthopInfo) bool { return n.LinkIndex == index }) {
			return nil, fmt.Errorf("%s: %w", link.Attrs().Name, errSeveralGateways)
		}
		switch r.Protocol {
		case unix.RTPROT_KERNEL, unix.RTPROT_RA, unix.RTPROT_REDIRECT, vrrpProtocol:
			continue
		}
		if r.LinkIndex != index || r.Type != unix.RTN_UNICAST {
			continue
		}
		one := drill.Route{
			Table: r.Table, Metric: r.Priority, Scope: int(r.Scope), Protocol: int(r.Protocol), MTU: r.MTU,
			OnLink: r.Flags&unix.RTNH_F_ONLINK != 0,
		}
		if gateway, ok := netip.AddrFromSlice(r.Gw); ok {
			one.Gateway = gateway.Unmap()
		}
		if source, ok := netip.AddrFromSlice(r.Src); ok {
			one.Source = source.Unmap()
		}
		to, ok := prefixOf(r.Dst)
		if !ok {
			to = netip.PrefixFrom(netip.IPv4Unspecified(), 0)
			if r.Family == netlink.FAMILY_V6 {
				to = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
			}
		}
		one.To = to
		all = append(all, one)
	}
	return all, nil
}

func prefixOf(n *net.IPNet) (netip.Prefix, bool) {
	if n == nil {
		return netip.Prefix{}, false
	}
	addr, ok := netip.AddrFromSlice(n.IP)
	bits, _ := n.Mask.Size()
	return netip.PrefixFrom(addr.Unmap(), bits), ok
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

func linkDown(name string) error {
	link, err := netlink.LinkByName(name)
	if err == nil {
		err = netlink.LinkSetDown(link)
	}
	if err != nil {
		return fmt.Errorf("failed to take %s down: %w", name, err)
	}
	return nil
}

// linkUp takes an interface up, and brings back what it lost. What is there already stays.
func linkUp(name string, was drill.Link) error {
	link, err := netlink.LinkByName(name)
	if err == nil {
		err = netlink.LinkSetUp(link)
	}
	if err != nil {
		return fmt.Errorf("failed to take %s up: %w", name, err)
	}
	var errs []error
	for _, p := range was.Addresses {
		// Nobody else can have taken the address meanwhile, so it is not asked for: routes with it as source need it at once.
		if err := netlink.AddrAdd(link, &netlink.Addr{IPNet: ipNet(p), Flags: unix.IFA_F_NODAD}); err != nil && !errors.Is(err, unix.EEXIST) {
			errs = append(errs, fmt.Errorf("failed to add %s to %s: %w", p, name, err))
		}
	}
	// A gateway can be reached by another one of the routes.
	left := was.Routes
	for range len(was.Routes) + 1 {
		var again []drill.Route
		for _, r := range left {
			if addRoute(link, r) != nil {
				again = append(again, r)
			}
		}
		if left = again; len(left) == 0 {
			break
		}
	}
	for _, r := range left {
		errs = append(errs, fmt.Errorf("failed to add the route to %s to %s: %w", r.To, name, addRoute(link, r)))
	}
	return errors.Join(errs...)
}

func addRoute(link netlink.Link, r drill.Route) error {
	route := &netlink.Route{
		LinkIndex: link.Attrs().Index, Dst: ipNet(r.To), Gw: r.Gateway.AsSlice(), Src: r.Source.AsSlice(), Table: r.Table,
		Priority: r.Metric, Scope: netlink.Scope(r.Scope), Protocol: netlink.RouteProtocol(r.Protocol), MTU: r.MTU,
	}
	if r.OnLink {
		route.SetFlag(netlink.FLAG_ONLINK)
	}
	if err := netlink.RouteAdd(route); err != nil && !errors.Is(err, unix.EEXIST) {
		return err
	}
	return nil
}

// linkItems says how an interface is, with its addresses and routes.
func linkItems(name string) (items []drill.Item) {
	add := func(what, is string) { items = append(items, drill.Item{What: what, Is: is}) }
	link, err := netlink.LinkByName(name)
	if err != nil {
		add("link "+name, "gone")
		return items
	}
	state := "down"
	if link.Attrs().Flags&net.FlagUp != 0 {
		state = "up"
		if link.Attrs().RawFlags&unix.IFF_RUNNING == 0 {
			state = "up, without carrier"
		}
	}
	add("link "+name, state)
	addrs, err := netlink.AddrList(link, netlink.FAMILY_ALL)
	if err != nil {
		add("addresses of "+name, err.Error())
	}
	for _, a := range addrs {
		if p, ok := prefixOf(a.IPNet); ok && a.Flags&unix.IFA_F_TEMPORARY == 0 {
			text := "on " + name
			if a.Flags&unix.IFA_F_DADFAILED != 0 {
				text += ", a duplicate"
			}
			add("address "+p.String(), text)
		}
	}
	routes, err := routesOf(link)
	if err != nil && !errors.Is(err, errSeveralGateways) {
		add("routes of "+name, err.Error())
	}
	for _, r := range routes {
		what := fmt.Sprintf("route to %s in table %d, metric %d, on %s", r.To, r.Table, r.Metric, name)
		text := strings.TrimSpace(fmt.Sprintf("by %s from %s", orDirect(r.Gateway), orDirect(r.Source)))
		add(what, text)
	}
	return items
}

func orDirect(a netip.Addr) string {
	if !a.IsValid() {
		return "-"
	}
	return a.String()
}
