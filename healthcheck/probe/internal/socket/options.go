// SPDX-License-Identifier: Apache-2.0

// Package socket has what all probes need from sockets: the options to set, and the results that follow from errors.
package socket

import (
	"net"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/healthcheck"
)

// Prepare sets the options that a new socket needs before it is bound or connected.
func Prepare(fd int, c *healthcheck.Config) error {
	if c.Source.IsValid() {
		// Without this option each bound socket occupies one of about 28,000 local ports exclusively.
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
	}
	if c.Device != "" {
		if err := unix.BindToDevice(fd, c.Device); err != nil {
			return err
		}
	}
	if c.Mark != 0 {
		return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_MARK, int(c.Mark))
	}
	return nil
}

// Abrupt makes a connection end with a reset, whoever closes it. A probe must leave no TIME_WAIT behind, neither on the
// director nor, by the thousand, on the server; and the server must stop sending a body that nobody reads.
func Abrupt(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
}

// EndSending ends this side's direction of a connection, so that the peer reads the end before the reset that Abrupt sends. A
// connection that the peer has ended stays as it is: both sides' ends would leave the peer in TIME_WAIT.
func EndSending(conn net.Conn) {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		const established = 1 // TCP_ESTABLISHED in the kernel's include/net/tcp_states.h
		info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		if err == nil && info.State == established {
			_ = unix.Shutdown(int(fd), unix.SHUT_WR)
		}
	})
}

// Family returns the address family for sockets and netlink, which use the same numbers.
func Family(a netip.Addr) int {
	if a.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}
