// SPDX-License-Identifier: Apache-2.0

// Package porttest reserves ports for tests.
package porttest

import (
	"errors"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

// Reserve returns an address of the loopback interface where nobody listens. TCP connections to it are refused until the test listens
// there. Until the test ends, the kernel gives the port to nobody who asks for any free port, nor to a connection that goes out.
func Reserve(t testing.TB) netip.AddrPort {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	loopback := [4]byte{127, 0, 0, 1}
	// A listener that has this option too, as Go's have, can share the port with a socket that does not listen.
	err = errors.Join(unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1), unix.Bind(fd, &unix.SockaddrInet4{Addr: loopback}))
	if err != nil {
		t.Fatal(err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return netip.AddrPortFrom(netip.AddrFrom4(loopback), uint16(name.(*unix.SockaddrInet4).Port))
}
