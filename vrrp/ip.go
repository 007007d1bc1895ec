// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"encoding/binary"
	"net/netip"
)

const (
	ipv4HeaderLen  = 20
	networkControl = 0xc0 // DSCP CS6: routing protocols
)

// Where multicast advertisements go (RFC 9568, sections 5.1.1.2 and 5.1.2.2).
var (
	group4 = netip.AddrFrom4([4]byte{224, 0, 0, 18})
	group6 = netip.AddrFrom16([16]byte{0: 0xff, 1: 0x02, 15: 0x12})

	groups4, groups6 = []netip.Addr{group4}, []netip.Addr{group6}
)

// A header is what the election needs to know of an IP header.
type header struct {
	src, dst netip.Addr
	ttl      uint8 // or hop limit
}

// appendIPv4Header appends the header of an advertisement from src, whose message has n octets, as a socket with
// IP_HDRINCL wants it: the kernel fills in identification and checksum.
func appendIPv4Header(b []byte, src, dst netip.Addr, n int) []byte {
	const versionAndLength = 4<<4 | ipv4HeaderLen/4
	b = append(b, versionAndLength, networkControl)
	b = binary.BigEndian.AppendUint16(b, uint16(ipv4HeaderLen+n))
	b = append(b, 0, 0, 0, 0, ttl, protocol, 0, 0)
	s, d := src.As4(), dst.As4()
	b = append(b, s[:]...)
	return append(b, d[:]...)
}

// parseIPv4 splits a packet as a raw socket delivers it.
func parseIPv4(b []byte) (h header, msg []byte, d Drop) {
	if len(b) < ipv4HeaderLen {
		return h, nil, DropTruncated
	}
	if b[0]>>4 != 4 {
		return h, nil, DropWrongFamily
	}
	hl, total := int(b[0]&0x0f)*4, int(binary.BigEndian.Uint16(b[2:]))
	if hl < ipv4HeaderLen || total < hl || len(b) < total {
		return h, nil, DropTruncated
	}
	h.ttl = b[8]
	h.src, h.dst = netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20]))
	return h, b[hl:total], 0
}
