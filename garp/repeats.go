// SPDX-License-Identifier: Apache-2.0

package garp

import "time"

// DefaultConfig announces at once and again after 1.1, 2.2 and 4.4 s. The repeats are needed because a neighbour that
// has just learned the address from the old master may refuse an update for 1 s, and because a switch port may start
// forwarding late. The refresh corrects a neighbour that missed all of them within a minute. A spacing of 100 µs keeps
// the announcements of 1,000 addresses from overrunning a receiver's queue.
func DefaultConfig() Config {
	return Config{
		Repeat:  []time.Duration{0, 1100 * time.Millisecond, 2200 * time.Millisecond, 4400 * time.Millisecond},
		Refresh: time.Minute,
		Spacing: 100 * time.Microsecond,
	}
}

// contestRepeat holds the times of the announcements after another master was heard:
//   - at once
//   - when the other master has removed the addresses: it does so 50 ms after it heard the first of these announcements
//   - once more, for a slow machine
//   - when the neighbours that learned the address from the other master accept a change again (1 s)
//   - later, for a network that loses the earlier ones: packets that were lost are why there were two masters
var contestRepeat = []time.Duration{
	0, 60 * time.Millisecond, 160 * time.Millisecond, 1100 * time.Millisecond, 2200 * time.Millisecond, 4400 * time.Millisecond,
}

// referralRepeat holds the times at which a former master announces its successor. They are counted from the moment at which
// it gave way, but at the earliest from 50 ms before it removes the addresses: until then the successor may not have them. The
// later times are for neighbours that refuse a change within a second of another, and for a network that loses the earlier
// frames. They are later than those of DefaultConfig, so that a successor that has taken over and announces its addresses is
// heard first.
var referralRepeat = []time.Duration{
	55 * time.Millisecond, 155 * time.Millisecond, 1200 * time.Millisecond, 2200 * time.Millisecond, ReferralTime,
}

// ReferralTime is the time for which a former master announces its successor.
const ReferralTime = 4400 * time.Millisecond
