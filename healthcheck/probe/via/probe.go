// SPDX-License-Identifier: Apache-2.0

// Package via probes real servers through the VIP: to the address that clients use, but at one server.
//
// Such a probe fails if the server does not have the VIP, listens on its own address only, or answers from its own address.
// TCP checks that only connect send a SYN to the server's hardware address and read the answer from the wire. All others
// connect with a firewall mark, which IPVS sends to the server. For these, this package finds the routes, the director's own
// address as source, and the interfaces where the answers arrive.
package via

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

	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/healthcheck/probe/internal/socket"
)

// Reasons of probes through the VIP, and what such a probe does until it is connected.
const (
	Connected   = "connected through the VIP"
	Connecting  = "connecting through the VIP"
	NoNeighbour = "the server does not answer address resolution"
	NotNear     = "the server is not in a network of this director, so a probe cannot reach the VIP at the server"
)

// A Prober sends SYNs to the VIP at single servers. One Prober serves any number of probes at the same time.
type Prober struct{ listeners synListeners }

// New makes a Prober.
func New() *Prober { return &Prober{listeners: synListeners{open: make(map[listenerKey]*synListener)}} }

// Close closes the sockets. No probe may be under way. A later probe opens them again.
func (p *Prober) Close() { p.listeners.close() }

// Probe finds out whether a real server accepts connections to the VIP. It sends a SYN for the VIP to the server's hardware
// address. So the SYN does not pass the director's own routing and IPVS, which on a master would keep it. Probe reads the
// answer from the wire too: a master's kernel drops packets from its own VIP. It resets the connection before it is
// established.
//
// A server without the VIP drops the SYN. A server that listens on other addresses only refuses it. Clients get the same.
func (p *Prober) Probe(ctx context.Context, t *healthcheck.Target) healthcheck.Result {
	path, err := p.listeners.newPath(t)
	if err != nil {
		return healthcheck.Result{Outcome: healthcheck.NotRun, Reason: err.Error()}
	}
	if path == nil {
		return healthcheck.FailSilently(healthcheck.Unreachable, NotNear) // the director lacks a direct link; this is not the server's failure
	}
	defer path.listener.drop(path.synProbe)
	if err := path.resolve(ctx, t.Addr.Addr()); err != nil {
		res := socket.Explain(ctx, err, t.Config.Timeout, "waiting for address resolution")
		if res.Outcome == healthcheck.Failed {
			return healthcheck.FailSilently(healthcheck.Unreachable, NoNeighbour)
		}
		return res
	}
	if err := path.send(flagSYN, path.sequence); err != nil {
		p.listeners.closeIfGone(path.listener, err)
		return socket.Explain(ctx, err, t.Config.Timeout, "sending")
	}
	said, err := path.listener.await(ctx, path.synProbe)
	switch {
	case err != nil:
		Lost(t) // the next probe resolves the address
		return socket.Explain(ctx, err, t.Config.Timeout, Connecting)
	case said == accepted:
		_ = path.send(flagRST, path.sequence+1) // otherwise the server would repeat its answer, and keep half a connection
		return healthcheck.Pass(Connected)
	case said == refused:
		return healthcheck.Fail(healthcheck.Refused, "connection through the VIP refused")
	}
	return healthcheck.Fail(healthcheck.Unexpected, "the server answers from an address that is not the VIP")
}

// An l2Path sends packets to a neighbour by its hardware address.
type l2Path struct {
	*synProbe
	listener *synListener
	hardware net.HardwareAddr
}

// newPath finds the interface towards a target and the director's address there, and opens a listener. If every interface
// towards the target has a router in between, newPath returns nil.
func (all *synListeners) newPath(t *healthcheck.Target) (*l2Path, error) {
	to, err := findRoute(t)
	if err != nil || to == nil || !to.near {
		return nil, err
	}
	link, err := net.InterfaceByIndex(to.link)
	if err != nil {
		return nil, fmt.Errorf("failed to find the interface that leads to %s: %w", t.Addr.Addr(), err)
	}
	if len(link.HardwareAddr) != 6 {
		return nil, nil // not Ethernet: the server is this machine itself, or behind a tunnel
	}
	path := &l2Path{}
	if path.listener, err = all.on(link, t.Config.Via.Is6()); err != nil {
		return nil, fmt.Errorf("failed to listen on %s: %w", link.Name, err)
	}
	path.synProbe, err = path.listener.expect(to.from, netip.AddrPortFrom(t.Config.Via, t.Endpoint().Port()))
	return path, err
}

// resolvePause is the time between two looks at the kernel's table of neighbours.
const resolvePause = 2 * time.Millisecond

// resolve finds out the server's hardware address. It also tells the kernel that the address is used, so that the kernel
// confirms it.
func (path *l2Path) resolve(ctx context.Context, server netip.Addr) error {
	family := socket.Family(server)
	use := &netlink.Neigh{LinkIndex: path.listener.link, Family: family, Flags: netlink.NTF_USE, IP: server.AsSlice()}
	if err := netlink.NeighSet(use); err != nil {
		return fmt.Errorf("failed to resolve %s: %w", server, err)
	}
	for {
		is, err := neighbour(path.listener.link, server)
		if err != nil {
			return fmt.Errorf("failed to look up %s among the neighbours: %w", server, err)
		}
		switch {
		case resolved(is) && len(is.HardwareAddr) == 6:
			path.hardware = slices.Clone(is.HardwareAddr)
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
func (path *l2Path) send(flags byte, sequence uint32) error {
	_, err := path.listener.conn.WriteTo(path.segment.bytes(flags, sequence), &packet.Addr{HardwareAddr: path.hardware})
	return err
}
