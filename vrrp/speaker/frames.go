// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"encoding/binary"
	"errors"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/vrrp"
)

// sendFrame, whose first call opens a socket in the network namespace of the calling thread, sends a multicast advertisement from a virtual MAC address (RFC 9568, section 7.2), which keeps the switches
// from forgetting where that is. What does not fit into a frame leaves as packets do that the kernel takes apart.
func (c *conn) sendFrame(b []byte, p *vrrp.Packet, src, dst netip.Addr, from [6]byte) error {
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
		binary.BigEndian.PutUint16(head[10:], vrrp.InternetChecksum(head))
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

// swapped is a number in network order.
func swapped(v uint16) uint16 { return v>>8 | v<<8 }
