// SPDX-License-Identifier: Apache-2.0

package epoll

import (
	"container/heap"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/healthcheck/probe/internal/http1"
	"github.com/tandem-lvs/tandem/healthcheck/probe/internal/socket"
)

// An epollProbe is a probe that an engine carries.
type epollProbe struct {
	owner    any
	target   *healthcheck.Target
	fd       int
	started  time.Time // when the probe was to start
	begun    time.Time // when the kernel was told to connect
	deadline time.Time
	index    int // in deadlines, or ended
	phase    phase
	unsent   []byte
	failed   error // of sending
	head     http1.Head
	moved    time.Time // when the probe last got on: connected, sent or received something
}

// ended is the index of a probe that has ended.
const ended = -1

// A phase is what a probe waits for.
type phase uint8

const (
	connecting phase = iota + 1
	sending
	receiving
)

// connect makes a socket and begins to connect it.
func (p *epollProbe) connect() (err error) {
	to, c := p.target.Endpoint(), &p.target.Config
	p.fd, err = unix.Socket(socket.Family(to.Addr().Unmap()), unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		p.fd = -1
		return os.NewSyscallError("socket", err)
	}
	socket.KeepICMP(p.fd, true)
	if err := socket.Prepare(p.fd, c); err != nil {
		return os.NewSyscallError("setsockopt", err)
	}
	if c.Source.IsValid() {
		if err := unix.Bind(p.fd, sockaddr(c.Source, 0)); err != nil {
			return os.NewSyscallError("bind", err)
		}
	}
	if err := unix.Connect(p.fd, sockaddr(to.Addr(), to.Port())); err != nil && !errors.Is(err, unix.EINPROGRESS) {
		return os.NewSyscallError("connect", err)
	}
	return nil
}

// proceed continues the probe as far as possible without waiting. While the probe must wait, it returns no result. over says
// that both directions of the connection are closed.
func (p *epollProbe) proceed(buf []byte, over bool) healthcheck.Result {
	if p.phase == connecting {
		if res := p.connected(over); res.Outcome != 0 || p.phase == connecting {
			return res
		}
	}
	if p.phase == sending {
		if !p.send() {
			return healthcheck.Result{}
		}
		p.phase = receiving
	}
	return p.receive(buf)
}

// connected finds out how connecting ended, and prepares the request where the check has one. A connection that is over
// without an error was never established: nobody has answered, and only the deadline ends the probe.
func (p *epollProbe) connected(over bool) healthcheck.Result {
	code, err := unix.GetsockoptInt(p.fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err == nil && code != 0 {
		err = syscall.Errno(code)
	}
	t := p.target
	switch {
	case err == nil && over:
		return healthcheck.Result{}
	case socket.Closed(err) && !t.Config.OnlyConnects():
		return healthcheck.Fail(healthcheck.HungUp, socket.Ending(err)+" "+socket.BeforeResponse)
	case err != nil && !socket.Closed(err):
		return p.explain(socket.WithICMP(p.fd, os.NewSyscallError("connect", err)))
	case t.Config.OnlyConnects(): // the server may have reset the connection since; that must not change the result
		return healthcheck.Pass("connected")
	}
	socket.KeepICMP(p.fd, false)
	p.phase, p.unsent = sending, http1.Request(t)
	return healthcheck.Result{}
}

// send sends what is left of the request, and reports whether all of it is sent. If the server hangs up meanwhile, perhaps
// after an answer, there is nothing left to send: reading shows which.
func (p *epollProbe) send() bool {
	for len(p.unsent) > 0 {
		n, err := unix.Write(p.fd, p.unsent)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EAGAIN):
			return false
		case err != nil:
			p.failed = err
			return true
		}
		p.unsent = p.unsent[n:]
	}
	return true
}

// receive reads the part of the response that has arrived.
func (p *epollProbe) receive(buf []byte) healthcheck.Result {
	for {
		n, err := unix.Read(p.fd, buf)
		switch {
		case errors.Is(err, unix.EAGAIN):
			return healthcheck.Result{}
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return p.explain(os.NewSyscallError("read", err))
		case n == 0:
			return p.explain(io.EOF)
		}
		_, done, malformed := p.head.Feed(buf[:n])
		switch {
		case malformed != nil:
			return p.head.Malformed(malformed)
		case done:
			return http1.Judge(p.head.Status, p.target.Config.Status)
		}
	}
}

// explain makes a result of an error in the present phase.
func (p *epollProbe) explain(err error) healthcheck.Result {
	ctx, timeout := context.Background(), p.target.Config.Timeout
	switch p.phase {
	case connecting:
		return socket.ExplainSilence(ctx, err, timeout, "connecting")
	case sending:
		return socket.Explain(ctx, err, timeout, "sending the request")
	}
	return p.head.Broken(ctx, socket.First(p.failed, err), p.target)
}

// sockaddr returns an address in the form of system calls.
func sockaddr(a netip.Addr, port uint16) unix.Sockaddr {
	if a = a.Unmap(); a.Is4() {
		return &unix.SockaddrInet4{Port: int(port), Addr: a.As4()}
	}
	return &unix.SockaddrInet6{Port: int(port), Addr: a.As16(), ZoneId: zoneID(a.Zone())}
}

// zoneID returns the number of the interface that a zone names, or 0.
func zoneID(zone string) uint32 {
	if zone == "" {
		return 0
	}
	if ifi, err := net.InterfaceByName(zone); err == nil {
		return uint32(ifi.Index)
	}
	n, err := strconv.ParseUint(zone, 10, 32)
	if err != nil {
		return 0
	}
	return uint32(n)
}

// deadlines are probes in the order of their deadlines.
type deadlines []*epollProbe

var _ heap.Interface = (*deadlines)(nil)

func (q deadlines) Len() int           { return len(q) }
func (q deadlines) Less(i, j int) bool { return q[i].deadline.Before(q[j].deadline) }

func (q deadlines) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].index, q[j].index = i, j
}

// Push adds an *epollProbe.
func (q *deadlines) Push(x any) {
	p := x.(*epollProbe)
	p.index = len(*q)
	*q = append(*q, p)
}

// Pop removes the last probe.
func (q *deadlines) Pop() any {
	last := len(*q) - 1
	p := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	p.index = ended
	return p
}
