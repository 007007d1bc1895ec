// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/vrrp"
)

// An ipv6Messages sends on an IPv6 raw socket. A control message carries the source address. Its memory is allocated once.
//
// With a header of our own, as for IPv4, the kernel would not fragment, and 255 addresses need three frames.
type ipv6Messages struct {
	to      unix.SockaddrInet6
	control []byte // IPV6_PKTINFO: the source and the interface
}

func (m *ipv6Messages) init(index int) {
	m.to.ZoneId = uint32(index)
	m.control = unix.PktInfo6(&unix.Inet6Pktinfo{Ifindex: uint32(index)})
}

func (m *ipv6Messages) send(fd int, b []byte, src, dst netip.Addr) error {
	m.to.Addr = dst.As16()
	from := src.As16()
	copy(m.control[unix.CmsgLen(0):], from[:])
	for {
		if _, err := unix.SendmsgN(fd, b, m.control, &m.to, unix.MSG_DONTWAIT); err != unix.EINTR {
			return err
		}
	}
}

// parseControl reads the destination and the hop limit from control messages.
func parseControl(b []byte) (h vrrp.Header) {
	for len(b) >= unix.CmsgLen(0) {
		c, data, rest, err := unix.ParseOneSocketControlMessage(b)
		if err != nil {
			return h
		}
		switch {
		case c.Level != unix.IPPROTO_IPV6:
		case c.Type == unix.IPV6_PKTINFO && len(data) >= 16:
			h.Destination = netip.AddrFrom16([16]byte(data))
		case c.Type == unix.IPV6_HOPLIMIT && len(data) >= 4:
			h.TTL = uint8(binary.NativeEndian.Uint32(data))
		}
		b = rest
	}
	return h
}
