// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// An AddressChange is one change of an address on a host: added or removed.
type AddressChange struct {
	When  time.Time // when the lab was told
	Added bool
}

// An AddressWatch records the changes of one address.
type AddressWatch struct {
	mu      sync.Mutex
	changes []AddressChange
}

// WatchAddress records the changes of an address on the host until the test ends.
func (h *Host) WatchAddress(addr string) *AddressWatch {
	h.lab.t.Helper()
	w, want := &AddressWatch{}, net.ParseIP(addr)
	updates, stop, done := make(chan netlink.AddrUpdate, 64), make(chan struct{}), make(chan struct{})
	err := h.Do(func() error { return netlink.AddrSubscribe(updates, stop) })
	if err != nil {
		h.lab.t.Fatalf("watch %s on %s: %v", addr, h.Name, err)
	}
	go func() {
		defer close(done)
		for u := range updates {
			if u.LinkAddress.IP.Equal(want) {
				w.mu.Lock()
				w.changes = append(w.changes, AddressChange{time.Now(), u.NewAddr})
				w.mu.Unlock()
			}
		}
	}()
	h.lab.t.Cleanup(func() {
		close(stop)
		<-done
	})
	return w
}

// Changes returns what happened so far.
func (w *AddressWatch) Changes() []AddressChange {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]AddressChange(nil), w.changes...)
}

// Uptime returns the time since the machine's start, on the clock of StartTime.
func Uptime() time.Duration {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts)
	return time.Duration(ts.Nano())
}

// tick is the unit of times in /proc/PID/stat: USER_HZ, which is 100 on every architecture that the lab runs on.
const tick = 10 * time.Millisecond

// StartTime returns when a process was started, in whole ticks of 10 ms since the machine's start.
func StartTime(pid int) (time.Duration, error) {
	fields, err := procStat(pid)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(fields[19], 10, 64)
	return time.Duration(n) * tick, err
}

// CPUTime returns the processor time that a process and its ended threads have used.
func CPUTime(pid int) (time.Duration, error) {
	// The clock of another process, as clock_getcpuclockid(3) makes it: CPUCLOCK_SCHED is 2.
	var ts unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|2), &ts); err != nil {
		return 0, fmt.Errorf("processor time of %d: %w", pid, err)
	}
	return time.Duration(ts.Nano()), nil
}

// ResidentMemory returns the memory of a process that is in RAM, in bytes; what it shares with others counts in full.
func ResidentMemory(pid int) (int64, error) {
	fields, err := procStat(pid)
	if err != nil {
		return 0, err
	}
	pages, err := strconv.ParseInt(fields[21], 10, 64)
	return pages * int64(os.Getpagesize()), err
}

// procStat returns the fields of /proc/PID/stat from the third on, which is the state (proc_pid_stat(5)).
func procStat(pid int) ([]string, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil, err
	}
	// "pid (name) state ppid …": the name may hold spaces and brackets.
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(fields) < 22 {
		return nil, fmt.Errorf("/proc/%d/stat: %d fields", pid, len(fields))
	}
	return fields, nil
}
