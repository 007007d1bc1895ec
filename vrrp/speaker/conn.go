// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/vrrp"
)

const (
	receiveBuffer = 1 << 20 // octets: a few seconds of a thousand routers' advertisements
	sendPriority  = 6       // the highest that needs no capability; first band of the default queue
	maxPacket     = 4352    // octets: 255 IPv6 addresses and the headers of IP and Ethernet need 4,142
)

// The sockets of a conn.
const (
	socket4 = iota
	socket6
	// socketRival receives packets from our own IPv4 address. The kernel discards them as martians before they reach a raw
	// socket.
	socketRival

	sockets = iota
)

// A conn is the non-blocking sockets for the advertisements of one interface, or, with index 0, for unicast on any interface.
type conn struct {
	iface string
	index int
	all   [sockets]socket

	to4 unix.SockaddrInet4
	v6  ipv6Messages
	in  inbox

	frames int // the socket for frames from virtual MAC addresses; -1 until the first frame
	toLink unix.SockaddrLinklayer
}

// A socket of a conn; it is open when err is nil and fd not negative.
type socket struct {
	fd     int
	err    error // why it could not be opened
	ready  bool  // there may be packets to read
	filter packetFilter
}

// newConn returns a conn without sockets.
func newConn(iface string, index int) *conn {
	c := &conn{iface: iface, index: index, frames: -1, toLink: unix.SockaddrLinklayer{Ifindex: index}}
	for i := range c.all {
		c.all[i].fd = -1
	}
	c.v6.init(index)
	c.in.init()
	return c
}

// meet opens the sockets that the VRIDs need, and closes the others. It works in the network namespace of the calling thread.
// Each socket receives only the packets of its VRIDs. own are the IPv4 addresses that we send from. Without privilege the error
// is unix.EPERM.
func (c *conn) meet(vrids4, vrids6 vridSet, own []netip.Addr) error {
	if c.index == 0 { // unicast on any interface
		return errors.Join(c.serve(socket4, packetFilter{vrids: vrids4, ipHeader: true}), c.serve(socket6, packetFilter{vrids: vrids6}))
	}
	rival := packetFilter{vrids: vrids4, ipHeader: true, onlyOwn: true}
	for _, a := range own {
		rival.addOwn(a)
	}
	err := c.serve(socketRival, rival)
	four := packetFilter{vrids: vrids4, ipHeader: true}
	if c.all[socketRival].fd >= 0 {
		four.own = rival.own // otherwise packets from them count twice if the kernel lets them pass
	}
	return errors.Join(err, c.serve(socket4, four), c.serve(socket6, packetFilter{vrids: vrids6}))
}

// serve opens, filters or closes one socket.
func (c *conn) serve(which int, f packetFilter) error {
	s := &c.all[which]
	if f.vrids == (vridSet{}) && (which != socketRival || s.fd < 0) {
		s.err = nil
		return c.shut(which)
	}
	// An unused packet socket stays open and receives nothing. Closing it takes milliseconds, which may delay an
	// advertisement of the other family.
	if s.fd < 0 {
		if s.fd, s.err = c.open(which); s.err != nil {
			return s.err
		}
		s.filter = packetFilter{}
	}
	if s.filter == f {
		return nil
	}
	program, err := f.program()
	if err == nil {
		err = attach(s.fd, program)
	}
	if err != nil {
		s.err = errors.Join(fmt.Errorf("VRRP socket of %s: %w", c.iface, err), c.shut(which))
		return s.err
	}
	s.filter, s.ready = f, true
	return nil
}

// open makes a socket. It receives nothing yet.
func (c *conn) open(which int) (int, error) {
	domain, kind, proto, set := unix.AF_INET, unix.SOCK_RAW, vrrp.Protocol, c.setUp4
	switch which {
	case socket6:
		domain, set = unix.AF_INET6, c.setUp6
	case socketRival:
		domain, kind, proto, set = unix.AF_PACKET, unix.SOCK_DGRAM, 0, c.setUpRival
	}
	fd, err := openSocket(domain, kind, proto)
	if err != nil {
		return -1, err
	}
	// Until the socket is bound it receives from all interfaces. So the filter is set first, and then the queue is emptied.
	nothing, err := (&packetFilter{}).program()
	if err == nil {
		err = errors.Join(attach(fd, nothing), set(fd))
	}
	if err != nil {
		return -1, errors.Join(fmt.Errorf("failed to set up VRRP socket of %s: %w", c.iface, err), unix.Close(fd))
	}
	var b [1]byte
	for {
		if _, err := unix.Read(fd, b[:]); err != nil && err != unix.EINTR {
			return fd, nil
		}
	}
}

// openSocket makes a non-blocking socket.
func openSocket(domain, kind, proto int) (int, error) {
	fd, err := unix.Socket(domain, kind|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, proto)
	if err != nil {
		return -1, fmt.Errorf("failed to open raw socket for VRRP: %w", err)
	}
	return fd, nil
}

// shut closes one socket if it is open.
func (c *conn) shut(which int) error {
	s := &c.all[which]
	if s.fd < 0 {
		return nil
	}
	fd := s.fd
	s.fd, s.ready = -1, false
	if err := unix.Close(fd); err != nil {
		return fmt.Errorf("failed to close VRRP socket of %s: %w", c.iface, err)
	}
	return nil
}

// Close closes the sockets.
func (c *conn) Close() error {
	var err error
	for i := range c.all {
		err = errors.Join(err, c.shut(i))
	}
	if c.frames >= 0 {
		err = errors.Join(err, unix.Close(c.frames))
		c.frames = -1
	}
	return err
}

// fault says why the socket of a family does not work. It is "" if it works.
func (c *conn) fault(v6 bool) string {
	s := &c.all[socket4]
	if v6 {
		s = &c.all[socket6]
	}
	switch {
	case s.err != nil:
		return s.err.Error()
	case s.fd < 0:
		return "VRRP socket of " + c.iface + " is not open"
	}
	return ""
}

// receive reads up to limit packets of a socket and returns how many; unix.EAGAIN means that there is none.
func (c *conn) receive(which, limit int) (int, error) {
	s := &c.all[which]
	n, err := c.in.receive(s.fd, limit, which == socket6)
	if err != nil || n < min(limit, inboxSize) {
		s.ready = false
	}
	if err == unix.ENETDOWN {
		// A packet socket reports once that the link is down. The link watcher reports that as well.
		err = unix.EAGAIN
	}
	return n, err
}

// packet returns one of the packets that were received last from a socket. It is an IPv4 packet, or the message of an IPv6
// packet with its header in h. It is valid until the next receive.
func (c *conn) packet(which, i int) (b []byte, h vrrp.Header) {
	if which == socket6 {
		h = c.in.origin(i)
	}
	return c.in.packet(i), h
}

// send sends a message from src to dst. It adds the IP header in b.
func (c *conn) send(b []byte, p *vrrp.Packet, src, dst netip.Addr) error {
	if dst.Is4() {
		b = p.AppendTo(appendIPv4Header(b[:0], src, dst, p.Len()), src, dst)
		c.to4.Addr = dst.As4()
		for {
			if err := unix.Sendto(c.all[socket4].fd, b, unix.MSG_DONTWAIT, &c.to4); err != unix.EINTR {
				return err
			}
		}
	}
	return c.v6.send(c.all[socket6].fd, p.AppendTo(b[:0], src, dst), src, dst)
}

// sendFrame sends a multicast advertisement from a virtual MAC address (RFC 9568, section 7.2), so that switches keep the
// port of that address. An advertisement that is too long for a frame is sent as an ordinary packet, which the kernel
// fragments. The first call opens a socket in the network namespace of the calling thread.
func (c *conn) sendFrame(b []byte, p *vrrp.Packet, src, dst netip.Addr, from [6]byte) error {
	if c.frames < 0 {
		fd, err := openSocket(unix.AF_PACKET, unix.SOCK_RAW, 0) // protocol 0: it receives nothing
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

// swapped returns a number in network byte order.
func swapped(v uint16) uint16 { return v>>8 | v<<8 }
