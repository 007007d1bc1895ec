// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/vrrp"
)

const (
	ethernetHeaderLen = 14
	ipv4HeaderLen     = 20
	ipv6HeaderLen     = 40
	networkControl    = 0xc0 // DSCP CS6: routing protocols
)

// appendIPv4Header appends the header of an advertisement from src with a message of n octets, for a socket with
// IP_HDRINCL: the kernel fills in identification and checksum.
func appendIPv4Header(b []byte, src, dst netip.Addr, n int) []byte {
	const versionAndLength = 4<<4 | ipv4HeaderLen/4
	b = append(b, versionAndLength, networkControl)
	b = binary.BigEndian.AppendUint16(b, uint16(ipv4HeaderLen+n))
	b = append(b, 0, 0, 0, 0, vrrp.TTL, vrrp.Protocol, 0, 0)
	s, d := src.As4(), dst.As4()
	b = append(b, s[:]...)
	return append(b, d[:]...)
}

// parseIPv4 splits a packet as a raw socket delivers it.
func parseIPv4(b []byte) (h vrrp.Header, msg []byte, d vrrp.Drop) {
	if len(b) < ipv4HeaderLen {
		return h, nil, vrrp.DropTruncated
	}
	if b[0]>>4 != 4 {
		return h, nil, vrrp.DropWrongFamily
	}
	hl, total := int(b[0]&0x0f)*4, int(binary.BigEndian.Uint16(b[2:]))
	if hl < ipv4HeaderLen || total < hl || len(b) < total {
		return h, nil, vrrp.DropTruncated
	}
	h.TTL = b[8]
	h.Source, h.Destination = netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20]))
	return h, b[hl:total], 0
}

// appendEthernetHeader appends the header of a frame to a multicast group (RFC 1112, section 6.4; RFC 2464, section 7).
func appendEthernetHeader(b []byte, group netip.Addr, from [6]byte) []byte {
	if group.Is6() {
		a := group.As16()
		b = append(b, 0x33, 0x33, a[12], a[13], a[14], a[15])
		b = append(b, from[:]...)
		return binary.BigEndian.AppendUint16(b, unix.ETH_P_IPV6)
	}
	a := group.As4()
	b = append(b, 0x01, 0x00, 0x5e, a[1]&0x7f, a[2], a[3])
	b = append(b, from[:]...)
	return binary.BigEndian.AppendUint16(b, unix.ETH_P_IP)
}

// appendIPv6Header appends the header of an advertisement from src with a message of n octets.
func appendIPv6Header(b []byte, src, dst netip.Addr, n int) []byte {
	const version = 6
	b = append(b, version<<4|networkControl>>4, networkControl&0x0f<<4, 0, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(n))
	b = append(b, vrrp.Protocol, vrrp.TTL)
	s, d := src.As16(), dst.As16()
	b = append(b, s[:]...)
	return append(b, d[:]...)
}
