// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/garp"
)

const (
	ethernetHeaderLen = 14
	arpLen            = 28 // for IPv4 over Ethernet (RFC 826)
	// neighbourLen is a solicitation's or advertisement's length without options (RFC 4861, sections 4.3 and 4.4).
	neighbourLen = 24

	ipv4HeaderLen = 20
	protocolVRRP  = 112

	icmpSolicitation  = 135
	icmpAdvertisement = 136
	optionTarget      = 2 // the target's link-layer address
)

// parse returns what an Ethernet frame says about addresses. It reports false for a frame that says nothing, or is damaged.
func parse(b []byte) (o garp.Observation, ok bool) {
	if len(b) < ethernetHeaderLen {
		return o, false
	}
	kind, payload := binary.BigEndian.Uint16(b[12:]), b[ethernetHeaderLen:]
	switch kind {
	case unix.ETH_P_ARP:
		return parseARP(payload)
	case unix.ETH_P_IP:
		return parseAdvert4(payload, garp.Hardware(b[6:12]))
	case unix.ETH_P_IPV6:
		if len(payload) >= ipv6HeaderLen && payload[6] == protocolVRRP {
			o.Router, o.From = netip.AddrFrom16([16]byte(payload[8:24])), garp.Hardware(b[6:12])
			return o, payload[7] == hopLimit
		}
		return parseNeighbour(payload, garp.Hardware(b[6:12]))
	}
	return o, false
}

// parseAdvert4 reads who sends a VRRP advertisement over IPv4. One from another link, which a router has forwarded, has a lower
// TTL (RFC 9568, section 5.1.1.3).
func parseAdvert4(b []byte, source garp.Hardware) (o garp.Observation, ok bool) {
	if len(b) < ipv4HeaderLen || b[0]>>4 != 4 || b[8] != hopLimit || b[9] != protocolVRRP {
		return o, false
	}
	o.Router, o.From = netip.AddrFrom4([4]byte(b[12:16])), source
	return o, true
}

// parseARP reads an ARP packet. The sender claims its sender address, whatever it asks for, because neighbours learn that
// address (RFC 5227, section 2.4).
func parseARP(b []byte) (o garp.Observation, ok bool) {
	const ethernetIPv4 = "\x00\x01\x08\x00\x06\x04" // hardware and protocol type, and the lengths of their addresses
	if len(b) < arpLen || string(b[:6]) != ethernetIPv4 {
		return o, false
	}
	operation := binary.BigEndian.Uint16(b[6:])
	o.From = garp.Hardware(b[8:14])
	sender, target := netip.AddrFrom4([4]byte(b[14:18])), netip.AddrFrom4([4]byte(b[24:28]))
	switch operation {
	case 1:
		o.Asked, o.How = target, garp.Request
	case 2:
		o.How = garp.Reply
	default:
		return o, false
	}
	if !sender.IsUnspecified() {
		o.Claimed, o.Announced = sender, sender == target
	}
	return o, o.Claimed.IsValid() || o.Asked.IsValid()
}

// parseNeighbour reads an IPv6 packet with a neighbour solicitation or advertisement.
func parseNeighbour(b []byte, source garp.Hardware) (o garp.Observation, ok bool) {
	if len(b) < ipv6HeaderLen+neighbourLen || b[0]>>4 != 6 || b[6] != protocolICMPv6 || b[7] != hopLimit {
		return o, false
	}
	length := int(binary.BigEndian.Uint16(b[4:]))
	toAll := netip.AddrFrom16([16]byte(b[24:40])) == allNodes
	b = b[ipv6HeaderLen:]
	if length < neighbourLen || length > len(b) {
		return o, false
	}
	b = b[:length]
	target := netip.AddrFrom16([16]byte(b[8:24]))
	o.From = source
	switch b[0] {
	case icmpSolicitation:
		o.Asked = target
		return o, true
	case icmpAdvertisement:
		o.Claimed, o.How, o.Announced = target, garp.Advertisement, toAll
	default:
		return o, false
	}
	for options := b[neighbourLen:]; len(options) >= 8; {
		size := int(options[1]) * 8
		if size == 0 || size > len(options) {
			return o, false
		}
		if options[0] == optionTarget {
			o.From = garp.Hardware(options[2:8])
		}
		options = options[size:]
	}
	return o, true
}

// neighbourFilter is a socket filter that accepts neighbour solicitations and advertisements only.
var neighbourFilter = []bpf.Instruction{
	bpf.LoadAbsolute{Off: ipv6ProtocolOffset, Size: 1},
	bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: protocolICMPv6, SkipTrue: 3},
	bpf.LoadAbsolute{Off: ethernetHeaderLen + ipv6HeaderLen, Size: 1},
	bpf.JumpIf{Cond: bpf.JumpEqual, Val: icmpSolicitation, SkipTrue: 2},
	bpf.JumpIf{Cond: bpf.JumpEqual, Val: icmpAdvertisement, SkipTrue: 1},
	bpf.RetConstant{Val: 0},
	bpf.RetConstant{Val: 0xffff},
}

// Where a frame names the protocol that the IP packet carries.
const (
	ipv4ProtocolOffset = ethernetHeaderLen + 9
	ipv6ProtocolOffset = ethernetHeaderLen + 6
)

// protocolFilter returns a socket filter that accepts VRRP only, and of it the headers.
func protocolFilter(offset uint32) []bpf.Instruction {
	return []bpf.Instruction{
		bpf.LoadAbsolute{Off: offset, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: protocolVRRP, SkipTrue: 1},
		bpf.RetConstant{Val: 0},
		bpf.RetConstant{Val: ethernetHeaderLen + ipv6HeaderLen},
	}
}
