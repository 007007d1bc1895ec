// SPDX-License-Identifier: Apache-2.0

package workers

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/core"
	"github.com/tandem-lvs/tandem/garp/wire"
)

const (
	// askPause is the pause between two questions.
	askPause = time.Second
	// askWait is how long one question waits for answers.
	askWait = 300 * time.Millisecond
	// maxAsked is the maximum number of neighbours on an interface that one question names.
	maxAsked = 16
	// maxRouted is the maximum number of real servers whose routes are looked up, every routesPause.
	maxRouted   = 256
	routesPause = 30 * time.Second
)

// Neighbours asks, after a real server has stopped answering and while all are silent, whether any machine answers on the
// interfaces towards them. A machine answers ARP and neighbour solicitations even if its services are down or its firewall drops packets.
type Neighbours struct {
	Post Post
	In   Mailbox[core.Question]

	// Routes and Ask use the kernel, except in tests. Routes returns the neighbours to ask, by interface. Ask reports whether
	// one of them answers.
	Routes func(servers, others []netip.Addr) (map[string][]netip.Addr, error)
	Ask    func(ctx context.Context, iface string, who []netip.Addr) (bool, error)

	question core.Question
	routes   map[string][]netip.Addr
	last     core.Neighbours
}

// Run asks until ctx ends.
func (w *Neighbours) Run(ctx context.Context) error {
	if w.Routes == nil {
		w.Routes, w.Ask = routesTo, askNeighbours
	}
	for {
		var tick <-chan time.Time
		switch {
		case w.question.Silence != 0:
			tick = time.After(askPause)
		case len(w.question.Servers) > 0:
			tick = time.After(routesPause)
		}
		select {
		case <-ctx.Done():
			return nil
		case w.question = <-w.In:
		case <-tick:
		}
		// While servers are silent, the routes are not looked up again. If the first interface is down, a route over
		// another interface does not lead to the servers.
		if w.question.Silence == 0 || len(w.routes) == 0 {
			if routes, err := w.Routes(w.question.Servers[:min(len(w.question.Servers), maxRouted)], w.question.Others); err == nil {
				w.routes = routes
			}
		}
		if w.question.Silence == 0 {
			continue
		}
		if is := w.ask(ctx); ctx.Err() == nil && is != w.last {
			w.last = is
			w.Post(is)
		}
	}
}

// ask asks once on every interface, until a machine answers.
func (w *Neighbours) ask(ctx context.Context) core.Neighbours {
	is := core.Neighbours{Silence: w.question.Silence}
	for _, iface := range slices.Sorted(maps.Keys(w.routes)) {
		answer, err := w.Ask(ctx, iface, w.routes[iface])
		if answer {
			return core.Neighbours{Silence: w.question.Silence, Answer: true}
		}
		if err != nil {
			is.Problem = fmt.Sprintf("failed to ask the neighbours: %v", err)
		}
	}
	if len(w.routes) == 0 {
		is.Problem = "" // without a route to the servers, the director is as cut off as without a cable
	}
	return is
}

// routesTo finds the interfaces towards real servers, and the neighbours on the route. A server on the segment itself is
// asked like a neighbour: a machine whose service is down still answers. The other addresses count if they are on the same
// interfaces.
func routesTo(servers, others []netip.Addr) (map[string][]netip.Addr, error) {
	routes := make(map[string][]netip.Addr)
	var errs []error
	for i, server := range slices.Concat(servers, others) {
		found, err := netlink.RouteGet(server.AsSlice())
		if err != nil {
			errs = append(errs, err)
			continue
		}
		for _, r := range found {
			link, err := net.InterfaceByIndex(r.LinkIndex)
			if err != nil || link.Flags&net.FlagLoopback != 0 || i >= len(servers) && routes[link.Name] == nil {
				continue
			}
			next := server
			if gateway, ok := netip.AddrFromSlice(r.Gw); ok && !gateway.IsUnspecified() {
				next = gateway.Unmap()
			}
			if !slices.Contains(routes[link.Name], next) {
				routes[link.Name] = append(routes[link.Name], next)
			}
		}
	}
	if len(routes) == 0 {
		return nil, errors.Join(errs...)
	}
	return routes, nil
}

// askNeighbours asks the next hops, and other neighbours that the kernel knows on the interface. On an interface without
// carrier nobody answers.
func askNeighbours(ctx context.Context, iface string, next []netip.Addr) (bool, error) {
	who, err := neighboursOn(iface, next)
	if err != nil || len(who) == 0 {
		return false, err
	}
	owners, err := wire.Owners(ctx, iface, who, askWait)
	return len(owners) > 0, err
}

// neighboursOn returns the addresses to ask on an interface: the given ones, and those that the kernel knows. On an interface
// without carrier there is nobody to ask.
func neighboursOn(iface string, next []netip.Addr) ([]netip.Addr, error) {
	link, err := net.InterfaceByName(iface)
	if err != nil || link.Flags&net.FlagUp == 0 || link.Flags&net.FlagRunning == 0 {
		return nil, nil
	}
	list, err := netlink.NeighList(link.Index, netlink.FAMILY_ALL)
	if err != nil {
		return nil, fmt.Errorf("failed to list the neighbours on %s: %w", iface, err)
	}
	// Neighbours that answered last come first: the kernel has marked a server that is switched off as failed long before.
	slices.SortStableFunc(list, func(a, b netlink.Neigh) int { return rank(a) - rank(b) })
	var who []netip.Addr
	for _, n := range list {
		addr, ok := netip.AddrFromSlice(n.IP)
		if addr = addr.Unmap(); ok && n.State&netlink.NUD_NOARP == 0 && !addr.IsMulticast() && !slices.Contains(who, addr) {
			who = append(who, addr)
		}
	}
	who = who[:min(len(who), maxAsked)]
	for _, addr := range next[:min(len(next), maxAsked)] {
		if !slices.Contains(who, addr) {
			who = append(who, addr)
		}
	}
	return who, nil
}

func rank(n netlink.Neigh) int {
	switch {
	case n.State&(netlink.NUD_REACHABLE|netlink.NUD_PERMANENT) != 0:
		return 0
	case n.State&(netlink.NUD_STALE|netlink.NUD_DELAY|netlink.NUD_PROBE) != 0:
		return 1
	}
	return 2
}
