// SPDX-License-Identifier: Apache-2.0

package ask

import (
	"errors"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/prober"
)

// An attempt is a question on a non-blocking socket.
type attempt struct {
	n         int
	fd        int
	connected bool
	left      []byte // of the request
	in        []byte // of the answer
}

// begin asks a question.
func (a *asker) begin(n int) {
	one := &attempt{n: n, fd: -1, left: a.request}
	a.numbers[n] = one
	if err := a.connect(one); err != nil {
		a.fail(one, explain(err))
		return
	}
	if a.Protocol == UDP {
		a.advance(one, 0) // it can be sent at once
	}
}

// connect opens a socket and begins to connect it.
func (a *asker) connect(one *attempt) (err error) {
	family, kind := unix.AF_INET, unix.SOCK_STREAM
	if a.Addr.Addr().Is6() {
		family = unix.AF_INET6
	}
	if a.Protocol == UDP {
		kind = unix.SOCK_DGRAM
	}
	if one.fd, err = unix.Socket(family, kind|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0); err != nil {
		return err
	}
	if a.Protocol != UDP {
		// The end of the connection is a reset. Otherwise 1000 connections a second would use up the local ports: each waits for a
		// minute after its end.
		if err := unix.SetsockoptLinger(one.fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}); err != nil {
			return err
		}
	}
	if err := unix.Connect(one.fd, sockaddr(a.Addr)); err != nil && !errors.Is(err, unix.EINPROGRESS) {
		return err
	}
	event := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLET, Fd: int32(one.fd), Pad: int32(one.n)}
	if err := unix.EpollCtl(a.epoll, unix.EPOLL_CTL_ADD, one.fd, &event); err != nil {
		return err
	}
	a.sockets[int32(one.fd)] = one
	return nil
}

func sockaddr(to netip.AddrPort) unix.Sockaddr {
	if to.Addr().Is6() {
		return &unix.SockaddrInet6{Addr: to.Addr().As16(), Port: int(to.Port())}
	}
	return &unix.SockaddrInet4{Addr: to.Addr().As4(), Port: int(to.Port())}
}

// advance goes on with a question after events of its socket. It makes no system call that the events show to be needless.
func (a *asker) advance(one *attempt, events uint32) {
	const ended = unix.EPOLLERR | unix.EPOLLHUP
	if !one.connected {
		if err := connectError(one.fd, events&ended != 0); err != nil && !(a.connects() && errors.Is(err, unix.ECONNRESET)) {
			a.fail(one, explain(err))
			return
		}
		one.connected = true
		if a.connects() { // a reset that comes at once does not change this: whether it is seen here depends on timing
			a.answer(one, "")
			return
		}
	}
	if len(one.left) > 0 {
		n, err := unix.Write(one.fd, one.left)
		switch {
		case errors.Is(err, unix.EAGAIN):
			return
		case err != nil:
			a.fail(one, explain(err))
			return
		}
		one.left = one.left[n:]
	}
	if events&(unix.EPOLLIN|ended) != 0 { // what comes later is an event of its own
		a.receive(one)
	}
}

// connects reports whether a connection is the answer.
func (a *asker) connects() bool { return a.Protocol == TCP && len(a.request) == 0 }

// connectError returns why a socket was not connected.
func connectError(fd int, ended bool) error {
	if !ended {
		return nil
	}
	errno, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err == nil && errno != 0 {
		err = unix.Errno(errno)
	}
	return err
}

// receive reads what has come.
func (a *asker) receive(one *attempt) {
	for {
		n, err := unix.Read(one.fd, a.buf)
		switch {
		case errors.Is(err, unix.EAGAIN):
			return
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			a.fail(one, explain(err))
			return
		}
		in := a.buf[:n]
		if len(one.in) > 0 {
			one.in = append(one.in, in...)
			in = one.in
		}
		server, wrong, err := a.judge(a.reader, in, n == 0 && a.Protocol != UDP)
		switch {
		case err != nil:
			if len(one.in) == 0 {
				one.in = append(one.in, in...)
			}
			continue
		case wrong != nil:
			a.fail(one, wrong)
		default:
			a.answer(one, server)
		}
		return
	}
}

// answer ends a question that was answered.
func (a *asker) answer(one *attempt, server string) {
	a.ledger.Answer(one.n, a.now(), server)
	a.drop(one)
}

// fail ends a question that has failed.
func (a *asker) fail(one *attempt, f *failure) {
	a.failed(one.n, f)
	a.drop(one)
}

// failed notes a failure.
func (a *asker) failed(n int, f *failure) {
	switch {
	case f.own:
		a.ledger.NotSent(n, a.now(), f.detail)
	case f.cause == prober.TimedOut:
		a.ledger.Fail(n, a.now(), prober.TimedOut, "")
	default:
		a.ledger.Fail(n, a.now(), f.cause, f.detail)
	}
}

// drop closes a question's socket.
func (a *asker) drop(one *attempt) {
	if one.fd >= 0 {
		delete(a.sockets, int32(one.fd))
		_ = unix.Close(one.fd)
		one.fd = -1
	}
	delete(a.numbers, one.n)
}
