// SPDX-License-Identifier: Apache-2.0

package garp

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"
	"github.com/mdlayher/ndp"
	"github.com/mdlayher/packet"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// A probe asks on an interface who has an address, and hears what is said about addresses there.
type probe struct {
	iface     string
	index     int
	hardware  net.HardwareAddr
	linkLocal netip.Addr // the zero Addr if there is none
	own       map[hardware]bool
	arp, ndp  *packet.Conn
}

func newProbe(iface string) (*probe, error) {
	ifi, err := net.InterfaceByName(iface)
	if err != nil {
		return nil, fmt.Errorf("read interface %s: %w", iface, err)
	}
	p := &probe{iface: iface, index: ifi.Index, hardware: ifi.HardwareAddr}
	if len(p.hardware) != 6 {
		return nil, fmt.Errorf("interface %s has no Ethernet address", iface)
	}
	if p.own, err = ownHardware(); err != nil {
		return nil, err
	}
	addrs, err := ifi.Addrs()
	if err != nil {
		return nil, fmt.Errorf("read addresses of %s: %w", iface, err)
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() == nil && n.IP.IsLinkLocalUnicast() {
			p.linkLocal, _ = netip.AddrFromSlice(n.IP)
		}
	}
	filter, err := neighbourFilter()
	if err != nil {
		return nil, fmt.Errorf("assemble the filter: %w", err)
	}
	if p.arp, err = packet.Listen(ifi, packet.Raw, unix.ETH_P_ARP, nil); err != nil {
		return nil, fmt.Errorf("open packet socket on %s: %w", iface, err)
	}
	if p.ndp, err = packet.Listen(ifi, packet.Raw, unix.ETH_P_IPV6, &packet.Config{Filter: filter}); err != nil {
		return nil, errors.Join(fmt.Errorf("open packet socket on %s: %w", iface, err), p.arp.Close())
	}
	return p, nil
}

func (p *probe) conns() []*packet.Conn { return []*packet.Conn{p.arp, p.ndp} }

func (p *probe) close() {
	for _, c := range p.conns() {
		_ = c.Close()
	}
}

// stale tells whether the interface is no longer the one that was opened.
func (p *probe) stale() bool {
	ifi, err := net.InterfaceByName(p.iface)
	return err != nil || ifi.Index != p.index || !slices.Equal(ifi.HardwareAddr, p.hardware)
}

// mine tells whether a frame is this machine's own. An interface may have come since we looked.
func (p *probe) mine(from hardware) bool {
	if p.own[from] {
		return true
	}
	if now, err := ownHardware(); err == nil {
		p.own = now
	}
	return p.own[from]
}

// ask asks by broadcast who has an address. An answer changes nobody's neighbour table but ours: the ARP probe has no
// sender's address (RFC 5227, section 2.1.1), and the solicitation is ours by the link-local address. Without one,
// nothing is asked over IPv6, because the answer to a solicitation without source goes to all (RFC 4861, section 7.2.4).
func (p *probe) ask(addr netip.Addr) error {
	out := ethernet.Frame{Destination: ethernet.Broadcast, Source: p.hardware, EtherType: ethernet.EtherTypeARP}
	conn := p.arp
	if addr.Is4() {
		q, err := arp.NewPacket(arp.OperationRequest, p.hardware, netip.IPv4Unspecified(), make(net.HardwareAddr, 6), addr)
		if err == nil {
			out.Payload, err = q.MarshalBinary()
		}
		if err != nil {
			return fmt.Errorf("build ARP probe for %s: %w", addr, err)
		}
	} else {
		if !p.linkLocal.IsValid() {
			return nil
		}
		conn = p.ndp
		out.EtherType = ethernet.EtherTypeIPv6
		var err error
		if out.Destination, out.Payload, err = solicitation(addr, p.linkLocal, p.hardware); err != nil {
			return fmt.Errorf("build neighbour solicitation for %s: %w", addr, err)
		}
	}
	b, err := out.MarshalBinary()
	if err != nil {
		return fmt.Errorf("ask for %s: %w", addr, err)
	}
	if err := conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return fmt.Errorf("ask for %s on %s: %w", addr, p.iface, err)
	}
	if _, err := conn.WriteTo(b, &packet.Addr{HardwareAddr: out.Destination}); err != nil {
		return fmt.Errorf("ask for %s on %s: %w", addr, p.iface, err)
	}
	return nil
}

// solicitation returns an IPv6 packet that asks for an address, and the Ethernet address that it goes to.
func solicitation(addr, source netip.Addr, from net.HardwareAddr) (net.HardwareAddr, []byte, error) {
	to, err := ndp.SolicitedNodeMulticast(addr)
	if err != nil {
		return nil, nil, err
	}
	message, err := ndp.MarshalMessageChecksum(&ndp.NeighborSolicitation{
		TargetAddress: addr,
		Options:       []ndp.Option{&ndp.LinkLayerAddress{Direction: ndp.Source, Addr: from}},
	}, source, to)
	if err != nil {
		return nil, nil, err
	}
	b := make([]byte, ipv6HeaderLen, ipv6HeaderLen+len(message))
	b[0] = 6 << 4
	binary.BigEndian.PutUint16(b[4:], uint16(len(message)))
	b[6], b[7] = protocolICMPv6, hopLimit
	copy(b[8:], source.AsSlice())
	copy(b[24:], to.AsSlice())
	group := to.As16()
	// RFC 2464, section 7.
	return net.HardwareAddr{0x33, 0x33, group[12], group[13], group[14], group[15]}, append(b, message...), nil
}

// An Owner is a machine that said to have an address.
type Owner struct {
	Address    netip.Addr
	Hardware   string
	Neighbours []netip.Addr // as in Rival
}

// Owners asks on an interface who has the addresses, and returns all other machines that claim one within the time
// given, ordered by address. It asks three times, because a frame may be lost.
func Owners(ctx context.Context, iface string, addrs []netip.Addr, wait time.Duration) ([]Owner, error) {
	const questions = 3
	p, err := newProbe(iface)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	g, ctx := errgroup.WithContext(ctx)
	heard := make(chan hearing)
	for _, conn := range p.conns() {
		g.Go(func() error { return listen(ctx, conn, heard) })
	}
	found, err := collect(ctx, p, heard, addrs, wait/questions, questions)
	cancel()
	p.close()
	if err = errors.Join(err, g.Wait()); err != nil {
		return nil, err
	}
	var owners []Owner
	for _, id := range found {
		owners = append(owners, Owner{id.addr, id.from.String(), neighboursAt(p.index, id)})
	}
	return owners, nil
}

func collect(ctx context.Context, p *probe, heard <-chan hearing, addrs []netip.Addr, pause time.Duration, questions int) ([]rivalID, error) {
	var found []rivalID
	for range questions {
		for _, addr := range addrs {
			if err := p.ask(addr); err != nil && !congested(err) {
				return nil, err
			}
		}
		for timer, waiting := time.After(pause), true; waiting; {
			select {
			case <-ctx.Done():
				return found, nil
			case <-timer:
				waiting = false
			case s := <-heard:
				id := rivalID{s.claimed, s.from}
				if slices.Contains(addrs, s.claimed) && !slices.Contains(found, id) && !p.mine(s.from) {
					found = append(found, id)
				}
			}
		}
	}
	slices.SortFunc(found, func(a, b rivalID) int { return a.addr.Compare(b.addr) })
	return found, nil
}
