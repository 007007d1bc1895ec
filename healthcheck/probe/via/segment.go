// SPDX-License-Identifier: Apache-2.0

package via

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Flags of a TCP segment (RFC 9293, section 3.1).
const (
	flagSYN = 0x02
	flagRST = 0x04
	flagACK = 0x10
)

// Lengths of headers without options, in bytes.
const (
	ipv4Header = 20
	ipv6Header = 40
	tcpHeader  = 20
)

// A segment is a SYN: its addresses, its ports and its sequence number.
type segment struct {
	from, to netip.AddrPort
	sequence uint32
}

// An answer is the kind of answer that a packet gives to a SYN.
type answer uint8

const (
	nothing  answer = iota + 1 // the packet is no answer to the SYN
	accepted                   // SYN and ACK from the address of the SYN
	refused                    // RST from there
	strayed                    // an answer to the SYN, but from another address
)

// bytes returns an IP packet with the segment, without data.
func (s segment) bytes(flags byte, sequence uint32) []byte { return s.padded(flags, sequence, 0) }

// padded returns an IP packet with the segment, with as many bytes of zero as data.
func (s segment) padded(flags byte, sequence uint32, data int) []byte {
	tcp := make([]byte, tcpHeader+data)
	length := uint16(len(tcp))
	binary.BigEndian.PutUint16(tcp, s.from.Port())
	binary.BigEndian.PutUint16(tcp[2:], s.to.Port())
	binary.BigEndian.PutUint32(tcp[4:], sequence)
	tcp[12] = tcpHeader / 4 << 4
	tcp[13] = flags
	binary.BigEndian.PutUint16(tcp[14:], 64240) // window
	source, destination := s.from.Addr().AsSlice(), s.to.Addr().AsSlice()
	// RFC 9293, section 3.1: the checksum covers a pseudo-header too.
	pseudo := append(append(append([]byte{}, source...), destination...), 0, unix.IPPROTO_TCP)
	pseudo = binary.BigEndian.AppendUint16(pseudo, length)
	binary.BigEndian.PutUint16(tcp[16:], checksum(append(pseudo, tcp...)))

	var ip []byte
	if s.to.Addr().Is4() {
		ip = make([]byte, ipv4Header) // RFC 791, section 3.1
		ip[0] = 4<<4 | ipv4Header/4
		binary.BigEndian.PutUint16(ip[2:], ipv4Header+length)
		ip[6] = 0x40 // do not fragment
		ip[8], ip[9] = 64, unix.IPPROTO_TCP
		copy(ip[12:], source)
		copy(ip[16:], destination)
		binary.BigEndian.PutUint16(ip[10:], checksum(ip))
	} else {
		ip = make([]byte, ipv6Header) // RFC 8200, section 3
		ip[0] = 6 << 4
		binary.BigEndian.PutUint16(ip[4:], length)
		ip[6], ip[7] = unix.IPPROTO_TCP, 64
		copy(ip[8:], source)
		copy(ip[24:], destination)
	}
	return append(ip, tcp...)
}

// answerIn returns how an IP packet answers the SYN. The packet may be any packet on the wire.
func (s segment) answerIn(b []byte) answer {
	source, destination, tcp, ok := splitIP(b)
	if !ok || len(tcp) < tcpHeader || destination != s.from.Addr() {
		return nothing
	}
	flags := tcp[13]
	acknowledges := flags&flagACK != 0 && binary.BigEndian.Uint32(tcp[8:]) == s.sequence+1
	if !acknowledges || binary.BigEndian.Uint16(tcp) != s.to.Port() || binary.BigEndian.Uint16(tcp[2:]) != s.from.Port() {
		return nothing
	}
	switch {
	case source != s.to.Addr():
		return strayed
	case flags&flagRST != 0:
		return refused
	case flags&flagSYN != 0:
		return accepted
	}
	return nothing
}

// splitIP splits an IP packet. It is not ok unless TCP follows without extension headers, and the packet is not a later
// fragment.
func splitIP(b []byte) (source, destination netip.Addr, tcp []byte, ok bool) {
	switch {
	case len(b) >= ipv4Header && b[0]>>4 == 4:
		header := int(b[0]&0x0f) * 4
		later := binary.BigEndian.Uint16(b[6:])&0x1fff != 0
		if header < ipv4Header || len(b) < header || b[9] != unix.IPPROTO_TCP || later {
			return source, destination, nil, false
		}
		return netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20])), b[header:], true
	case len(b) >= ipv6Header && b[0]>>4 == 6 && b[6] == unix.IPPROTO_TCP:
		return netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40])), b[ipv6Header:], true
	}
	return source, destination, nil, false
}

// checksum is that of RFC 1071.
func checksum(b []byte) uint16 {
	var sum uint32
	for ; len(b) > 1; b = b[2:] {
		sum += uint32(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		sum += uint32(b[0]) << 8
	}
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}
