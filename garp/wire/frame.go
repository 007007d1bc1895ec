// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"
	"github.com/mdlayher/ndp"

	"github.com/tandem-lvs/tandem/garp"
)

const (
	ipv6HeaderLen  = 40
	protocolICMPv6 = 58
	// hopLimit is the only value that receivers of neighbour discovery accept (RFC 4861, section 7.1.2).
	hopLimit = 255
)

var (
	allNodes         = netip.MustParseAddr("ff02::1")
	allNodesHardware = net.HardwareAddr{0x33, 0x33, 0, 0, 0, 1}
)

// frame returns the Ethernet frame that announces an address at a hardware address. The router flag is used by neighbour
// advertisements only.
func frame(f garp.Form, addr netip.Addr, hardware net.HardwareAddr, router bool) ([]byte, error) {
	out := ethernet.Frame{Source: hardware}
	var err error
	switch f {
	case garp.Request:
		// RFC 5227, section 3: the target hardware address of an announcement is all zeroes.
		out.Destination, out.EtherType = ethernet.Broadcast, ethernet.EtherTypeARP
		out.Payload, err = arpPacket(arp.OperationRequest, addr, hardware, make(net.HardwareAddr, len(hardware)))
	case garp.Reply:
		// Linux accepts a reply as gratuitous only if its target is the sender. It ignores any other reply for a second
		// after the last change of the entry.
		out.Destination, out.EtherType = ethernet.Broadcast, ethernet.EtherTypeARP
		out.Payload, err = arpPacket(arp.OperationReply, addr, hardware, hardware)
	case garp.Advertisement:
		out.Destination, out.EtherType = allNodesHardware, ethernet.EtherTypeIPv6
		out.Payload, err = advertisement(addr, hardware, router)
	default:
		err = fmt.Errorf("unknown form %d", int(f))
	}
	if err != nil {
		return nil, fmt.Errorf("failed to build %s for %s: %w", f, addr, err)
	}
	return out.MarshalBinary()
}

func arpPacket(op arp.Operation, addr netip.Addr, sender, target net.HardwareAddr) ([]byte, error) {
	p, err := arp.NewPacket(op, sender, addr, target, addr)
	if err != nil {
		return nil, err
	}
	return p.MarshalBinary()
}

// advertisement returns an IPv6 packet with an unsolicited neighbour advertisement (RFC 9568, section 6.4.2). The router
// flag must be the same as in the kernel's own answers (RFC 4861, section 7.2.6), because hosts remove a default route
// through a machine that no longer sets it. The packet's source is the announced address, so no link-local address is
// needed.
func advertisement(addr netip.Addr, hardware net.HardwareAddr, router bool) ([]byte, error) {
	message, err := ndp.MarshalMessageChecksum(&ndp.NeighborAdvertisement{
		Router:        router,
		Override:      true,
		TargetAddress: addr,
		Options:       []ndp.Option{&ndp.LinkLayerAddress{Direction: ndp.Target, Addr: hardware}},
	}, addr, allNodes)
	if err != nil {
		return nil, err
	}
	return ipv6Packet(addr, allNodes, message), nil
}

// ipv6Packet returns an IPv6 packet with an ICMPv6 message of neighbour discovery.
func ipv6Packet(from, to netip.Addr, message []byte) []byte {
	b := make([]byte, ipv6HeaderLen, ipv6HeaderLen+len(message))
	b[0] = 6 << 4
	binary.BigEndian.PutUint16(b[4:], uint16(len(message)))
	b[6], b[7] = protocolICMPv6, hopLimit
	copy(b[8:], from.AsSlice())
	copy(b[24:], to.AsSlice())
	return append(b, message...)
}

// arpProbe returns an Ethernet frame that asks for an IPv4 address. It has no sender address (RFC 5227, section 2.1.1).
func arpProbe(addr netip.Addr, hardware net.HardwareAddr) ([]byte, error) {
	p, err := arp.NewPacket(arp.OperationRequest, hardware, netip.IPv4Unspecified(), make(net.HardwareAddr, 6), addr)
	if err != nil {
		return nil, err
	}
	out := ethernet.Frame{Destination: ethernet.Broadcast, Source: hardware, EtherType: ethernet.EtherTypeARP}
	if out.Payload, err = p.MarshalBinary(); err != nil {
		return nil, err
	}
	return out.MarshalBinary()
}

// neighbourProbe returns an Ethernet frame that asks for an IPv6 address.
func neighbourProbe(addr, linkLocal netip.Addr, hardware net.HardwareAddr) ([]byte, error) {
	out := ethernet.Frame{Source: hardware, EtherType: ethernet.EtherTypeIPv6}
	var err error
	if out.Destination, out.Payload, err = solicitation(addr, linkLocal, hardware); err != nil {
		return nil, err
	}
	return out.MarshalBinary()
}

// solicitation returns an IPv6 packet that asks for an address, and its Ethernet destination.
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
	group := to.As16()
	// RFC 2464, section 7.
	return net.HardwareAddr{0x33, 0x33, group[12], group[13], group[14], group[15]}, ipv6Packet(source, to, message), nil
}
