// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"net"
	"net/netip"
	"syscall"

	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/healthcheck/probe/internal/socket"
)

// dial connects to a target with the source and the mark of its check.
func dial(ctx context.Context, network string, t *healthcheck.Target) (net.Conn, error) {
	c := &t.Config
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
			var unprepared error
			err := raw.Control(func(fd uintptr) { unprepared = socket.Prepare(int(fd), c) })
			if err != nil {
				return err
			}
			return unprepared
		}
	}
	return d.DialContext(ctx, network, t.Peer().String())
}
