// SPDX-License-Identifier: Apache-2.0

package healthcheck

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/mdlayher/packet"
	"github.com/vishvananda/netlink"
)

// What a probe through the VIP comes to.
const (
	throughVIP      = "connected through the VIP"
	connectingToVIP = "connecting through the VIP"
	notNear         = "the server is not in a network of this director, so the VIP cannot be reached there"
	noNeighbour     = "the server does not answer address resolution"
)

// knock finds out whether a real server accepts connections to the VIP: a SYN for the VIP goes to the server's hardware
// address, past the director's own routing and IPVS, which on a master would keep it. The answer is read from the wire
// too: a master's kernel drops what comes from its own VIP. The connection is reset as soon as it would stand.
//
// A server that does not carry the VIP drops the SYN, one that listens elsewhere only refuses it: clients see the same.
func (all *ears) knock(ctx context.Context, t Target) result {
	w, err := all.newWay(t)
	if err != nil {
		return result{outcome: notRun, reason: err.Error()}
	}
	if w == nil {
		res := fail(notNear)
		res.silent = true // it is the director that is not where it should be
		return res
	}
	defer w.ear.forget(w.caller)
	if err := w.resolve(ctx, t.Addr.Addr()); err != nil {
		res := explain(ctx, err, t.Config.Timeout, "waiting for address resolution")
		if res.outcome == failed {
			res.reason, res.silent = noNeighbour, true
		}
		return res
	}
	if err := w.send(flagSYN, w.sequence); err != nil {
		all.leave(w.ear, err)
		return explain(ctx, err, t.Config.Timeout, "sending")
	}
	said, err := w.ear.await(ctx, w.caller)
	switch {
	case err != nil:
		return explain(ctx, err, t.Config.Timeout, connectingToVIP)
	case said == accepted:
		_ = w.send(flagRST, w.sequence+1) // or the server would repeat itself, and keep half a connection
		return pass(throughVIP)
	case said == refused:
		return fail("connection through the VIP refused")
	}
	return fail("the server answers from an address that is not the VIP")
}

// A way leads to a neighbour by its hardware address.
type way struct {
	*caller
	ear      *ear
	hardware net.HardwareAddr
}

// newWay finds the interface that leads to a target and the director's address there, and listens; nil where no
// interface leads there without a router.
func (all *ears) newWay(t Target) (*way, error) {
	to, err := findRoute(t)
	if err != nil || to == nil || !to.near {
		return nil, err
	}
	link, err := net.InterfaceByIndex(to.link)
	if err != nil {
		return nil, fmt.Errorf("find the interface that leads to %s: %w", t.Addr.Addr(), err)
	}
	if len(link.HardwareAddr) != 6 {
		return nil, nil // not Ethernet: the server is this machine itself, or behind a tunnel
	}
	w := &way{}
	if w.ear, err = all.on(link, t.Config.Via.Is6()); err != nil {
		return nil, fmt.Errorf("listen on %s: %w", link.Name, err)
	}
	w.caller, err = w.ear.expect(to.from, netip.AddrPortFrom(t.Config.Via, t.endpoint().Port()))
	return w, err
}

// resolvePause is the time between two looks at the kernel's table of neighbours.
const resolvePause = 2 * time.Millisecond

// resolve finds out the server's hardware address. The kernel is told that it is used, so that it makes sure of it.
func (w *way) resolve(ctx context.Context, server netip.Addr) error {
	family := familyOf(server)
	use := &netlink.Neigh{LinkIndex: w.ear.link, Family: family, Flags: netlink.NTF_USE, IP: server.AsSlice()}
	if err := netlink.NeighSet(use); err != nil {
		return fmt.Errorf("resolve %s: %w", server, err)
	}
	for {
		is, err := neighbour(w.ear.link, server)
		if err != nil {
			return fmt.Errorf("look %s up among the neighbours: %w", server, err)
		}
		switch {
		case resolved(is) && len(is.HardwareAddr) == 6:
			w.hardware = slices.Clone(is.HardwareAddr)
			return nil
		case is != nil && is.State&netlink.NUD_FAILED != 0:
			return os.ErrDeadlineExceeded
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(resolvePause):
		}
	}
}

// send sends a segment with the flags to the server.
func (w *way) send(flags byte, sequence uint32) error {
	_, err := w.ear.conn.WriteTo(w.segment.bytes(flags, sequence), &packet.Addr{HardwareAddr: w.hardware})
	return err
}
