// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"encoding/binary"
	"net/netip"
)

// A Segment is a TCP segment over IPv4 without data: a SYN, or an ACK.
type Segment struct {
	To, From       string // hardware addresses
	Source, Target netip.AddrPort
	ACK            bool
}

// Frame is the packet from its Ethernet header on.
func (s Segment) Frame() []byte {
	const tcpHeader, protocol, syn, ack = 20, 6, 0x02, 0x10
	src, dst := s.Source.Addr().As4(), s.Target.Addr().As4()
	tcp := make([]byte, tcpHeader)
	binary.BigEndian.PutUint16(tcp, s.Source.Port())
	binary.BigEndian.PutUint16(tcp[2:], s.Target.Port())
	tcp[12], tcp[13] = tcpHeader/4<<4, syn
	if s.ACK {
		tcp[13] = ack
	}
	binary.BigEndian.PutUint16(tcp[14:], 0xffff) // window
	pseudo := append(append(src[:], dst[:]...), 0, protocol, 0, tcpHeader)
	binary.BigEndian.PutUint16(tcp[16:], checksum(append(pseudo, tcp...)))
	ip := []byte{0x45, 0, 0, 20 + tcpHeader, 0, 0, 0, 0, 64, protocol, 0, 0}
	ip = append(append(ip, src[:]...), dst[:]...)
	binary.BigEndian.PutUint16(ip[10:], checksum(ip))
	frame := append(hardware(s.To), hardware(s.From)...)
	frame = append(frame, 0x08, 0x00)
	return append(append(frame, ip...), tcp...)
}
