// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/lvs/realserver"
)

// GatherRealServer collects the facts about a real server.
func GatherRealServer(ctx context.Context, c realserver.Config, machine *realserver.Machine) (Snapshot, error) {
	s, err := gather()
	if err != nil {
		return s, err
	}
	var refused *realserver.Refusal
	if s.Steps, err = machine.Check(c); errors.As(err, &refused) {
		s.Refused = refused.Error()
	} else if err != nil {
		return s, err
	}
	s.Unclear = machine.Unclear()
	if s.Gateways, err = gateways(); err != nil {
		return s, err
	}
	if err := s.findDefaultRoute(); err != nil {
		return s, err
	}
	if s.Listening, err = listening(); err != nil {
		return s, err
	}
	vips := make(map[string][]netip.Addr)
	for name, l := range s.Links {
		if name != "lo" && l.Fault() == "" && len(l.Addrs) > 0 && len(l.Hardware) == 6 {
			vips[name] = c.VIPs
		}
	}
	return s, s.askOwners(ctx, vips)
}

// gateways returns the next hops of the default routes whose hardware addresses are in the neighbour table.
func gateways() ([]Gateway, error) {
	routes, err := again(func() ([]netlink.Route, error) { return netlink.RouteList(nil, netlink.FAMILY_ALL) })
	if err != nil {
		return nil, fmt.Errorf("failed to list routes: %w", err)
	}
	var all []Gateway
	for _, r := range routes {
		gw, ok := netip.AddrFromSlice(r.Gw)
		if isDefault := r.Dst == nil || r.Dst.IP.IsUnspecified(); !ok || !isDefault {
			continue
		}
		neighbours, err := again(func() ([]netlink.Neigh, error) { return netlink.NeighList(r.LinkIndex, netlink.FAMILY_ALL) })
		if err != nil {
			return nil, fmt.Errorf("failed to list neighbours: %w", err)
		}
		i := slices.IndexFunc(neighbours, func(n netlink.Neigh) bool { return n.IP.Equal(r.Gw) })
		if i >= 0 && len(neighbours[i].HardwareAddr) == 6 {
			all = append(all, Gateway{gw.Unmap(), neighbours[i].HardwareAddr.String()})
		}
	}
	return all, nil
}

// findDefaultRoute finds out whether packets to other networks have a route, and how many had none.
func (s *Snapshot) findDefaultRoute() error {
	elsewhere := netip.MustParseAddr("198.18.0.1") // RFC 2544: of no network that is in use
	_, err := netlink.RouteGet(elsewhere.AsSlice())
	s.Routeless = errors.Is(err, unix.ENETUNREACH)
	if err != nil && !s.Routeless && !errors.Is(err, unix.EHOSTUNREACH) {
		return fmt.Errorf("failed to look for a default route: %w", err)
	}
	for _, c := range []struct{ file, group, name string }{{"snmp", "Ip:", "OutNoRoutes"}, {"netstat", "TcpExt:", "IPReversePathFilter"}} {
		text, err := os.ReadFile("/proc/thread-self/net/" + c.file)
		if err != nil {
			return fmt.Errorf("failed to read counters: %w", err)
		}
		s.Unroutable += parseCounter(string(text), c.group, c.name)
	}
	return nil
}

// parseCounter returns a counter of /proc/net/snmp or netstat, which has a line of names and a line of values for each group.
func parseCounter(text, group, name string) uint64 {
	var names []string
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) == 0 || fields[0] != group {
			continue
		}
		if names == nil {
			names = fields
			continue
		}
		for i, n := range names {
			if n == name && i < len(fields) {
				value, _ := strconv.ParseUint(fields[i], 10, 64) // 0 if the kernel writes something else
				return value
			}
		}
	}
	return 0
}
