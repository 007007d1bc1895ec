// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"encoding/binary"
	"net/netip"
	"time"
)

const (
	protocol      = 112 // RFC 9568, section 5.1.1.4
	ttl           = 255 // RFC 9568, section 5.1.1.3
	advertisement = 1   // RFC 9568, section 5.2.2: the only type there is
	headerLen     = 8
	ipv4HeaderLen = 20

	centisecond       = 10 * time.Millisecond
	minAdvertInterval = centisecond
	maxAdvertInterval = 4095 * centisecond // RFC 9568, section 5.2.7: 12 bits

	priorityLeaving = 0 // RFC 9568, section 5.2.4: the master gives up
	priorityOwner   = 255
)

// group4 is where advertisements go (RFC 9568, section 5.1.1.2).
var group4 = netip.AddrFrom4([4]byte{224, 0, 0, 18})

// A Packet is a VRRP version 3 advertisement over IPv4 (RFC 9568, section 5.2).
type Packet struct {
	VRID     uint8
	Priority uint8
	// Interval is the sender's advertisement interval, a whole number of centiseconds, 10 ms to 40.95 s.
	Interval time.Duration
	// VIPs are 1 to 255 IPv4 addresses.
	VIPs []netip.Addr
}

// AppendTo appends the packet as it goes on the wire from src to dst. The checksum covers the pseudo-header, as
// RFC 5798, section 5.2.8, was read by keepalived and FRR, which by default refuse the form of RFC 9568.
func (p *Packet) AppendTo(b []byte, src, dst netip.Addr) []byte {
	start := len(b)
	b = append(b, 3<<4|advertisement, p.VRID, p.Priority, uint8(len(p.VIPs)))
	b = binary.BigEndian.AppendUint16(b, uint16(p.Interval/centisecond))
	b = append(b, 0, 0)
	for _, vip := range p.VIPs {
		a := vip.As4()
		b = append(b, a[:]...)
	}
	msg := b[start:]
	binary.BigEndian.PutUint16(msg[6:], ^fold(sum(pseudoSum(src, dst, len(msg)), msg)))
	return b
}

// Parse reads the VRRP part of an IPv4 packet from src to dst, overwriting p but keeping the capacity of its VIPs.
// It makes the checks of RFC 9568, section 7.1, that need no knowledge of the receiver; p is valid only when
// it returns 0. Both forms of the checksum are good: with the pseudo-header (RFC 5798) and without (RFC 9568).
func (p *Packet) Parse(b []byte, src, dst netip.Addr) Drop {
	if len(b) < 1 {
		return DropTruncated
	}
	if b[0]>>4 != 3 {
		return DropWrongVersion
	}
	if len(b) < headerLen {
		return DropTruncated
	}
	if b[0]&0x0f != advertisement {
		return DropWrongType
	}
	count := int(b[3])
	switch want := headerLen + 4*count; {
	case count == 0:
		return DropNoAddresses
	case len(b) < want:
		return DropTruncated
	case len(b) > want:
		return DropBadLength
	}
	if s := sum(0, b); fold(s) != 0xffff && fold(s+pseudoSum(src, dst, len(b))) != 0xffff {
		return DropBadChecksum
	}
	// The four bits before the interval are reserved and to be ignored (RFC 9568, section 5.2.6).
	p.Interval = time.Duration(binary.BigEndian.Uint16(b[4:])&0x0fff) * centisecond
	if p.Interval == 0 {
		return DropZeroInterval
	}
	p.VRID, p.Priority = b[1], b[2]
	p.VIPs = p.VIPs[:0]
	for a := b[headerLen:]; len(a) > 0; a = a[4:] {
		p.VIPs = append(p.VIPs, netip.AddrFrom4([4]byte(a)))
	}
	return 0
}

// sum adds b to a running one's complement sum (RFC 1071), as yet unfolded: 65,535 octets cannot overflow it.
func sum(acc uint32, b []byte) uint32 {
	for ; len(b) >= 2; b = b[2:] {
		acc += uint32(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		acc += uint32(b[0]) << 8
	}
	return acc
}

// pseudoSum is the sum over the IPv4 pseudo-header of a VRRP message of n octets.
func pseudoSum(src, dst netip.Addr, n int) uint32 {
	s, d := src.As4(), dst.As4()
	return sum(sum(protocol+uint32(n), s[:]), d[:])
}

func fold(acc uint32) uint16 {
	for acc > 0xffff {
		acc = acc>>16 + acc&0xffff
	}
	return uint16(acc)
}

// An ipv4Header is what the election needs to know of an IPv4 header.
type ipv4Header struct {
	src, dst netip.Addr
	ttl      uint8
}

// appendIPv4Header appends the header of an advertisement from src, whose message has n octets, as a socket with
// IP_HDRINCL wants it: the kernel fills in identification and checksum.
func appendIPv4Header(b []byte, src, dst netip.Addr, n int) []byte {
	const (
		versionAndLength = 4<<4 | ipv4HeaderLen/4
		networkControl   = 0xc0 // DSCP CS6: routing protocols
	)
	b = append(b, versionAndLength, networkControl)
	b = binary.BigEndian.AppendUint16(b, uint16(ipv4HeaderLen+n))
	b = append(b, 0, 0, 0, 0, ttl, protocol, 0, 0)
	s, d := src.As4(), dst.As4()
	b = append(b, s[:]...)
	return append(b, d[:]...)
}

// parseIPv4 splits a packet as a raw socket delivers it. The message is returned also with DropWrongDestination
// and DropWrongTTL, so that the drop can be counted where it belongs.
func parseIPv4(b []byte) (h ipv4Header, msg []byte, d Drop) {
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
	msg = b[hl:total]
	switch {
	case h.dst != group4:
		return h, msg, DropWrongDestination
	case h.ttl != ttl:
		return h, msg, DropWrongTTL
	}
	return h, msg, 0
}
