// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"fmt"
	"math"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// A Clock is what was seen of the time of day.
type Clock struct {
	// Stepped is by how much it was set while the doctor looked, SteppedBefore by how much before that since the
	// running director started; 0: not at all.
	Stepped, SteppedBefore time.Duration
	// Unsynchronised tells that nothing keeps it right.
	Unsynchronised bool
}

const (
	// leastStep is what two readings of the clocks may differ by, leastStepBefore what a director may take to come up.
	leastStep, leastStepBefore = 50 * time.Millisecond, 10 * time.Second
)

// wallOffset is how far the time of day is ahead of the time since boot. Both are slewed alike, so that it changes
// when somebody sets the time of day, and only then.
func wallOffset() (time.Duration, error) {
	offset, least := time.Duration(0), time.Duration(math.MaxInt64)
	for range 10 { // the reading with the shortest pause in the middle is the best
		var before, wall, after unix.Timespec
		for _, r := range []struct {
			id int32
			at *unix.Timespec
		}{{unix.CLOCK_BOOTTIME, &before}, {unix.CLOCK_REALTIME, &wall}, {unix.CLOCK_BOOTTIME, &after}} {
			if err := unix.ClockGettime(r.id, r.at); err != nil {
				return 0, fmt.Errorf("read the clock: %w", err)
			}
		}
		if pause := time.Duration(after.Nano() - before.Nano()); pause < least {
			least, offset = pause, time.Duration(wall.Nano()-before.Nano())
		}
	}
	return offset, nil
}

// unsynchronised asks the kernel whether anybody keeps the time of day right.
func unsynchronised() (bool, error) {
	var t unix.Timex
	state, err := unix.Adjtimex(&t)
	if err != nil {
		return false, fmt.Errorf("ask for the state of the clock: %w", err)
	}
	return state == unix.TIME_ERROR && t.Status&unix.STA_UNSYNC != 0, nil
}

// readClock judges the clock by its offset when the doctor began to look. A director that started at some time since
// boot made its socket at that moment, and the file tells what time of day it was then.
func readClock(began, started time.Duration, socket string) (c Clock, err error) {
	now, err := wallOffset()
	if err != nil {
		return c, err
	}
	if step := now - began; step.Abs() >= leastStep {
		c.Stepped = step
	}
	if info, err := os.Stat(socket); err == nil && started > 0 {
		// The socket was made with the offset of that time, so that it seems younger or older than the director.
		then := time.Duration(info.ModTime().UnixNano()) - started
		if step := began - then; step.Abs() >= leastStepBefore {
			c.SteppedBefore = step
		}
	}
	c.Unsynchronised, err = unsynchronised()
	return c, err
}
