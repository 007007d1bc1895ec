// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

const (
	receiveBuffer = 1 << 20 // octets: some seconds of a thousand routers' advertisements while the loop is stalled
	sendPriority  = 6       // the highest that needs no capability; the first band of the default queue
	maxPacket     = 2048    // octets: 255 addresses and both headers, with IP options, need 1,088
)

// A conn is the raw socket that carries the IPv4 advertisements of one interface. Its file descriptor does not block.
type conn struct {
	fd    int
	index int
	group unix.SockaddrInet4
}

// openConn makes the socket on the interface in the network namespace of the calling thread. Without privilege the
// error is unix.EPERM.
func openConn(iface string, index int) (*conn, error) {
	fd, err := rawSocket()
	if err != nil {
		return nil, err
	}
	c := &conn{fd: fd, index: index, group: unix.SockaddrInet4{Addr: group4.As4()}}
	if err := c.setUp(iface); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

func rawSocket() (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, protocol)
	if err != nil {
		return -1, fmt.Errorf("open raw socket for VRRP: %w", err)
	}
	return fd, nil
}

func (c *conn) setUp(iface string) error {
	wrap := func(option string, err error) error {
		if err != nil {
			return fmt.Errorf("set %s on VRRP socket of %s: %w", option, iface, err)
		}
		return nil
	}
	set := func(option string, level, name, value int) error {
		return wrap(option, unix.SetsockoptInt(c.fd, level, name, value))
	}
	mreq := &unix.IPMreqn{Multiaddr: group4.As4(), Ifindex: int32(c.index)}
	return errors.Join(
		wrap("SO_BINDTODEVICE", unix.SetsockoptString(c.fd, unix.SOL_SOCKET, unix.SO_BINDTODEVICE, iface)),
		// We write the IP header: so the source is ours to choose whatever the interface has at the moment.
		set("IP_HDRINCL", unix.IPPROTO_IP, unix.IP_HDRINCL, 1),
		wrap("IP_MULTICAST_IF", unix.SetsockoptIPMreqn(c.fd, unix.IPPROTO_IP, unix.IP_MULTICAST_IF, mreq)),
		set("IP_MULTICAST_LOOP", unix.IPPROTO_IP, unix.IP_MULTICAST_LOOP, 0),
		set("IP_MULTICAST_ALL", unix.IPPROTO_IP, unix.IP_MULTICAST_ALL, 0),
		wrap("IP_ADD_MEMBERSHIP", unix.SetsockoptIPMreqn(c.fd, unix.IPPROTO_IP, unix.IP_ADD_MEMBERSHIP, mreq)),
		set("SO_PRIORITY", unix.SOL_SOCKET, unix.SO_PRIORITY, sendPriority),
		set("SO_RCVBUF", unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer),
		wrap("SO_RCVBUFFORCE", c.forceReceiveBuffer()),
	)
}

// forceReceiveBuffer goes beyond the system's limit where we may; where not, the limit is what there is.
func (c *conn) forceReceiveBuffer() error {
	err := unix.SetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer)
	if errors.Is(err, unix.EPERM) {
		return nil
	}
	return err
}

// Close closes the socket.
func (c *conn) Close() error {
	if err := unix.Close(c.fd); err != nil {
		return fmt.Errorf("close VRRP socket: %w", err)
	}
	return nil
}

// read takes one packet, IP header included, into b; unix.EAGAIN says that there is none.
func (c *conn) read(b []byte) (int, error) {
	for {
		n, err := unix.Read(c.fd, b)
		if err != unix.EINTR {
			return n, err
		}
	}
}

// send sends one packet, IP header included, to the VRRP group.
func (c *conn) send(b []byte) error {
	for {
		if err := unix.Sendto(c.fd, b, unix.MSG_DONTWAIT, &c.group); err != unix.EINTR {
			return err
		}
	}
}

// primary returns the address that advertisements leave from: the first IPv4 address of the link that isVIP
// does not claim, in kernel order; the zero Addr when there is none.
func primary(link Link, isVIP func(netip.Addr) bool) netip.Addr {
	for _, p := range link.Addrs {
		if p.Addr().Is4() && !isVIP(p.Addr()) {
			return p.Addr()
		}
	}
	return netip.Addr{}
}
