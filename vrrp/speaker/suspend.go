// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"time"
	"unsafe"

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

// A timeout is the maximum time of a wait. When it is open, the thread wakes up at once when the process continues after a stop, or its machine
// after a suspension. Otherwise the kernel continues an interrupted ppoll with the time that was left before: a master that stood still
// would hold its addresses for that time. The kernel does that only if it can write down the time that is left (see
// poll_select_finish in fs/select.c). So it gets the time in memory that can only be read, which is the same as the memory where this
// process writes. The personality STICKY_TIMEOUTS does the same, but the unit's LockPersonality= forbids it.
type timeout struct {
	ours, kernels []byte // one page of memory, twice
	plain         unix.Timespec
}

// open makes the memory. If it cannot be had, the thread wakes up later, or with the next packet.
func (t *timeout) open() {
	fd, err := unix.MemfdCreate("timeout", unix.MFD_CLOEXEC)
	if err != nil {
		return
	}
	defer func() { _ = unix.Close(fd) }()
	if unix.Ftruncate(fd, int64(unsafe.Sizeof(t.plain))) != nil {
		return
	}
	if t.ours, err = unix.Mmap(fd, 0, int(unsafe.Sizeof(t.plain)), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err != nil {
		return
	}
	t.kernels, _ = unix.Mmap(fd, 0, int(unsafe.Sizeof(t.plain)), unix.PROT_READ, unix.MAP_SHARED)
}

// of returns a time for the kernel. It is valid until the next call.
func (t *timeout) of(d time.Duration) *unix.Timespec {
	t.plain = unix.NsecToTimespec(int64(max(0, d)))
	if t.kernels == nil {
		return &t.plain
	}
	*(*unix.Timespec)(unsafe.Pointer(&t.ours[0])) = t.plain
	return (*unix.Timespec)(unsafe.Pointer(&t.kernels[0]))
}

func (t *timeout) close() {
	for _, memory := range [][]byte{t.ours, t.kernels} {
		if memory != nil {
			_ = unix.Munmap(memory)
		}
	}
	t.ours, t.kernels = nil, nil
}
