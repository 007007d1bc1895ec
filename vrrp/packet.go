// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"encoding/binary"
	"net/netip"
	"time"
)

const (
	Protocol          = 112 // RFC 9568, section 5.1.1.4
	TTL               = 255 // RFC 9568, section 5.1.1.3
	TypeAdvertisement = 1   // RFC 9568, section 5.2.2: the only type there is
	headerLen         = 8
	checksumAt        = 6
	maxMessage        = headerLen + 255*16 + TrailerLen

	Version2 = 2 // RFC 3768
	Version3 = 3 // RFC 9568

	centisecond        = 10 * time.Millisecond
	MinAdvertInterval  = centisecond
	MaxAdvertInterval  = 4095 * centisecond // RFC 9568, section 5.2.7: 12 bits
	MaxAdvertInterval2 = 255 * time.Second  // RFC 3768, section 5.3.7: 8 bits

	PriorityLeaving = 0 // RFC 9568, section 5.2.4: the master leaves
	PriorityOwner   = 255
)

// The multicast groups of advertisements (RFC 9568, sections 5.1.1.2 and 5.1.2.2).
var (
	Group4 = netip.AddrFrom4([4]byte{224, 0, 0, 18})
	Group6 = netip.AddrFrom16([16]byte{0: 0xff, 1: 0x02, 15: 0x12})

	groups4, groups6 = []netip.Addr{Group4}, []netip.Addr{Group6}
)

// A Header is what the election needs of an IP header.
type Header struct {
	Source, Destination netip.Addr
	TTL                 uint8 // or hop limit
	Path                uint8 // by Config.PathOf
}

// A Packet is an advertisement of version 3 (RFC 9568, section 5.2) or, over IPv4, of version 2 (RFC 3768,
// section 5.1).
type Packet struct {
	Version  uint8
	VRID     uint8
	Priority uint8
	// Interval is the sender's advertisement interval: in version 3 a whole number of centiseconds, 10 ms to 40.95 s, in
	// version 2 of seconds, 1 s to 255 s.
	Interval time.Duration
	// Auth authenticates version 2.
	Auth Auth
	// Checksum is the form of the checksum of version 3 over IPv4.
	Checksum Checksum
	// VIPs are at most 255 addresses, of the IP version that carries the packet.
	VIPs []netip.Addr
	// Trailer is what Parse found behind the packet. AppendTo ignores it.
	Trailer Trailer

	signer   *signer // adds a trailer; nil: none
	sequence uint64  // for it
}

// Len returns how many octets AppendTo appends.
func (p *Packet) Len() int {
	n := headerLen
	for _, vip := range p.VIPs {
		n += vip.BitLen() / 8
	}
	if p.Version == Version2 {
		n += authLen
	}
	if p.signer != nil {
		n += TrailerLen
	}
	return n
}

// AppendTo appends the packet as it goes on the wire from src to dst. Over IPv4 the checksum does not cover the trailer. Over
// IPv6 it does: the kernel fills it in, or checks it, over the whole payload.
func (p *Packet) AppendTo(b []byte, src, dst netip.Addr) []byte {
	start := len(b)
	b = append(b, p.Version<<4|TypeAdvertisement, p.VRID, p.Priority, uint8(len(p.VIPs)))
	if p.Version == Version2 {
		b = append(b, byte(p.Auth.Type), uint8(p.Interval/time.Second))
	} else {
		b = binary.BigEndian.AppendUint16(b, uint16(p.Interval/centisecond))
	}
	b = append(b, 0, 0)
	for _, vip := range p.VIPs {
		if vip.Is4() {
			a := vip.As4()
			b = append(b, a[:]...)
		} else {
			a := vip.As16()
			b = append(b, a[:]...)
		}
	}
	if p.Version == Version2 {
		b = append(b, p.Auth.Data[:]...)
	}
	end := len(b)
	if p.signer != nil {
		b = p.signer.appendTrailer(b, start, src, p.sequence)
		if src.Is6() {
			end = len(b)
		}
	}
	msg := b[start:end]
	acc := sum(0, msg)
	if p.Version != Version2 && (p.Checksum != ChecksumPacket || !src.Is4()) {
		acc += pseudoSum(src, dst, len(msg))
	}
	binary.BigEndian.PutUint16(msg[checksumAt:], ^fold(acc))
	return b
}

// Parse reads the VRRP part of an IP packet from src to dst, overwriting p but keeping the capacity of its VIPs. It makes
// the checks of RFC 9568, section 7.1, and RFC 3768, section 7.1, that need no knowledge of the receiver; p is valid
// only when it returns 0. Over IPv4 both forms of the version 3 checksum are good: with the pseudo-header (RFC 5798)
// and without (RFC 9568). A trailer is read, but not verified.
func (p *Packet) Parse(b []byte, src, dst netip.Addr) Drop {
	if len(b) < 1 {
		return DropTruncated
	}
	p.Version = b[0] >> 4
	if p.Version != Version3 && (p.Version != Version2 || !src.Is4()) {
		return DropWrongVersion
	}
	if len(b) < headerLen {
		return DropTruncated
	}
	if b[0]&0x0f != TypeAdvertisement {
		return DropWrongType
	}
	size := src.BitLen() / 8
	end := headerLen + size*int(b[3])
	want := end
	if p.Version == Version2 {
		want += authLen
	}
	fits := len(b) == want || len(b) > want && isTrailer(b[want:])
	switch {
	case b[3] == 0 && !fits:
		return DropNoAddresses
	case len(b) < want:
		return DropTruncated
	case !fits:
		return DropBadLength
	}
	covered := b
	p.Trailer = Trailer{}
	if len(b) > want {
		p.Trailer = parseTrailer(b[want:])
		b = b[:want]
		if src.Is4() {
			covered = b // over IPv6 the kernel's checksum covers the trailer too
		}
	}
	if !p.verify(covered, src, dst) {
		return DropBadChecksum
	}
	p.VRID, p.Priority = b[1], b[2]
	if d := p.parseTiming(b); d != 0 {
		return d
	}
	p.VIPs = p.VIPs[:0]
	for a := b[headerLen:end]; len(a) > 0; a = a[size:] {
		vip, _ := netip.AddrFromSlice(a[:size])
		p.VIPs = append(p.VIPs, vip)
	}
	return 0
}

// verify checks the checksum and stores its form.
func (p *Packet) verify(b []byte, src, dst netip.Addr) bool {
	s := sum(0, b)
	pseudo := fold(s+pseudoSum(src, dst, len(b))) == 0xffff
	plain := fold(s) == 0xffff
	switch {
	case p.Version == Version2:
		p.Checksum = 0
		return plain
	case pseudo:
		p.Checksum = ChecksumPseudoHeader
		return true
	case plain && src.Is4():
		p.Checksum = ChecksumPacket
		return true
	}
	return false
}

// parseTiming reads the interval, and in version 2 the authentication.
func (p *Packet) parseTiming(b []byte) Drop {
	p.Auth = Auth{}
	if p.Version == Version2 {
		p.Auth.Type = AuthType(b[4])
		// RFC 2338, section 5.3.6: without authentication the data is to be ignored on reception.
		if p.Auth.Type != AuthNone {
			copy(p.Auth.Data[:], b[len(b)-authLen:])
		}
		p.Interval = time.Duration(b[5]) * time.Second
	} else {
		// The four bits before the interval are reserved and to be ignored (RFC 9568, section 5.2.6).
		p.Interval = time.Duration(binary.BigEndian.Uint16(b[4:])&0x0fff) * centisecond
	}
	if p.Interval == 0 {
		return DropZeroInterval
	}
	return 0
}

// InternetChecksum returns the checksum of b (RFC 1071), whose own field must be 0 in b.
func InternetChecksum(b []byte) uint16 { return ^fold(sum(0, b)) }

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

// pseudoSum is the sum over the pseudo-header of a VRRP message of n octets; IPv6 adds up to the same fields
// (RFC 8200, section 8.1).
func pseudoSum(src, dst netip.Addr, n int) uint32 {
	acc := Protocol + uint32(n)
	if src.Is4() {
		s, d := src.As4(), dst.As4()
		return sum(sum(acc, s[:]), d[:])
	}
	s, d := src.As16(), dst.As16()
	return sum(sum(acc, s[:]), d[:])
}

func fold(acc uint32) uint16 {
	for acc > 0xffff {
		acc = acc>>16 + acc&0xffff
	}
	return uint16(acc)
}
