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

// timerSlack is by how much the kernel may delay the timers of a director, none of which is of that haste. The Go runtime's
// monitor sleeps for 20 us at a time after each wake-up of the process, and health checks wake it all the time.
const timerSlack = 10 * time.Millisecond

// relaxTimers gives the slack to every thread of this process, which those to come inherit (proc(5), timerslack_ns). It
// needs CAP_SYS_NICE, since the threads are not the calling one; without it all is well but dearer.
func relaxTimers() error {
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return fmt.Errorf("list the threads: %w", err)
	}
	var all error
	for _, task := range tasks {
		err := os.WriteFile(filepath.Join("/proc", task.Name(), "timerslack_ns"), []byte(strconv.Itoa(int(timerSlack))), 0)
		if !errors.Is(err, fs.ErrNotExist) { // else it has ended
			all = errors.Join(all, err)
		}
	}
	return all
}
