// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sys/unix"
)

// now is the present moment, by a clock that counts the time in which the machine is suspended. A master that wakes up must
// see that it was silent, and listen before it advertises. Go's own clock does not count this time.
func (l *Loop) now() time.Time { return time.Now().Add(l.suspended) }

// wall is the wall clock at a moment of now: the kernel's wall clock counts the time in which the machine is suspended.
func (l *Loop) wall(now time.Time) time.Time { return now.Add(-l.suspended) }

// shortestSuspension is the shortest difference that counts as a suspension. The two clocks are read one after the other. If
// the thread must wait between the two readings, there is a small difference without a suspension.
const shortestSuspension = 100 * time.Millisecond

// noteSuspension finds out for how long the machine has been suspended.
func (l *Loop) noteSuspension() {
	if total := l.suspension() - atStart; total-l.suspended > shortestSuspension {
		l.suspended = total
		l.log.write(hclog.Warn, "the machine was suspended", "interface", l.iface, "total", total.Round(time.Millisecond))
	}
}

// atStart is the time for which the machine had been suspended when the process began.
var atStart = suspension()

// suspension is how long the machine has been suspended since it was booted: the difference of two of the kernel's clocks.
func suspension() time.Duration {
	var boot, monotonic unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &boot) != nil || unix.ClockGettime(unix.CLOCK_MONOTONIC, &monotonic) != nil {
		return 0
	}
	return time.Duration(boot.Nano() - monotonic.Nano())
}

// bootTime returns the present moment of CLOCK_BOOTTIME, which all processes of a machine share and which counts suspensions.
func bootTime() int64 {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts) != nil {
		return 0 // Linux never fails here
	}
	return ts.Nano()
}

// stickyTimeouts makes the calling thread, which must be locked, wake up at once when the process continues after a stop, or
// its machine after a suspension. Otherwise the kernel continues an interrupted ppoll with the time that was left before (see
// poll_select_finish in fs/select.c): a master that stood still would hold its addresses for that time. It returns a function
// that undoes this. If this is forbidden, the thread wakes up later, or with the next packet.
func stickyTimeouts() (undo func()) {
	const ask, sticky = 0xffffffff, 0x4000000 // personality(2)
	former, _, errno := unix.Syscall(unix.SYS_PERSONALITY, ask, 0, 0)
	if errno != 0 {
		return func() {}
	}
	_, _, _ = unix.Syscall(unix.SYS_PERSONALITY, former|sticky, 0, 0)
	return func() { _, _, _ = unix.Syscall(unix.SYS_PERSONALITY, former, 0, 0) }
}
