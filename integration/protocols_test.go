// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// turn is the time for which a server waits before it looks whether the test has ended.
var turn = unix.Timeval{Usec: 100_000}

// open makes a blocking socket of UDP, or of SCTP in the one-to-one style of RFC 6458, which reads and writes as TCP does.
func open(protocol string, family int, patience unix.Timeval) (fd int, err error) {
	kind, number := unix.SOCK_DGRAM, 0
	if protocol == "sctp" {
		kind, number = unix.SOCK_STREAM, unix.IPPROTO_SCTP
	}
	if fd, err = unix.Socket(family, kind|unix.SOCK_CLOEXEC, number); err != nil {
		return -1, fmt.Errorf("open a socket of %s: %w", protocol, err)
	}
	err = errors.Join(
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &patience),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &patience),
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1))
	if err != nil {
		return -1, errors.Join(err, unix.Close(fd))
	}
	return fd, nil
}

// sockaddr returns an address as the kernel wants it.
func sockaddr(a netip.AddrPort) (unix.Sockaddr, int) {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Addr: a.Addr().As4(), Port: int(a.Port())}, unix.AF_INET
	}
	return &unix.SockaddrInet6{Addr: a.Addr().As16(), Port: int(a.Port())}, unix.AF_INET6
}

// serveName answers at one address of a host with the host's name, until the test ends. The address is bound, so that SCTP
// names only this address to its client.
func serveName(t *testing.T, h *lab.Host, protocol, address string) {
	t.Helper()
	local, family := sockaddr(netip.MustParseAddrPort(address))
	fd := -1
	err := h.Do(func() (err error) {
		if fd, err = open(protocol, family, turn); err != nil {
			return err
		}
		err = unix.Bind(fd, local)
		if err == nil && protocol == "sctp" {
			err = unix.Listen(fd, 16)
		}
		if err != nil {
			err = errors.Join(err, unix.Close(fd))
		}
		return err
	})
	if err != nil {
		t.Fatalf("serve %s at %s: %v", protocol, address, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var serving sync.WaitGroup
	serving.Go(func() {
		for ctx.Err() == nil {
			// It is an error too if nobody has come for a while. The client sees what goes wrong here.
			if protocol == "sctp" {
				if conn, _, err := unix.Accept4(fd, unix.SOCK_CLOEXEC); err == nil {
					_, _ = unix.Write(conn, []byte(h.Name))
					_ = unix.Close(conn)
				}
				continue
			}
			if _, from, err := unix.Recvfrom(fd, make([]byte, 16), 0); err == nil {
				_ = unix.Sendto(fd, []byte(h.Name), 0, from)
			}
		}
	})
	t.Cleanup(func() {
		cancel()
		serving.Wait()
		_ = unix.Close(fd)
	})
}

// askName asks once, from a port of its own, and returns the name of the server that has answered.
func askName(h *lab.Host, protocol, address string) (name string, err error) {
	if protocol == "tcp" {
		l, err := dialLineAt(h, address)
		if err != nil {
			return "", err
		}
		return l.server, errors.Join(l.ask("a line"), l.conn.Close())
	}
	remote, family := sockaddr(netip.MustParseAddrPort(address))
	err = h.Do(func() error {
		fd, err := open(protocol, family, unix.NsecToTimeval((10 * time.Second).Nanoseconds()))
		if err != nil {
			return err
		}
		err = connect(fd, remote)
		if err == nil && protocol == "udp" {
			_, err = unix.Write(fd, []byte("who?"))
		}
		buf := make([]byte, 64)
		n := 0
		if err == nil {
			n, err = readAnswer(fd, buf)
		}
		name = string(buf[:max(n, 0)])
		return errors.Join(err, unix.Close(fd))
	})
	return name, err
}

// connect connects a blocking socket. If a signal of the Go runtime interrupts the call, the kernel continues to connect. The
// socket becomes writable when it is connected.
func connect(fd int, remote unix.Sockaddr) error {
	err := unix.Connect(fd, remote)
	if !errors.Is(err, unix.EINTR) {
		return err
	}
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}, 10_000)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return err
		case n == 0:
			return unix.ETIMEDOUT
		}
		errno, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
		if err == nil && errno != 0 {
			err = unix.Errno(errno)
		}
		return err
	}
}

// readAnswer reads from a blocking socket, also where signals interrupt it.
func readAnswer(fd int, buf []byte) (int, error) {
	for {
		if n, err := unix.Read(fd, buf); !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}
