// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/mdlayher/packet"
	"github.com/vishvananda/netlink"
	"golang.org/x/net/bpf"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/garp"
)

// A probe asks on an interface who has an address, and receives what others say about addresses there.
type probe struct {
	iface     string
	index     int
	hardware  net.HardwareAddr
	linkLocal netip.Addr // the zero Addr if there is none
	own       map[garp.Hardware]bool
	foreign   garp.Hardware // the last one that was not our own
	lookAgain time.Time     // when to look again whether it has become our own
	arp, ndp  *packet.Conn
	down      chan struct{} // a socket told that the interface went down
	// adverts receive the VRRP advertisements of other masters, one socket a family. Nobody waits for them.
	adverts [2]*packet.Conn
}

func newProbe(iface string) (*probe, error) {
	ifi, err := net.InterfaceByName(iface)
	if err != nil {
		return nil, fmt.Errorf("failed to read interface %s: %w", iface, err)
	}
	p := &probe{iface: iface, index: ifi.Index, hardware: ifi.HardwareAddr, down: make(chan struct{}, 1)}
	if len(p.hardware) != 6 {
		return nil, fmt.Errorf("interface %s has no Ethernet address", iface)
	}
	if p.own, err = ownHardware(); err != nil {
		return nil, err
	}
	addrs, err := ifi.Addrs()
	if err != nil {
		return nil, fmt.Errorf("failed to read the addresses of %s: %w", iface, err)
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() == nil && n.IP.IsLinkLocalUnicast() {
			p.linkLocal, _ = netip.AddrFromSlice(n.IP)
		}
	}
	if err := p.open(ifi); err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

// open opens the sockets.
func (p *probe) open(ifi *net.Interface) error {
	for _, s := range []struct {
		conn     **packet.Conn
		protocol int
		filter   []bpf.Instruction
	}{
		{&p.arp, unix.ETH_P_ARP, nil},
		{&p.ndp, unix.ETH_P_IPV6, neighbourFilter},
		{&p.adverts[0], unix.ETH_P_IP, protocolFilter(ipv4ProtocolOffset)},
		{&p.adverts[1], unix.ETH_P_IPV6, protocolFilter(ipv6ProtocolOffset)},
	} {
		var config packet.Config
		var err error
		if s.filter != nil {
			if config.Filter, err = bpf.Assemble(s.filter); err != nil {
				return fmt.Errorf("failed to assemble the socket filter: %w", err)
			}
		}
		if *s.conn, err = packet.Listen(ifi, packet.Raw, s.protocol, &config); err != nil {
			return fmt.Errorf("failed to open a packet socket on %s: %w", p.iface, err)
		}
	}
	for _, c := range p.adverts {
		raw, err := c.SyscallConn()
		if err != nil {
			continue
		}
		_ = raw.Control(func(fd uintptr) { // without the privilege, the buffer stays as it is
			_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, advertsBuffer)
		})
	}
	return nil
}

func (p *probe) close() {
	for _, c := range []*packet.Conn{p.arp, p.ndp, p.adverts[0], p.adverts[1]} {
		if c != nil {
			_ = c.Close()
		}
	}
}

// maxDrain is how many advertisements are read at a time.
const maxDrain = 8192

// advertsBuffer holds the advertisements of a second, also of many routers, until they are read. The kernel doubles it.
const advertsBuffer = 2 << 20

// drainAdverts passes on what the advertisements say that have arrived by now, and reports whether there were any. It does not
// wait.
func (p *probe) drainAdverts(refs *garp.Referrals) (heard bool) {
	b := make([]byte, ethernetHeaderLen+ipv6HeaderLen)
	for _, c := range p.adverts {
		raw, err := c.SyscallConn()
		if err != nil {
			continue // the socket is closed
		}
		// An error is that the socket is closed, or the interface down: then there is nothing to read.
		_ = raw.Control(func(fd uintptr) {
			for range maxDrain {
				n, _, err := unix.Recvfrom(int(fd), b, unix.MSG_DONTWAIT)
				if err != nil {
					return
				}
				heard = true
				if o, ok := parse(b[:n]); ok {
					refs.ObserveRouter(time.Now(), o)
				}
			}
		})
		if stats, err := c.Stats(); err == nil && stats.Drops > 0 {
			refs.Miss(time.Now())
		}
	}
	return heard
}

// look reports whether the interface is still the one that was opened, and whether it is up.
func (p *probe) look() (same, up bool) {
	ifi, err := net.InterfaceByName(p.iface)
	if err != nil || ifi.Index != p.index || !slices.Equal(ifi.HardwareAddr, p.hardware) {
		return false, false
	}
	return true, ifi.Flags&net.FlagUp != 0
}

// isOwn reports whether a hardware address is this machine's own. It looks again for an unknown one, because an interface
// may have been added since. A peer that announces a thousand addresses must not cause a thousand looks, and each one waits
// while other programs change interfaces.
func (p *probe) isOwn(from garp.Hardware) bool {
	now := time.Now()
	switch {
	case p.own[from]:
		return true
	case from == p.foreign && now.Before(p.lookAgain):
		return false
	}
	if own, err := ownHardware(); err == nil {
		p.own, p.foreign, p.lookAgain = own, from, now.Add(time.Second)
	}
	return p.own[from]
}

// ask asks by broadcast who has an address. An answer changes only this machine's neighbour table: the ARP probe has no
// sender address, and the solicitation is sent from the link-local address. Without a link-local address nothing is asked
// over IPv6, because the answer to a solicitation without source goes to all nodes (RFC 4861, section 7.2.4).
func (p *probe) ask(addr netip.Addr) error {
	conn := p.arp
	var frame []byte
	var err error
	switch {
	case addr.Is4():
		frame, err = arpProbe(addr, p.hardware)
	case p.linkLocal.IsValid():
		conn = p.ndp
		frame, err = neighbourProbe(addr, p.linkLocal, p.hardware)
	default:
		return nil
	}
	if err == nil {
		err = write(conn, frame)
	}
	if err != nil {
		return fmt.Errorf("failed to ask for %s on %s: %w", addr, p.iface, err)
	}
	return nil
}

// refer announces an address at the hardware address of another machine. The frame comes from our own, so that switches do not
// take us for the other machine.
func (p *probe) refer(r garp.Referral) error {
	conn, forms := p.arp, []garp.Form{garp.Request, garp.Reply}
	if r.Address.Is6() {
		conn, forms = p.ndp, []garp.Form{garp.Advertisement}
	}
	for _, form := range forms {
		b, err := frame(form, r.Address, r.Hardware[:], forwardsIPv6(p.iface))
		if err == nil && !mute {
			copy(b[6:12], p.hardware)
			err = write(conn, b)
		}
		if err != nil {
			return fmt.Errorf("failed to announce %s at %s on %s: %w", r.Address, r.Hardware, p.iface, err)
		}
	}
	return nil
}

// observe passes what the frames on the interface say to f, until f returns. It closes the probe.
func (p *probe) observe(ctx context.Context, f func(context.Context, <-chan garp.Observation) error) error {
	ctx, cancel := context.WithCancel(ctx)
	g, ctx := errgroup.WithContext(ctx)
	observed := make(chan garp.Observation, 64)
	for _, conn := range []*packet.Conn{p.arp, p.ndp} {
		g.Go(func() error { return p.listen(ctx, conn, observed) })
	}
	err := f(ctx, observed)
	cancel()
	p.close() // ends the listeners
	return errors.Join(err, g.Wait())
}

// listen sends what the frames on a socket say to out, until the socket is closed.
func (p *probe) listen(ctx context.Context, conn *packet.Conn, out chan<- garp.Observation) error {
	b := make([]byte, 2048)
	for {
		n, _, err := conn.ReadFrom(b)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, unix.ENETDOWN):
			nudge(p.down)
			continue // reported once; the socket receives again when the interface is up
		case err != nil:
			return fmt.Errorf("failed to listen for rivals: %w", err)
		}
		if o, ok := parse(b[:n]); ok {
			select {
			case out <- o:
			case <-ctx.Done():
				return nil
			}
		}
	}
}

// neighboursAt returns the other addresses that the neighbour table has for the hardware address of a claim.
func neighboursAt(index int, c garp.Claim) []netip.Addr {
	list, err := netlink.NeighList(index, netlink.FAMILY_ALL)
	if err != nil {
		return nil // they only help to find the rival
	}
	var all []netip.Addr
	for _, n := range list {
		addr, ok := netip.AddrFromSlice(n.IP)
		if addr = addr.Unmap(); ok && addr != c.Addr && !addr.IsLinkLocalUnicast() && bytes.Equal(n.HardwareAddr, c.From[:]) {
			all = append(all, addr)
		}
	}
	slices.SortFunc(all, netip.Addr.Compare)
	return slices.Compact(all)
}

// ownHardware returns the Ethernet addresses of this machine's interfaces.
func ownHardware() (map[garp.Hardware]bool, error) {
	list, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("failed to list the interfaces: %w", err)
	}
	own := make(map[garp.Hardware]bool)
	for _, i := range list {
		if len(i.HardwareAddr) == 6 {
			own[garp.Hardware(i.HardwareAddr)] = true
		}
	}
	return own, nil
}
