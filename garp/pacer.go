// SPDX-License-Identifier: Apache-2.0

package garp

import (
	"context"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// finePause is the longest pause that the kernel's timer measures. The runtime's own timers round up to a
// millisecond, which is nothing to a longer one.
const finePause = 5 * time.Millisecond

// A pacer measures pauses between frames to some ten microseconds without holding a processor.
type pacer struct {
	timer *os.File
}

func newPacer() (*pacer, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("create timer: %w", err)
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
		return fmt.Errorf("set timer: %w", err)
	}
	var setErr error
	if err := conn.Control(func(fd uintptr) { setErr = unix.TimerfdSettime(int(fd), 0, &fire, nil) }); err != nil {
		return fmt.Errorf("set timer: %w", err)
	}
	if setErr != nil {
		return fmt.Errorf("set timer: %w", setErr)
	}
	var expirations [8]byte
	if _, err := p.timer.Read(expirations[:]); err != nil {
		return fmt.Errorf("wait for timer: %w", err)
	}
	return nil
}
