// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"encoding/binary"
	"errors"
	"net/netip"

	"golang.org/x/sys/unix"
)

const (
	ethernetHeaderLen = 14
	ipv6HeaderLen     = 40
)

// sendFrame, whose first call opens a socket in the network namespace of the calling thread, sends a multicast advertisement from a virtual MAC address (RFC 9568, section 7.2), which keeps the switches
// from forgetting where that is. What does not fit into a frame leaves as packets do that the kernel takes apart.
func (c *conn) sendFrame(b []byte, p *Packet, src, dst netip.Addr, from [6]byte) error {
	if c.frames < 0 {
		fd, err := openSocket(unix.AF_PACKET, unix.SOCK_RAW, 0) // of protocol 0: it hears nothing
		if err != nil {
			return err
		}
		c.frames = fd
		if err := setOptions(fd, []option{{"SO_PRIORITY", unix.SOL_SOCKET, unix.SO_PRIORITY, sendPriority}}); err != nil {
			return err
		}
	}
	b = appendEthernetHeader(b[:0], dst, from)
	c.toLink.Protocol = swapped(unix.ETH_P_IP)
	if dst.Is6() {
		c.toLink.Protocol = swapped(unix.ETH_P_IPV6)
		b = appendIPv6Header(b, src, dst, p.Len())
	} else {
		b = appendIPv4Header(b, src, dst, p.Len())
		head := b[ethernetHeaderLen:]
		binary.BigEndian.PutUint16(head[10:], ^fold(sum(0, head)))
	}
	b = p.AppendTo(b, src, dst)
	for {
		err := unix.Sendto(c.frames, b, unix.MSG_DONTWAIT, &c.toLink)
		switch {
		case err == unix.EINTR:
			continue
		case errors.Is(err, unix.EMSGSIZE):
			return c.send(b, p, src, dst)
		}
		return err
	}
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

// appendIPv6Header appends the header of an advertisement from src, whose message has n octets.
func appendIPv6Header(b []byte, src, dst netip.Addr, n int) []byte {
	const version = 6
	b = append(b, version<<4|networkControl>>4, networkControl&0x0f<<4, 0, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(n))
	b = append(b, protocol, ttl)
	s, d := src.As16(), dst.As16()
	b = append(b, s[:]...)
	return append(b, d[:]...)
}

// swapped is a number in network order.
func swapped(v uint16) uint16 { return v>>8 | v<<8 }
