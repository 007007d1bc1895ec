// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"fmt"
	"math"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// minStep is the smallest difference between two readings that counts as a step.
	minStep = 50 * time.Millisecond
	// minStepBefore is larger: files have coarse times. minStepBack includes the time that a director needs to start, on a machine that
	// is busy: if its socket is made late, the clock seems to have been set back.
	minStepBefore, minStepBack = 10 * time.Second, time.Minute
)

// wallOffset returns the difference between the time of day and the time since boot. Slewing changes both alike; only
// setting the time of day changes the difference.
func wallOffset() (time.Duration, error) {
	offset, least := time.Duration(0), time.Duration(math.MaxInt64)
	for range 10 { // the quickest of ten readings is the most precise
		var before, wall, after unix.Timespec
		for _, r := range []struct {
			id int32
			at *unix.Timespec
		}{{unix.CLOCK_BOOTTIME, &before}, {unix.CLOCK_REALTIME, &wall}, {unix.CLOCK_BOOTTIME, &after}} {
			if err := unix.ClockGettime(r.id, r.at); err != nil {
				return 0, fmt.Errorf("failed to read the clock: %w", err)
			}
		}
		if pause := time.Duration(after.Nano() - before.Nano()); pause < least {
			least, offset = pause, time.Duration(wall.Nano()-before.Nano())
		}
	}
	return offset, nil
}

// unsynchronised asks the kernel whether a program synchronises the time of day.
func unsynchronised() (bool, error) {
	var t unix.Timex
	state, err := unix.Adjtimex(&t)
	if err != nil {
		return false, fmt.Errorf("failed to read the state of the clock: %w", err)
	}
	return state == unix.TIME_ERROR && t.Status&unix.STA_UNSYNC != 0, nil
}

// readClock compares the clock with the offset at the beginning of the examination, and with the time of day at the start
// of the director. The director created its socket then, so that the file's time is that time of day.
func readClock(began, started time.Duration, socket string) (c Clock, err error) {
	now, err := wallOffset()
	if err != nil {
		return c, err
	}
	if step := now - began; step.Abs() >= minStep {
		c.Stepped = step
	}
	if info, err := os.Stat(socket); err == nil && started > 0 {
		then := time.Duration(info.ModTime().UnixNano()) - started
		if step := began - then; step >= minStepBefore || -step >= minStepBack {
			c.SteppedBefore = step
		}
	}
	c.Unsynchronised, err = unsynchronised()
	return c, err
}
