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
	var mu sync.Mutex
	var sock syscall.RawConn
	d.Control = func(_, _ string, raw syscall.RawConn) error {
		mu.Lock()
		sock = raw
		mu.Unlock()
		if !c.Source.IsValid() && c.Mark == 0 {
			return nil
		}
		var unprepared error
		err := raw.Control(func(fd uintptr) { unprepared = socket.Prepare(int(fd), c) })
		if err != nil {
			return err
		}
		return unprepared
	}
	// At the deadline the kernel knows whether the server has answered, but this process may not have seen it yet.
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
	conn, err := d.DialContext(attempt, network, t.Peer().String())
	if err != nil && attempt.Err() != nil && ctx.Err() != nil {
		err = ctx.Err()
	}
	return conn, err
}

// lastLook is how long the Go runtime may take to notice a connection that the kernel has made.
const lastLook = time.Second
