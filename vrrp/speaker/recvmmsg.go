// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/vrrp"
)

// inboxSize is how many packets one system call reads. The advertisements of many routers come in bursts, and a call for
// each would cost more than the reading itself.
const inboxSize = 16

// An inbox reads packets of a socket, many with each recvmmsg(2). Its memory is allocated once.
type inbox struct {
	slots    [inboxSize]slot
	messages [inboxSize]message
}

// A slot is the buffer of one packet.
type slot struct {
	packet  [maxPacket]byte
	from    unix.RawSockaddrInet6
	control [128]byte
	iov     unix.Iovec
}

// A message is the kernel's struct mmsghdr.
type message struct {
	header unix.Msghdr
	length uint32
}

func (in *inbox) init() {
	for i := range in.slots {
		s := &in.slots[i]
		s.iov.Base = &s.packet[0]
		s.iov.SetLen(len(s.packet))
		in.messages[i].header.Iov = &s.iov
		in.messages[i].header.SetIovlen(1)
	}
}

// receive reads up to limit packets of a socket, at most inboxSize, and returns how many. If it returns fewer than it
// could, there are no more. withOrigin asks for the source and the control messages: an IPv6 raw socket has the header
// there.
func (in *inbox) receive(fd, limit int, withOrigin bool) (int, error) {
	limit = min(limit, inboxSize)
	for i := range limit {
		s, h := &in.slots[i], &in.messages[i].header
		if !withOrigin {
			h.Name, h.Namelen, h.Control, h.Controllen = nil, 0, nil, 0
			continue
		}
		h.Name, h.Namelen = (*byte)(unsafe.Pointer(&s.from)), unix.SizeofSockaddrInet6
		h.Control = &s.control[0]
		h.SetControllen(len(s.control))
	}
	for {
		n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, uintptr(fd), uintptr(unsafe.Pointer(&in.messages[0])), uintptr(limit),
			unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			return int(n), nil
		case unix.EINTR:
		default:
			return 0, errno
		}
	}
}

// packet returns the octets of one of the packets that were received last. They are valid until the next receive.
func (in *inbox) packet(i int) []byte { return in.slots[i].packet[:in.messages[i].length] }

// origin returns the header of a packet, from its source and control messages.
func (in *inbox) origin(i int) vrrp.Header {
	s := &in.slots[i]
	h := parseControl(s.control[:in.messages[i].header.Controllen])
	h.Source = netip.AddrFrom16(s.from.Addr)
	return h
}
