// SPDX-License-Identifier: Apache-2.0

package ask

import (
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// shortWait is the longest wait that the Go runtime is not told of. After 10 ms on the same processor, its monitor sends a signal.
const shortWait = 5 * time.Millisecond

// wait waits for events, and returns how many there are.
//
// The runtime is not told of a short wait. Otherwise its monitor takes the processor (P) from this goroutine in each wait, because the
// goroutine never leaves its thread. The monitor, this thread and a third one wake each other up for that, 3000 times a second at an
// interval of 1 ms, which costs several percent of a core. If other goroutines ask too, they need that processor: then the runtime
// is told of every wait.
func (a *asker) wait(now time.Duration) (int, error) {
	if a.Protocol == HTTPS || a.Flows > 0 || a.armed < now || a.armed-now > shortWait {
		return unix.EpollWait(a.epoll, a.events[:], -1)
	}
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(a.epoll), uintptr(unsafe.Pointer(&a.events[0])), uintptr(len(a.events)),
		^uintptr(0), 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
