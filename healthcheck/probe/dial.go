// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/healthcheck/probe/internal/socket"
)

// dial connects to a target with the source and the mark of its check.
func dial(ctx context.Context, network string, t *healthcheck.Target) (net.Conn, error) {
	c := &t.Config
	d := net.Dialer{KeepAlive: -1} // a probe ends before a keep-alive would be sent
	if c.Source.IsValid() {
		from := netip.AddrPortFrom(c.Source, 0)
		switch {
		case network == "tcp":
			d.LocalAddr = net.TCPAddrFromAddrPort(from)
		case network == "udp":
			d.LocalAddr = net.UDPAddrFromAddrPort(from)
		default:
			d.LocalAddr = &net.IPAddr{IP: c.Source.AsSlice(), Zone: c.Source.Zone()}
		}
	}
	var mu sync.Mutex
	var sock syscall.RawConn
	double := -1 // the kernel keeps what ICMP said about a socket until its last descriptor is closed
	d.Control = func(_, _ string, raw syscall.RawConn) error {
		mu.Lock()
		sock = raw
		mu.Unlock()
		var unprepared error
		err := raw.Control(func(fd uintptr) {
			socket.KeepICMP(int(fd), true)
			if network == "tcp" {
				double, _ = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0) // without it the reason says less
			}
			unprepared = socket.Prepare(int(fd), c)
		})
		if err != nil {
			return err
		}
		return unprepared
	}
	// At the deadline the kernel knows whether the server has answered. This process may not have had the time to see it.
	attempt, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() {
		mu.Lock()
		raw := sock
		mu.Unlock()
		if errors.Is(ctx.Err(), context.DeadlineExceeded) && socket.Answered(raw) {
			select {
			case <-time.After(lastLook):
			case <-attempt.Done():
			}
		}
		cancel()
	})()
	peer := t.Peer().String()
	if network != "tcp" && network != "udp" {
		peer = t.Peer().Addr().String()
	}
	conn, err := d.DialContext(attempt, network, peer)
	if double >= 0 {
		defer func() { _ = unix.Close(double) }()
		if err == nil {
			socket.KeepICMP(double, false)
		}
	}
	switch {
	case err != nil && attempt.Err() != nil && ctx.Err() != nil:
		return conn, ctx.Err()
	case err != nil && double >= 0:
		return conn, socket.WithICMP(double, err)
	case err != nil:
		return conn, err
	}
	if c, ok := conn.(socket.Datagrams); ok {
		return socket.HearingICMP{Datagrams: c}, nil
	}
	return conn, nil
}

// lastLook is how long the Go runtime may take to notice a connection that the kernel has made.
const lastLook = time.Second
