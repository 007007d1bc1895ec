// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/vrrp"
)

// An option is a socket option of an integer.
type option struct {
	name         string
	level, value int
	to           int
}

func setOptions(fd int, options []option) error {
	var all error
	for _, o := range options {
		if err := unix.SetsockoptInt(fd, o.level, o.value, o.to); err != nil {
			all = errors.Join(all, fmt.Errorf("%s: %w", o.name, err))
		}
	}
	return all
}

func named(name string, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// setUpCommon sets what both raw sockets need.
func (c *conn) setUpCommon(fd int) error {
	var bound error
	if c.index != 0 {
		bound = named("SO_BINDTODEVICE", unix.SetsockoptString(fd, unix.SOL_SOCKET, unix.SO_BINDTODEVICE, c.iface))
	}
	return errors.Join(
		bound,
		setOptions(fd, []option{
			{"SO_PRIORITY", unix.SOL_SOCKET, unix.SO_PRIORITY, sendPriority},
			{"SO_RCVBUF", unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer},
		}),
		named("SO_RCVBUFFORCE", forceReceiveBuffer(fd)),
	)
}

// forceReceiveBuffer exceeds the system's limit if we have the privilege; if not, the limit stays.
func forceReceiveBuffer(fd int) error {
	err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer)
	if errors.Is(err, unix.EPERM) {
		return nil
	}
	return err
}

func (c *conn) setUp4(fd int) error {
	if c.index == 0 {
		return errors.Join(c.setUpCommon(fd), setOptions(fd, []option{
			{"IP_HDRINCL", unix.IPPROTO_IP, unix.IP_HDRINCL, 1},
			{"IP_MULTICAST_ALL", unix.IPPROTO_IP, unix.IP_MULTICAST_ALL, 0},
		}))
	}
	mreq := &unix.IPMreqn{Multiaddr: vrrp.Group4.As4(), Ifindex: int32(c.index)}
	return errors.Join(
		c.setUpCommon(fd),
		setOptions(fd, []option{
			// We write the IP header, so we choose the source, whatever addresses the interface has at the moment.
			{"IP_HDRINCL", unix.IPPROTO_IP, unix.IP_HDRINCL, 1},
			{"IP_MULTICAST_LOOP", unix.IPPROTO_IP, unix.IP_MULTICAST_LOOP, 0},
			{"IP_MULTICAST_ALL", unix.IPPROTO_IP, unix.IP_MULTICAST_ALL, 0},
		}),
		named("IP_MULTICAST_IF", unix.SetsockoptIPMreqn(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_IF, mreq)),
		named("IP_ADD_MEMBERSHIP", unix.SetsockoptIPMreqn(fd, unix.IPPROTO_IP, unix.IP_ADD_MEMBERSHIP, mreq)),
	)
}

func (c *conn) setUp6(fd int) error {
	if c.index == 0 {
		return errors.Join(c.setUpCommon(fd), setOptions(fd, []option{
			{"IPV6_UNICAST_HOPS", unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS, vrrp.TTL},
			{"IPV6_TCLASS", unix.IPPROTO_IPV6, unix.IPV6_TCLASS, networkControl},
			{"IPV6_MULTICAST_ALL", unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_ALL, 0},
			{"IPV6_RECVPKTINFO", unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1},
			{"IPV6_RECVHOPLIMIT", unix.IPPROTO_IPV6, unix.IPV6_RECVHOPLIMIT, 1},
			{"IPV6_FREEBIND", unix.IPPROTO_IPV6, unix.IPV6_FREEBIND, 1},
		}))
	}
	mreq := &unix.IPv6Mreq{Multiaddr: vrrp.Group6.As16(), Interface: uint32(c.index)}
	return errors.Join(
		c.setUpCommon(fd),
		setOptions(fd, []option{
			{"IPV6_MULTICAST_HOPS", unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_HOPS, vrrp.TTL},
			{"IPV6_UNICAST_HOPS", unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS, vrrp.TTL},
			{"IPV6_TCLASS", unix.IPPROTO_IPV6, unix.IPV6_TCLASS, networkControl},
			{"IPV6_MULTICAST_IF", unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_IF, c.index},
			{"IPV6_MULTICAST_LOOP", unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_LOOP, 0},
			{"IPV6_MULTICAST_ALL", unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_ALL, 0},
			{"IPV6_RECVPKTINFO", unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1},
			{"IPV6_RECVHOPLIMIT", unix.IPPROTO_IPV6, unix.IPV6_RECVHOPLIMIT, 1},
			// Here too we choose the source.
			{"IPV6_FREEBIND", unix.IPPROTO_IPV6, unix.IPV6_FREEBIND, 1},
		}),
		named("IPV6_ADD_MEMBERSHIP", unix.SetsockoptIPv6Mreq(fd, unix.IPPROTO_IPV6, unix.IPV6_ADD_MEMBERSHIP, mreq)),
	)
}

func (c *conn) setUpRival(fd int) error {
	return errors.Join(
		setOptions(fd, []option{{"PACKET_IGNORE_OUTGOING", unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1}}),
		named("bind", unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: swapped(unix.ETH_P_IP), Ifindex: c.index})),
	)
}
