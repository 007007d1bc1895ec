// SPDX-License-Identifier: Apache-2.0

package director

import (
	"context"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// feedWatchdog tells systemd that the director works, as long as the loop answers. If the loop hangs, systemd kills this
// process and starts it again. The election then acts as after any death of a director. Without WatchdogSec= in the unit,
// feedWatchdog does nothing.
func (d *Director) feedWatchdog(ctx context.Context) error {
	limit, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		d.log.Warn("systemd asks for signs of life that cannot be given: look at WATCHDOG_USEC and WATCHDOG_PID", "error", err)
	}
	if limit <= 0 {
		return nil
	}
	tick := time.NewTicker(limit / 4)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if d.loopAnswers(ctx) {
			d.notify(daemon.SdNotifyWatchdog)
		}
	}
}

// loopAnswers asks the loop, and waits for its answer.
func (d *Director) loopAnswers(ctx context.Context) bool { return d.snapshotWithin(ctx) != nil }
