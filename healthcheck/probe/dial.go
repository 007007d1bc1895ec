// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/healthcheck/probe/internal/socket"
)

// dial connects to a target with the source and the mark of its check. The server has the whole timeout of the check from the
// moment when the kernel sends the first packet. If this process had no processor time and began late, that does not count
// against the server.
func dial(ctx context.Context, network string, t *healthcheck.Target) (net.Conn, error) {
	c := &t.Config
	d := net.Dialer{KeepAlive: -1} // a probe ends before a keep-alive would be sent
	if c.Source.IsValid() {
		d.LocalAddr = sourceAddr(network, c.Source)
	}
	double := -1 // the kernel keeps the ICMP messages about a socket until its last descriptor is closed
	a := attempt{begun: make(chan struct{})}
	d.Control = func(_, _ string, raw syscall.RawConn) error {
		a.begin(raw)
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
	dialling, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() {
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			a.endure(c.Timeout, dialling.Done())
		}
		cancel()
	})()
	peer := t.Peer().String()
	if network != "tcp" && network != "udp" {
		peer = t.Peer().Addr().String()
	}
	conn, err := d.DialContext(dialling, network, peer)
	if double >= 0 {
		defer func() { _ = unix.Close(double) }()
		if err == nil {
			socket.KeepICMP(double, false)
		}
	}
	switch {
	case err == nil:
		if c, ok := conn.(socket.Datagrams); ok {
			return socket.HearingICMP{Datagrams: c}, nil
		}
	case dialling.Err() == nil || ctx.Err() == nil:
		if double >= 0 {
			err = socket.WithICMP(double, err)
		}
	case a.unseen.Load():
		err = socket.ErrTooLate
	default:
		err = ctx.Err()
	}
	return conn, err
}

// sourceAddr returns a source address, without a port, in the form that a net.Dialer takes for a network.
func sourceAddr(network string, source netip.Addr) net.Addr {
	from := netip.AddrPortFrom(source, 0)
	switch network {
	case "tcp":
		return net.TCPAddrFromAddrPort(from)
	case "udp":
		return net.UDPAddrFromAddrPort(from)
	}
	return &net.IPAddr{IP: source.AsSlice(), Zone: source.Zone()}
}

// An attempt is one attempt to connect.
type attempt struct {
	begun  chan struct{} // closed when the socket is made
	once   atomic.Bool
	since  time.Time       // after begun
	sock   syscall.RawConn // after begun
	unseen atomic.Bool     // this process had no time to begin, or to see the answer
}

// begin records that the kernel is about to connect.
func (a *attempt) begin(sock syscall.RawConn) {
	if a.once.CompareAndSwap(false, true) {
		a.since, a.sock = time.Now(), sock
		close(a.begun)
	}
}

// endure waits after the deadline of the probe until the server has had its whole timeout, counted from the beginning of the
// attempt. Then the kernel knows whether the server has answered, even if this process had no time to see it.
func (a *attempt) endure(timeout time.Duration, done <-chan struct{}) {
	select {
	case <-a.begun:
	case <-done:
		return
	case <-time.After(timeout):
		a.unseen.Store(true)
		return
	}
	if left := timeout - time.Since(a.since); left > 0 {
		select {
		case <-time.After(left):
		case <-done:
			return
		}
	}
	if socket.Answered(a.sock) {
		a.unseen.Store(true)
		select {
		case <-time.After(lastLook):
		case <-done:
		}
	}
}

// lastLook is the maximum time that the Go runtime may take to notice a connection that the kernel has made.
const lastLook = time.Second
