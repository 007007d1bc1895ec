// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/vrrp"
)

// inboxSize is how many packets an inbox takes at once: two hundred routers' advertisements come in a burst, each of
// which a call of its own would cost more than it costs to read.
const inboxSize = 16

// An inbox takes packets off a socket, many at each recvmmsg(2), and all that it needs is its own, made once.
type inbox struct {
	slots    [inboxSize]slot
	messages [inboxSize]message
}

// A slot is where one packet is put.
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

// receive takes up to limit packets off a socket, and returns how many there were, inboxSize at most. Less than was
// possible means that there are no more. The source and the control messages, for which withOrigin asks, are where an IPv6
// raw socket keeps the header.
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

// packet returns one of the packets that were received last: its octets from where the socket begins. They are valid
// until the next receive.
func (in *inbox) packet(i int) []byte { return in.slots[i].packet[:in.messages[i].length] }

// origin returns what the source and the control messages of a packet say of its header.
func (in *inbox) origin(i int) vrrp.Header {
	s := &in.slots[i]
	h := parseControl(s.control[:in.messages[i].header.Controllen])
	h.Source = netip.AddrFrom16(s.from.Addr)
	return h
}
