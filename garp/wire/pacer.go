// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"context"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// finePause is the longest pause that uses the kernel's timer. The Go runtime's timers round up to a millisecond, which
// does not matter for a longer pause.
const finePause = 5 * time.Millisecond

// A pacer makes pauses between frames, exact to about ten microseconds, without using a processor meanwhile.
type pacer struct {
	timer *os.File
}

func newPacer() (*pacer, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("failed to create a timer: %w", err)
	}
	return &pacer{timer: os.NewFile(uintptr(fd), "timerfd")}, nil
}

func (p *pacer) close() { _ = p.timer.Close() }

// pause waits for d, or less if ctx ends.
func (p *pacer) pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	if d > finePause {
		select {
		case <-ctx.Done():
		case <-time.After(d):
		}
		return nil
	}
	fire := unix.ItimerSpec{Value: unix.NsecToTimespec(d.Nanoseconds())}
	conn, err := p.timer.SyscallConn()
	if err != nil {
		return fmt.Errorf("failed to set a timer: %w", err)
	}
	var setErr error
	if err := conn.Control(func(fd uintptr) { setErr = unix.TimerfdSettime(int(fd), 0, &fire, nil) }); err != nil {
		return fmt.Errorf("failed to set a timer: %w", err)
	}
	if setErr != nil {
		return fmt.Errorf("failed to set a timer: %w", setErr)
	}
	var expirations [8]byte
	if _, err := p.timer.Read(expirations[:]); err != nil {
		return fmt.Errorf("failed to wait for a timer: %w", err)
	}
	return nil
}
