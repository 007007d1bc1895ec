// SPDX-License-Identifier: Apache-2.0

package workers

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sync/errgroup"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/core"
	"github.com/tandem-lvs/tandem/garp/wire"
)

// The pauses between two questions on the same interfaces.
const (
	segmentPause = 2 * time.Second
	// doubtPause is the pause while nobody answers on an interface.
	doubtPause = 500 * time.Millisecond
	// signLasts is how long a machine counts as there after it was last noticed. A client that reaches nobody asks once a
	// second who has the VIP.
	signLasts = 2 * time.Second
)

// Segments finds out whether there are other machines on interfaces. It posts each result that differs from the one before.
//
// A machine is there if it answers, or if the interface receives frames. A backup often knows no machine but its peer: when the
// peer is silent, the requests of the clients, which are broadcast, show that the backup's own cable works. Multicast frames do
// not count: a switch sends some of its own, also if it is connected to nothing else.
type Segments struct {
	Post Post
	In   Mailbox[core.Segments]

	// The functions use the kernel, except in tests. Known adds the gateways and neighbours on an interface to peers. Ask
	// returns which of the addresses answer. Received counts the frames that were received, without multicast.
	Known    func(iface string, peers []netip.Addr) ([]netip.Addr, error)
	Ask      func(ctx context.Context, iface string, who []netip.Addr) ([]netip.Addr, error)
	Received func(iface string) (uint64, error)

	segments core.Segments
	signs    map[string]sign // by interface
	last     map[string]core.Reach
}

// A sign is what was noticed last about other machines on an interface.
type sign struct {
	answered []netip.Addr // those that answered last; the kernel may have forgotten them
	received uint64
	counted  bool // received has been read once
	at       time.Time
}

// Run asks until ctx ends.
func (w *Segments) Run(ctx context.Context) error {
	if w.Ask == nil {
		w.Known, w.Ask, w.Received = knownOn, answering, receivedOn
	}
	w.signs = make(map[string]sign)
	for {
		var tick <-chan time.Time
		if len(w.segments) > 0 {
			tick = time.After(w.pause())
		}
		select {
		case <-ctx.Done():
			return nil
		case w.segments = <-w.In:
			w.last = make(map[string]core.Reach)
		case <-tick:
		}
		w.askAll(ctx)
	}
}

func (w *Segments) pause() time.Duration {
	for iface := range w.segments {
		if w.last[iface] != core.Reached {
			return doubtPause
		}
	}
	return segmentPause
}

// askAll asks on all interfaces at the same time.
func (w *Segments) askAll(ctx context.Context) {
	type result struct {
		iface string
		sign  sign
		reach core.Reach
	}
	results := make(chan result, len(w.segments))
	var g errgroup.Group
	for iface, peers := range w.segments {
		before := w.signs[iface]
		g.Go(func() error {
			now, reach := w.look(ctx, iface, peers, before)
			results <- result{iface, now, reach}
			return nil
		})
	}
	_ = g.Wait() // the goroutines return no error
	close(results)
	for r := range results {
		w.signs[r.iface] = r.sign
		if before, asked := w.last[r.iface]; ctx.Err() == nil && (!asked || before != r.reach) {
			w.last[r.iface] = r.reach
			w.Post(core.SegmentAnswer{Interface: r.iface, Reach: r.reach})
		}
	}
}

// look asks once whether there are other machines on one interface.
func (w *Segments) look(ctx context.Context, iface string, peers []netip.Addr, is sign) (sign, core.Reach) {
	who, err := w.Known(iface, slices.Concat(peers, is.answered))
	if err != nil {
		return is, core.Reached
	}
	var answered []netip.Addr
	if len(who) > 0 {
		if answered, err = w.Ask(ctx, iface, who); err != nil {
			return is, core.Reached
		}
	}
	if len(answered) > 0 {
		is.answered, is.at = answered, time.Now()
	}
	// The frames are counted last. The answers are among them, so they are no sign for the next look.
	received, err := w.Received(iface)
	switch {
	case err != nil:
		return is, core.Reached
	case is.counted && received != is.received:
		is.at = time.Now()
	}
	is.received, is.counted = received, true
	switch {
	case !is.at.IsZero() && time.Since(is.at) < signLasts:
		return is, core.Reached
	case len(who) == 0:
		return is, core.ReachUnknown
	}
	return is, core.Isolated
}

// receivedOn returns how many frames an interface has received, without multicast. Not every driver counts those.
func receivedOn(iface string) (uint64, error) {
	link, err := netlink.LinkByName(iface)
	if err != nil {
		return 0, fmt.Errorf("failed to read interface %s: %w", iface, err)
	}
	is := link.Attrs().Statistics
	if is == nil {
		return 0, fmt.Errorf("interface %s has no counters", iface)
	}
	return is.RxPackets - is.Multicast, nil
}

// knownOn returns the gateways of the routes over an interface, the peers, and other neighbours.
func knownOn(iface string, peers []netip.Addr) ([]netip.Addr, error) {
	link, err := net.InterfaceByName(iface)
	if err != nil {
		return nil, nil // the election reports this fault
	}
	routes, err := netlink.RouteListFiltered(netlink.FAMILY_ALL, &netlink.Route{LinkIndex: link.Index}, netlink.RT_FILTER_OIF)
	if err != nil {
		return nil, fmt.Errorf("failed to list the routes over %s: %w", iface, err)
	}
	var first []netip.Addr
	for _, r := range routes {
		if gateway, ok := netip.AddrFromSlice(r.Gw); ok {
			first = append(first, gateway.Unmap())
		}
	}
	first = append(first, peers...)
	slices.SortFunc(first, netip.Addr.Compare)
	return neighboursOn(iface, slices.Compact(first))
}

func answering(ctx context.Context, iface string, who []netip.Addr) (all []netip.Addr, err error) {
	owners, err := wire.Owners(ctx, iface, who, askWait)
	for _, o := range owners {
		if !slices.Contains(all, o.Address) {
			all = append(all, o.Address)
		}
	}
	return all, err
}
