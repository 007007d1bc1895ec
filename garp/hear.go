// SPDX-License-Identifier: Apache-2.0

package garp

import (
	"encoding/binary"
	"net"
	"net/netip"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// String writes the address as net.HardwareAddr does.
func (h hardware) String() string { return net.HardwareAddr(h[:]).String() }

const (
	ethernetHeaderLen = 14
	arpLen            = 28 // for IPv4 over Ethernet (RFC 826)
	// neighbourLen is a solicitation's or advertisement's length without options (RFC 4861, sections 4.3 and 4.4).
	neighbourLen = 24

	icmpSolicitation  = 135
	icmpAdvertisement = 136
	optionTarget      = 2 // the target's link-layer address
)

// parse returns what an Ethernet frame says about an address; ok is false for one that says nothing, or is damaged.
func parse(b []byte) (s hearing, ok bool) {
	if len(b) < ethernetHeaderLen {
		return s, false
	}
	kind, payload := binary.BigEndian.Uint16(b[12:]), b[ethernetHeaderLen:]
	switch kind {
	case unix.ETH_P_ARP:
		return parseARP(payload)
	case unix.ETH_P_IPV6:
		return parseNeighbour(payload, hardware(b[6:12]))
	}
	return s, false
}

// parseARP reads an ARP packet. Who gives an address as the sender's claims it, whatever it asks for (RFC 5227, section
// 2.4): its neighbours learn it.
func parseARP(b []byte) (s hearing, ok bool) {
	const ethernetIPv4 = "\x00\x01\x08\x00\x06\x04" // hardware and protocol type, and the lengths of their addresses
	if len(b) < arpLen || string(b[:6]) != ethernetIPv4 {
		return s, false
	}
	operation := binary.BigEndian.Uint16(b[6:])
	s.from = hardware(b[8:14])
	sender, target := netip.AddrFrom4([4]byte(b[14:18])), netip.AddrFrom4([4]byte(b[24:28]))
	switch operation {
	case 1:
		s.asked, s.how = target, formRequest
	case 2:
		s.how = formReply
	default:
		return s, false
	}
	if !sender.IsUnspecified() {
		s.claimed = sender
	}
	return s, s.claimed.IsValid() || s.asked.IsValid()
}

// parseNeighbour reads an IPv6 packet with a neighbour solicitation or advertisement.
func parseNeighbour(b []byte, source hardware) (s hearing, ok bool) {
	if len(b) < ipv6HeaderLen+neighbourLen || b[0]>>4 != 6 || b[6] != protocolICMPv6 || b[7] != hopLimit {
		return s, false
	}
	length := int(binary.BigEndian.Uint16(b[4:]))
	b = b[ipv6HeaderLen:]
	if length < neighbourLen || length > len(b) {
		return s, false
	}
	b = b[:length]
	target := netip.AddrFrom16([16]byte(b[8:24]))
	s.from = source
	switch b[0] {
	case icmpSolicitation:
		s.asked = target
		return s, true
	case icmpAdvertisement:
		s.claimed, s.how = target, formAdvertisement
	default:
		return s, false
	}
	for options := b[neighbourLen:]; len(options) >= 8; {
		size := int(options[1]) * 8
		if size == 0 || size > len(options) {
			return s, false
		}
		if options[0] == optionTarget {
			s.from = hardware(options[2:8])
		}
		options = options[size:]
	}
	return s, true
}

// neighbourFilter lets solicitations and advertisements pass, and nothing else of IPv6 to the program.
func neighbourFilter() ([]bpf.RawInstruction, error) {
	return bpf.Assemble([]bpf.Instruction{
		bpf.LoadAbsolute{Off: ethernetHeaderLen + 6, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: protocolICMPv6, SkipTrue: 3},
		bpf.LoadAbsolute{Off: ethernetHeaderLen + ipv6HeaderLen, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: icmpSolicitation, SkipTrue: 2},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: icmpAdvertisement, SkipTrue: 1},
		bpf.RetConstant{Val: 0},
		bpf.RetConstant{Val: 0xffff},
	})
}
