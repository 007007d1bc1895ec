// SPDX-License-Identifier: Apache-2.0

package election

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/election/board"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/election/message"
)

// highFD is a descriptor above most others of an election. When a process is killed, the kernel closes its descriptors from
// the highest down, and packet sockets take tens of milliseconds. So the descriptors that other processes wait for are above
// the packet sockets. Measured here, the director learned of the death after 0.3 ms instead of 13 to 40 ms.
const highFD = 1000

// dupHigh duplicates a descriptor to highFD or above. It fails if the limit on descriptors is lower. The caller can then use
// the descriptor as it is.
func dupHigh(fd uintptr) (uintptr, error) {
	high, err := unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, highFD)
	return uintptr(high), err
}

// A directorSocket is the socket to the director. It blocks. If the Go runtime's poller watched it, each sign of life would
// wake two threads when the director has read it, because the kernel tells the poller that there is room to write.
type directorSocket struct {
	fd     int // stays open as long as this process lives: its closing tells the director that the process has ended
	closed atomic.Bool
}

var _ nonblocking = (*directorSocket)(nil)

// closeTimeout is the maximum time of a write after Close, to a director that does not read.
const closeTimeout = time.Second

// Inherited returns the socket to the director that started this process.
func Inherited() (io.ReadWriteCloser, error) {
	fd := message.SocketFD
	if high, err := dupHigh(message.SocketFD); err == nil {
		fd = int(high)
		_ = unix.Close(message.SocketFD)
	} else if errors.Is(err, unix.EBADF) {
		return nil, fmt.Errorf("descriptor %d is not open: only tandem run starts this process", message.SocketFD)
	}
	unix.CloseOnExec(fd)
	timeout := unix.NsecToTimeval(int64(closeTimeout))
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &timeout); err != nil {
		return nil, fmt.Errorf("descriptor %d is no socket: only tandem run starts this process: %w", message.SocketFD, err)
	}
	if err := unix.SetNonblock(fd, false); err != nil {
		return nil, fmt.Errorf("failed to prepare the socket to the director: %w", err)
	}
	return &directorSocket{fd: fd}, nil
}

// InheritedBoard returns the memory that is shared with the director that started this process.
func InheritedBoard() (*board.Board, error) {
	b, err := board.Open(message.BoardFD)
	if err == nil {
		_ = unix.Close(message.BoardFD) // the mapping stays
	}
	return b, err
}

// Read blocks until something arrives, the director is gone, or Close.
func (s *directorSocket) Read(b []byte) (int, error) {
	for {
		n, err := unix.Read(s.fd, b)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return 0, fmt.Errorf("failed to read from the director: %w", err)
		case n == 0 && len(b) > 0:
			return 0, io.EOF
		}
		return n, nil
	}
}

// Write waits if the director does not read, until Close.
func (s *directorSocket) Write(b []byte) (int, error) {
	for n := 0; ; {
		if s.closed.Load() {
			return n, net.ErrClosed
		}
		m, err := unix.SendmsgN(s.fd, b[n:], nil, nil, unix.MSG_NOSIGNAL)
		if err != nil && err != unix.EINTR && err != unix.EAGAIN { // closeTimeout is over
			return n, fmt.Errorf("failed to write to the director: %w", err)
		}
		if n += max(0, m); n == len(b) {
			return n, nil
		}
	}
}

// TrySend sends without waiting. If there is no room, it sends nothing.
func (s *directorSocket) TrySend(b []byte) error {
	return unix.Send(s.fd, b, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
}

// Close ends a waiting Read at once, and a waiting Write within closeTimeout. The director does not notice it.
func (s *directorSocket) Close() error {
	s.closed.Store(true)
	return unix.Shutdown(s.fd, unix.SHUT_RD)
}

// monotonicNow returns the present moment. It counts the time in which the machine is suspended, because the peer continues in
// that time.
func monotonicNow() message.Monotonic {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return 0 // Linux never fails here; with moment 0 no election could resume
	}
	return message.Monotonic(ts.Nano())
}
