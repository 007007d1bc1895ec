// SPDX-License-Identifier: Apache-2.0

package healthcheck

import "time"

// A waiter is where Run sleeps, and who carries the probes that need no goroutine of their own.
type waiter interface {
	// launch begins a probe if the waiter carries its kind. It ends by the deadline, or when cancel is called, from
	// wherever; then wait returns it.
	launch(e *entry, now time.Time) (cancel func(), ok bool)
	// wait returns the probes that have ended, after d at the latest, or as soon as there are any or wake was called. It
	// may take slack where that is longer than d.
	wait(d, slack time.Duration) []ended
	// wake ends a wait, or the next one. It may be called from any goroutine, also after close.
	wake()
	// close ends what is under way.
	close()
}
