// SPDX-License-Identifier: Apache-2.0

package healthcheck

import (
	"context"
	"net"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"
)

// dial connects to a target from the source and with the mark that its check wants.
func dial(ctx context.Context, network string, t Target) (net.Conn, error) {
	c := t.Config
	d := net.Dialer{KeepAlive: -1} // a probe ends before a keep-alive would be sent
	if c.Source.IsValid() {
		from := netip.AddrPortFrom(c.Source, 0)
		d.LocalAddr = net.TCPAddrFromAddrPort(from)
		if network == "udp" {
			d.LocalAddr = net.UDPAddrFromAddrPort(from)
		}
	}
	if c.Source.IsValid() || c.Mark != 0 {
		d.Control = func(_, _ string, raw syscall.RawConn) error {
			var failed error
			err := raw.Control(func(fd uintptr) { failed = prepare(int(fd), c) })
			if err != nil {
				return err
			}
			return failed
		}
	}
	return d.DialContext(ctx, network, t.peer().String())
}

// prepare gives a new socket what it must have before it is bound or connected.
func prepare(fd int, c Config) error {
	if c.Source.IsValid() {
		// Without it a bound socket takes a port that no other may have at the same time, and they are 28,000 for all.
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
	}
	if c.Mark != 0 {
		return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_MARK, int(c.Mark))
	}
	return nil
}
