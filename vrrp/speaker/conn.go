// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/vrrp"
)

const (
	receiveBuffer = 1 << 20 // octets: some seconds of a thousand routers' advertisements while the loop is stalled
	sendPriority  = 6       // the highest that needs no capability; the first band of the default queue
	maxPacket     = 4352    // octets: 255 IPv6 addresses and the headers of IP and Ethernet need 4,142
)

// The sockets of a conn.
const (
	socket4 = iota
	socket6
	// socketRival sees what bears our own IPv4 address as its source, which the kernel discards as a martian before
	// it comes to a raw socket.
	socketRival

	sockets = iota
)

// A conn is the sockets that carry the advertisements of one interface. None of them blocks.
type conn struct {
	iface string
	index int
	all   [sockets]socket

	to4 unix.SockaddrInet4
	v6  ipv6Messages
	in  inbox

	frames int // the socket for frames from virtual MAC addresses; -1 until there is one to send
	toLink unix.SockaddrLinklayer
}

// A socket of a conn; it is open when err is nil and fd not negative.
type socket struct {
	fd     int
	err    error // why it could not be opened
	ready  bool  // there may be something to read
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

// meet opens the sockets for which there are VRIDs, in the network namespace of the calling thread, closes the others,
// and lets each have the packets of its VRIDs alone. own are the IPv4 addresses that we send from. Without privilege
// the error is unix.EPERM.
func (c *conn) meet(vrids4, vrids6 vridSet, own []netip.Addr) error {
	rival := packetFilter{vrids: vrids4, ipHeader: true, onlyOwn: true}
	for _, a := range own {
		rival.addOwn(a)
	}
	err := c.serve(socketRival, rival)
	four := packetFilter{vrids: vrids4, ipHeader: true}
	if c.all[socketRival].fd >= 0 {
		four.own = rival.own // else they would be told twice where the kernel lets them pass
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
	// A packet socket that is needed no more stays open and takes nothing: to close it the kernel makes us wait for
	// milliseconds, in which the other family may have to advertise.
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

// open makes a socket that takes nothing yet.
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
	// Until it is bound to the interface it hears them all; so at first it takes nothing, and forgets what it took.
	nothing, err := (&packetFilter{}).program()
	if err == nil {
		err = errors.Join(attach(fd, nothing), set(fd))
	}
	if err != nil {
		return -1, errors.Join(fmt.Errorf("set up VRRP socket of %s: %w", c.iface, err), unix.Close(fd))
	}
	var b [1]byte
	for {
		if _, err := unix.Read(fd, b[:]); err != nil && err != unix.EINTR {
			return fd, nil
		}
	}
}

// openSocket says what the privilege is needed for.
func openSocket(domain, kind, proto int) (int, error) {
	fd, err := unix.Socket(domain, kind|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, proto)
	if err != nil {
		return -1, fmt.Errorf("open raw socket for VRRP: %w", err)
	}
	return fd, nil
}

// shut closes one socket, if it is open.
func (c *conn) shut(which int) error {
	s := &c.all[which]
	if s.fd < 0 {
		return nil
	}
	fd := s.fd
	s.fd, s.ready = -1, false
	if err := unix.Close(fd); err != nil {
		return fmt.Errorf("close VRRP socket of %s: %w", c.iface, err)
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

// fault says why the socket of a family cannot be used, "" when it can.
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

// receive takes up to limit packets off a socket into the inbox and returns how many; unix.EAGAIN says that there is none.
func (c *conn) receive(which, limit int) (int, error) {
	s := &c.all[which]
	n, err := c.in.receive(s.fd, limit, which == socket6)
	if err != nil || n < min(limit, inboxSize) {
		s.ready = false
	}
	if err == unix.ENETDOWN {
		// A packet socket says once that the link has gone down. We hear of that elsewhere.
		err = unix.EAGAIN
	}
	return n, err
}

// packet returns one of the packets that were received last from a socket: an IPv4 packet, or the message of an
// IPv6 packet, whose header is h then. It is valid until the next receive.
func (c *conn) packet(which, i int) (b []byte, h vrrp.Header) {
	if which == socket6 {
		h = c.in.origin(i)
	}
	return c.in.packet(i), h
}

// send sends a message, to which the IP header is added in b, from src to dst.
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
