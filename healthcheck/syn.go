// SPDX-License-Identifier: Apache-2.0

package healthcheck

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/mdlayher/packet"
	"github.com/vishvananda/netlink"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// What a probe through the VIP comes to.
const (
	throughVIP  = "connected through the VIP"
	notNear     = "the server is not in a network of this director, so the VIP cannot be reached there"
	noNeighbour = "the server does not answer address resolution"
)

// knock finds out whether a real server accepts connections to the VIP: a SYN for the VIP goes to the server's hardware
// address, past the director's own routing and IPVS, which on a master would keep it. The answer is read from the wire
// too: a master's kernel drops what comes from its own VIP. The connection is reset as soon as it would stand.
//
// A server that does not carry the VIP drops the SYN, one that listens elsewhere only refuses it: clients see the same.
func knock(ctx context.Context, t Target) result {
	w, err := newWay(t)
	if err != nil {
		return result{outcome: notRun, reason: err.Error()}
	}
	if w == nil {
		return fail(notNear)
	}
	defer w.close()
	if err := w.resolve(ctx, t.Addr.Addr()); err != nil {
		res := explain(ctx, err, t.Config.Timeout, "waiting for address resolution")
		if res.outcome == failed {
			res.reason, res.silent = noNeighbour, true
		}
		return res
	}
	stop := context.AfterFunc(ctx, func() { _ = w.conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if err := w.send(flagSYN, w.sequence); err != nil {
		return explain(ctx, err, t.Config.Timeout, "sending")
	}
	buf := make([]byte, 128)
	for {
		n, _, err := w.conn.ReadFrom(buf)
		if err != nil {
			return explain(ctx, err, t.Config.Timeout, "connecting through the VIP")
		}
		switch w.segment.judge(buf[:n]) {
		case accepted:
			_ = w.send(flagRST, w.sequence+1) // or the server would repeat itself, and keep half a connection
			return pass(throughVIP)
		case refused:
			return fail("connection through the VIP refused")
		case strayed:
			return fail("the server answers from an address that is not the VIP")
		}
	}
}

// A way leads to a neighbour by its hardware address.
type way struct {
	segment
	link     *net.Interface
	conn     *packet.Conn
	hardware net.HardwareAddr
}

// newWay finds the interface that leads to a target and the director's address there, and listens; nil where no
// interface leads there without a router.
func newWay(t Target) (*way, error) {
	server := t.Addr.Addr()
	routes, err := netlink.RouteGet(server.AsSlice())
	switch {
	case errors.Is(err, unix.ENETUNREACH), errors.Is(err, unix.EHOSTUNREACH), err == nil && len(routes) == 0:
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("find the route to %s: %w", server, err)
	case routes[0].Gw != nil:
		return nil, nil
	}
	link, err := net.InterfaceByIndex(routes[0].LinkIndex)
	if err != nil {
		return nil, fmt.Errorf("find the interface that leads to %s: %w", server, err)
	}
	if len(link.HardwareAddr) != 6 {
		return nil, nil // not Ethernet: the server is this machine itself, or behind a tunnel
	}
	from := t.Config.Source
	if !from.IsValid() {
		if from, err = ownAddress(routes[0], t); err != nil {
			return nil, err
		}
	}
	w := &way{link: link, segment: segment{
		from: netip.AddrPortFrom(from, knockPort()), to: netip.AddrPortFrom(t.Config.Via, t.endpoint().Port()), sequence: rand.Uint32(),
	}}
	w.conn, err = listen(link, w.segment)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", link.Name, err)
	}
	return w, nil
}

func (w *way) close() { _ = w.conn.Close() }

// knockPort is a port that the kernel gives to no connection of its own by default.
func knockPort() uint16 { return uint16(61000 + rand.IntN(4536)) }

// ownAddress is the director's address towards a server: the one that the kernel would take, but the VIP, which a
// master has too.
func ownAddress(route netlink.Route, t Target) (netip.Addr, error) {
	first, ok := netip.AddrFromSlice(route.Src)
	if first = first.Unmap(); ok && first != t.Config.Via {
		return first, nil
	}
	link, err := netlink.LinkByIndex(route.LinkIndex)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("find the interface that leads to %s: %w", t.Addr.Addr(), err)
	}
	all, err := netlink.AddrList(link, netlink.FAMILY_ALL)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("read the addresses of %s: %w", link.Attrs().Name, err)
	}
	for _, a := range all {
		ip, ok := netip.AddrFromSlice(a.IP)
		if ip = ip.Unmap(); ok && ip != t.Config.Via && a.Contains(t.Addr.Addr().AsSlice()) {
			return ip, nil
		}
	}
	return netip.Addr{}, fmt.Errorf("%s has no address of this director's own in the network of %s", link.Attrs().Name, t.Addr.Addr())
}

// listen hears TCP segments for the port that the SYN comes from; nothing else reaches the director.
func listen(link *net.Interface, s segment) (*packet.Conn, error) {
	protocol, next, ports := unix.ETH_P_IP, uint32(9), uint32(22)
	if s.to.Addr().Is6() {
		protocol, next, ports = unix.ETH_P_IPV6, 6, 42
	}
	filter, err := bpf.Assemble([]bpf.Instruction{
		bpf.LoadAbsolute{Off: next, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.IPPROTO_TCP, SkipTrue: 3},
		bpf.LoadAbsolute{Off: ports, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: uint32(s.from.Port()), SkipTrue: 1},
		bpf.RetConstant{Val: 128},
		bpf.RetConstant{Val: 0},
	})
	if err != nil {
		return nil, err
	}
	return packet.Listen(link, packet.Datagram, protocol, &packet.Config{Filter: filter})
}

// resolvePause is the time between two looks at the kernel's table of neighbours.
const resolvePause = 2 * time.Millisecond

// resolve finds out the server's hardware address. The kernel is told that it is used, so that it makes sure of it.
func (w *way) resolve(ctx context.Context, server netip.Addr) error {
	family := netlink.FAMILY_V4
	if server.Is6() {
		family = netlink.FAMILY_V6
	}
	use := &netlink.Neigh{LinkIndex: w.link.Index, Family: family, Flags: netlink.NTF_USE, IP: server.AsSlice()}
	if err := netlink.NeighSet(use); err != nil {
		return fmt.Errorf("resolve %s: %w", server, err)
	}
	for {
		is, err := neighbour(w.link.Index, family, server)
		if err != nil {
			return fmt.Errorf("look %s up among the neighbours: %w", server, err)
		}
		if is != nil {
			const known = netlink.NUD_REACHABLE | netlink.NUD_STALE | netlink.NUD_DELAY | netlink.NUD_PROBE | netlink.NUD_PERMANENT
			switch {
			case is.State&known != 0 && len(is.HardwareAddr) == 6:
				w.hardware = slices.Clone(is.HardwareAddr)
				return nil
			case is.State&netlink.NUD_FAILED != 0:
				return os.ErrDeadlineExceeded
			}
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
	_, err := w.conn.WriteTo(w.segment.bytes(flags, sequence), &packet.Addr{HardwareAddr: w.hardware})
	return err
}
