// SPDX-License-Identifier: Apache-2.0

package socket

import (
	"errors"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// A LastLook is a connection that can still be read after its deadline, but only what has arrived before. An answer that is in
// the socket at the deadline counts.
type LastLook struct{ net.Conn }

func (c LastLook) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 || len(b) == 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		return n, err
	}
	raw, ok := c.Conn.(syscall.Conn)
	if !ok {
		return n, err
	}
	sock, e := raw.SyscallConn()
	if e != nil {
		return n, err
	}
	e = sock.Control(func(fd uintptr) {
		if got, _, e := unix.Recvfrom(int(fd), b, unix.MSG_DONTWAIT); e == nil && got > 0 {
			n, err = got, nil
		}
	})
	return n, errors.Join(err, e)
}

// Answered reports whether connecting has ended, with or without success.
func Answered(sock syscall.RawConn) (ended bool) {
	err := sock.Control(func(fd uintptr) {
		poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
		n, err := unix.Poll(poll, 0)
		ended = err == nil && n > 0
	})
	return err == nil && ended
}
