// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"os"
	"runtime"
	"slices"

	"golang.org/x/sys/unix"
)

// lastCapability is more than any kernel has.
const lastCapability = 63

// capabilitiesOf returns the capabilities that an election needs as long as it runs, also after its sockets are open: it adds and removes
// addresses (NET_ADMIN), opens sockets again when an interface comes back or an order names another one (NET_RAW), and its threads become
// realtime again after a rest (SYS_NICE, IPC_LOCK). An election of root also needs those for the files of a director that is not root.
func capabilitiesOf(realtime, root bool) []uintptr {
	all := []uintptr{unix.CAP_NET_ADMIN, unix.CAP_NET_RAW}
	if realtime {
		all = append(all, unix.CAP_SYS_NICE, unix.CAP_IPC_LOCK)
	}
	if root {
		all = append(all, unix.CAP_CHOWN, unix.CAP_DAC_OVERRIDE, unix.CAP_FOWNER)
	}
	return all
}

// withCapabilities runs f on a thread of its own. A process that f starts gets no other capabilities than keep, and no new ones. It has
// them from its first moment: later it would have to drop them in each of its threads.
func withCapabilities(keep []uintptr, f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlock it: the thread cannot get the capabilities back, and ends with this goroutine
		drop(keep)
		done <- f()
	}()
	return <-done
}

// drop takes capabilities from what this thread starts. What fails is no loss: without the right to drop, root keeps what it had.
func drop(keep []uintptr) {
	for c := uintptr(0); c <= lastCapability; c++ {
		if slices.Contains(keep, c) {
			continue
		}
		_ = unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_LOWER, c, 0, 0) // for others than root
		_ = unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0)                        // for root
	}
	_ = unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
}

// isRoot reports whether this process is root's.
func isRoot() bool { return os.Geteuid() == 0 }
