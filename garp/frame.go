// SPDX-License-Identifier: Apache-2.0

package garp

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"
	"github.com/mdlayher/ndp"
)

const (
	ipv6HeaderLen  = 40
	protocolICMPv6 = 58
	// hopLimit is what a receiver of neighbour discovery insists on (RFC 4861, section 7.1.2).
	hopLimit = 255
)

var (
	allNodes         = netip.MustParseAddr("ff02::1")
	allNodesHardware = net.HardwareAddr{0x33, 0x33, 0, 0, 0, 1}
)

// frame returns the Ethernet frame that announces an address at a hardware address. Whether we are a router concerns
// neighbour advertisements only.
func frame(f form, addr netip.Addr, hardware net.HardwareAddr, router bool) ([]byte, error) {
	out := ethernet.Frame{Source: hardware}
	var err error
	switch f {
	case formRequest:
		// RFC 5227, section 3: the target hardware address of an announcement is all zeroes.
		out.Destination, out.EtherType = ethernet.Broadcast, ethernet.EtherTypeARP
		out.Payload, err = arpPacket(arp.OperationRequest, addr, hardware, make(net.HardwareAddr, len(hardware)))
	case formReply:
		// Linux takes a reply as gratuitous only if it names the sender as target too; any other it ignores for
		// a second after the entry last changed.
		out.Destination, out.EtherType = ethernet.Broadcast, ethernet.EtherTypeARP
		out.Payload, err = arpPacket(arp.OperationReply, addr, hardware, hardware)
	case formAdvertisement:
		out.Destination, out.EtherType = allNodesHardware, ethernet.EtherTypeIPv6
		out.Payload, err = advertisement(addr, hardware, router)
	default:
		err = fmt.Errorf("form %d is unknown", f)
	}
	if err != nil {
		return nil, fmt.Errorf("build %s for %s: %w", f, addr, err)
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

// advertisement returns an IPv6 packet with an unsolicited neighbour advertisement (RFC 9568, section 6.4.2). That we are
// a router it says only if it is so, as the kernel's own answers do (RFC 4861, section 7.2.6): hosts give up a default
// route by a machine that calls itself a router no longer. The packet's source is the announced address itself, so it
// needs no link-local one.
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
	b := make([]byte, ipv6HeaderLen, ipv6HeaderLen+len(message))
	b[0] = 6 << 4
	binary.BigEndian.PutUint16(b[4:], uint16(len(message)))
	b[6], b[7] = protocolICMPv6, hopLimit
	copy(b[8:], addr.AsSlice())
	copy(b[24:], allNodes.AsSlice())
	return append(b, message...), nil
}
