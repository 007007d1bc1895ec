// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// timerSlack is the delay that the kernel may add to this process's timers, in order to combine wake-ups. No timer of the
// director needs to be more precise. Without the slack, the Go runtime's monitor wakes up every 20 us after each wake-up of
// the process, and health checks cause wake-ups all the time.
const timerSlack = 10 * time.Millisecond

// relaxTimers sets timerSlack on every thread of this process. New threads inherit it (proc(5), timerslack_ns). It needs
// CAP_SYS_NICE for threads other than the calling one. Without the slack the director works, but uses more CPU.
func relaxTimers() error {
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return fmt.Errorf("failed to list the threads: %w", err)
	}
	var all error
	for _, task := range tasks {
		err := os.WriteFile(filepath.Join("/proc", task.Name(), "timerslack_ns"), []byte(strconv.Itoa(int(timerSlack))), 0)
		if !errors.Is(err, fs.ErrNotExist) { // the thread has ended
			all = errors.Join(all, err)
		}
	}
	return all
}
