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
	// maxRouted is the maximum number of real servers whose routes are looked up, every routesPause and for each question.
	maxRouted   = 256
	routesPause = 30 * time.Second
)

// Neighbours asks, after a real server has stopped answering and while all are silent, whether any machine answers on the
// interfaces towards them. A machine answers ARP and neighbour solicitations even if its services are down or its firewall drops packets.
type Neighbours struct {
	Post Post
	In   Mailbox[core.Question]

	// Routes, Way and Ask use the kernel, except in tests. Routes returns the neighbours to ask, by interface. Way returns the
	// interfaces of the present route to a server; none: it has no route. Ask reports whether a neighbour answers.
	Routes func(servers, others []netip.Addr) (map[string][]netip.Addr, error)
	Way    func(server netip.Addr) []string
	Ask    func(ctx context.Context, iface string, who []netip.Addr) (bool, error)

	question core.Question
	routes   map[string][]netip.Addr
	ways     map[netip.Addr][]string // of the servers, while they answered
	putOff   bool                    // the last look-up of the routes was
	last     core.Neighbours
}

// Run asks until ctx ends.
func (w *Neighbours) Run(ctx context.Context) error {
	if w.Routes == nil {
		w.Routes, w.Way, w.Ask = routesTo, wayTo, askNeighbours
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
			w.look()
		}
		if w.question.Silence == 0 {
			continue
		}
		if is := w.ask(ctx); ctx.Err() == nil && !is.Equal(w.last) {
			w.last = is
			w.Post(is)
		}
	}
}

// look looks up the routes. When an interface fails, its servers have another route, or none, seconds before their checks have failed.
// So with such an interface the look-up is put off once.
func (w *Neighbours) look() {
	if w.putOff = !w.putOff && slices.ContainsFunc(slices.Collect(maps.Keys(w.routes)), hasFailed); w.putOff {
		return
	}
	servers := w.question.Servers[:min(len(w.question.Servers), maxRouted)]
	routes, err := w.Routes(servers, w.question.Others)
	if err != nil {
		return
	}
	w.routes, w.ways = routes, make(map[netip.Addr][]string)
	for _, server := range servers {
		w.ways[server] = w.Way(server)
	}
}

// hasFailed reports whether an interface is there and does not work.
func hasFailed(iface string) bool {
	link, err := net.InterfaceByName(iface)
	return err == nil && (link.Flags&net.FlagUp == 0 || link.Flags&net.FlagRunning == 0)
}

// ask asks once on every interface until a machine answers, and on all interfaces towards the servers in doubt.
func (w *Neighbours) ask(ctx context.Context) core.Neighbours {
	is := core.Neighbours{Silence: w.question.Silence}
	ways := make(map[netip.Addr][]string)
	var towards []string
	for i, server := range w.question.InDoubt {
		way := w.ways[server] // the present one may be a default route that does not lead there
		if i < maxRouted {
			if is := w.Way(server); len(way) == 0 || len(is) == 0 {
				way = is
			}
		}
		ways[server] = way
		towards = append(towards, way...)
	}
	slices.Sort(towards)
	answers := map[string]bool{loopback: true}
	for _, iface := range slices.Concat(towards, slices.Sorted(maps.Keys(w.routes))) {
		if _, asked := answers[iface]; asked || is.Answer && !slices.Contains(towards, iface) {
			continue
		}
		answer, err := w.Ask(ctx, iface, w.routes[iface])
		if err != nil {
			is.Problem = fmt.Sprintf("failed to ask the neighbours: %v", err)
		}
		answers[iface] = answer || err != nil
		is.Answer = is.Answer || answer && w.routes[iface] != nil
	}
	for i, server := range w.question.InDoubt {
		if i >= maxRouted && len(ways[server]) == 0 && is.Answer || slices.ContainsFunc(ways[server], func(iface string) bool { return answers[iface] }) {
			is.Reached = append(is.Reached, server)
		} else {
			is.Unreached = append(is.Unreached, server)
		}
	}
	if is.Answer || len(w.routes) == 0 {
		is.Problem = "" // without a route to the servers, the director is as cut off as without a cable
	}
	return is
}

// loopback is the interface towards this machine, which always answers itself.
const loopback = "lo"

// A hop is where a route leads first.
type hop struct {
	iface string
	next  netip.Addr
}

func hopsTo(server netip.Addr) (hops []hop, err error) {
	found, err := netlink.RouteGet(server.AsSlice())
	for _, r := range found {
		link, err := net.InterfaceByIndex(r.LinkIndex)
		if err != nil {
			continue
		}
		h := hop{link.Name, server}
		if gateway, ok := netip.AddrFromSlice(r.Gw); ok && !gateway.IsUnspecified() {
			h.next = gateway.Unmap()
		}
		hops = append(hops, h)
	}
	return hops, err
}

// wayTo returns the interfaces of the route to a server.
func wayTo(server netip.Addr) (ifaces []string) {
	hops, _ := hopsTo(server) // an error means that there is no route
	for _, h := range hops {
		ifaces = append(ifaces, h.iface)
	}
	return ifaces
}

// routesTo finds the interfaces towards real servers, and the neighbours on the route. A server on the segment itself is
// asked like a neighbour: a machine whose service is down still answers. The other addresses count if they are on the same
// interfaces.
func routesTo(servers, others []netip.Addr) (map[string][]netip.Addr, error) {
	routes := make(map[string][]netip.Addr)
	var errs []error
	for i, server := range slices.Concat(servers, others) {
		hops, err := hopsTo(server)
		if err != nil {
			errs = append(errs, err)
		}
		for _, h := range hops {
			if h.iface == loopback || i >= len(servers) && routes[h.iface] == nil {
				continue
			}
			if !slices.Contains(routes[h.iface], h.next) {
				routes[h.iface] = append(routes[h.iface], h.next)
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
