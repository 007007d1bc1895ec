// SPDX-License-Identifier: Apache-2.0

package realserver

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// readRoutes reads the local routing table, the default routes with their source addresses, and the routes that have a VIP as
// their source.
func (k *kernel) readRoutes(s *State, names map[int]string, vips []netip.Addr) error {
	for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
		all := &netlink.Route{Table: unix.RT_TABLE_UNSPEC}
		list, err := again(func() ([]netlink.Route, error) {
			return k.handle.RouteListFiltered(family, all, netlink.RT_FILTER_TABLE)
		})
		if err != nil {
			return fmt.Errorf("failed to list routes: %w", err)
		}
		for _, r := range list {
			p := pathOf(r, family, names)
			switch {
			case r.Type == unix.RTN_LOCAL && r.Table == unix.RT_TABLE_LOCAL:
				s.Local = append(s.Local, Route{p.Interface, p.To.Addr()})
			case r.Type == unix.RTN_UNICAST && (p.To.Bits() == 0 || slices.Contains(vips, p.Source)) && r.Protocol != unix.RTPROT_KERNEL:
				s.Paths = append(s.Paths, p)
				if err := k.addSource(s, p); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// addSource adds the address that an IPv4 default route sends from.
func (k *kernel) addSource(s *State, p Path) error {
	switch {
	case p.To.Bits() != 0:
		return nil
	case p.Source.IsValid():
		s.Sources = append(s.Sources, p.Source)
		return nil
	case !p.Gateway.Is4():
		return nil
	}
	routes, err := k.handle.RouteGet(p.Gateway.AsSlice())
	if unroutable(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("failed to find the route to %s: %w", p.Gateway, err)
	}
	for _, r := range routes {
		if source, ok := netip.AddrFromSlice(r.Src); ok {
			s.Sources = append(s.Sources, source.Unmap())
		}
	}
	return nil
}

func pathOf(r netlink.Route, family int, names map[int]string) Path {
	p := Path{To: everywhere(family == unix.AF_INET), Interface: names[r.LinkIndex], Metric: r.Priority, Table: r.Table,
		Protocol: int(r.Protocol), Several: len(r.MultiPath) > 0}
	if r.Dst != nil {
		to, _ := netip.AddrFromSlice(r.Dst.IP)
		ones, _ := r.Dst.Mask.Size()
		p.To = netip.PrefixFrom(to.Unmap(), ones)
	}
	gateway, _ := netip.AddrFromSlice(r.Gw)
	source, _ := netip.AddrFromSlice(r.Src)
	p.Gateway, p.Source = gateway.Unmap(), source.Unmap()
	return p
}

func unroutable(err error) bool {
	return errors.Is(err, unix.ENETUNREACH) || errors.Is(err, unix.EHOSTUNREACH)
}

// gateway returns the next hop to an address, or the zero Addr if the address is a neighbour or has no route.
func (k *kernel) gateway(to netip.Addr) (netip.Addr, error) {
	if !to.IsValid() {
		return netip.Addr{}, nil
	}
	routes, err := k.handle.RouteGet(net.IP(to.WithZone("").AsSlice()))
	if unroutable(err) {
		return netip.Addr{}, nil
	}
	if err != nil {
		return netip.Addr{}, fmt.Errorf("failed to find the route to %s: %w", to, err)
	}
	for _, r := range routes {
		if gw, ok := netip.AddrFromSlice(r.Gw); ok {
			return gw.Unmap(), nil
		}
	}
	return netip.Addr{}, nil
}

// setRoute replaces the route of the same destination, table and metric. Other attributes, such as a route's MTU, stay if
// only the source changes.
func (k *kernel) setRoute(p Path) error {
	dev, err := k.handle.LinkByName(p.Interface)
	if err != nil {
		return fmt.Errorf("failed to set route to %s: %w", p.To, err)
	}
	family := unix.AF_INET
	if p.To.Addr().Is6() {
		family = unix.AF_INET6
	}
	want := route(p, dev.Attrs().Index)
	present, err := again(func() ([]netlink.Route, error) {
		return k.handle.RouteListFiltered(family, &netlink.Route{Table: p.Table}, netlink.RT_FILTER_TABLE)
	})
	if err != nil {
		return fmt.Errorf("failed to list routes: %w", err)
	}
	names := map[int]string{dev.Attrs().Index: p.Interface}
	for _, r := range present {
		if pathOf(r, family, names).reaches(p) {
			source := want.Src
			want = r
			want.Src = source
		}
	}
	if err := k.handle.RouteReplace(&want); err != nil {
		return fmt.Errorf("failed to set route to %s: %w", p.To, err)
	}
	return nil
}

func (k *kernel) deleteRoute(p Path) error {
	dev, err := k.handle.LinkByName(p.Interface)
	if err == nil {
		r := route(p, dev.Attrs().Index)
		err = k.handle.RouteDel(&r)
	}
	if err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("failed to delete route to %s: %w", p.To, err)
	}
	return nil
}

func route(p Path, index int) netlink.Route {
	r := netlink.Route{LinkIndex: index, Dst: network(p.To), Priority: p.Metric, Table: p.Table, Protocol: netlink.RouteProtocol(p.Protocol)}
	if p.Gateway.IsValid() {
		r.Gw = p.Gateway.AsSlice()
	} else {
		r.Scope = netlink.SCOPE_LINK
	}
	if p.Source.IsValid() {
		r.Src = p.Source.AsSlice()
	}
	return r
}

func (k *kernel) addLocalRoute(a Address) error {
	dev, err := k.handle.LinkByName(a.Interface)
	if err == nil {
		err = k.handle.RouteReplace(&netlink.Route{
			LinkIndex: dev.Attrs().Index, Dst: network(a.Prefix), Table: unix.RT_TABLE_LOCAL, Type: unix.RTN_LOCAL,
			Scope: netlink.SCOPE_HOST, Src: a.Prefix.Addr().AsSlice(),
		})
	}
	if err != nil {
		return fmt.Errorf("failed to add local route %s on %s: %w", a.Prefix, a.Interface, err)
	}
	return nil
}

// directed returns the addresses of the virtual services of this namespace's IPVS table.
func directed() ([]netip.Addr, error) {
	f, err := os.Open("/proc/thread-self/net/ip_vs")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // the kernel has no IPVS
	}
	if err != nil {
		return nil, fmt.Errorf("failed to read the IPVS table: %w", err)
	}
	defer f.Close()
	var all []netip.Addr
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if addr, ok := parseService(lines.Text()); ok {
			all = append(all, addr)
		}
	}
	return all, lines.Err()
}

// parseService returns the address of a service in a line of /proc/net/ip_vs: "TCP  C0000264:0050 wrr", or "TCP
// [2001:0db8:…:0100]:0050 wrr". Lines of servers begin with "  ->", lines of marks with "FWM".
func parseService(line string) (netip.Addr, bool) {
	fields := strings.Fields(line)
	if len(fields) < 2 || !slices.Contains([]string{"TCP", "UDP", "SCTP"}, fields[0]) {
		return netip.Addr{}, false
	}
	host, _, err := net.SplitHostPort(fields[1])
	if err != nil {
		return netip.Addr{}, false
	}
	if raw, err := hex.DecodeString(host); err == nil {
		return netip.AddrFromSlice(raw)
	}
	addr, err := netip.ParseAddr(host)
	return addr, err == nil
}
