// SPDX-License-Identifier: Apache-2.0

package garp

import "time"

// A Config says how often an address that moved is announced.
type Config struct {
	// Repeat are the moments of the announcements, counted from the take-over, ascending.
	Repeat []time.Duration `json:"repeat"`
	// Refresh is the pause between announcements after that; 0 means none.
	Refresh time.Duration `json:"refresh"`
	// Spacing is the least time between two frames on the wire.
	Spacing time.Duration `json:"spacing"`
}

// DefaultConfig announces at once and again after 1.1, 2.2 and 4.4 s: a neighbour that has just learned the address
// from the old master may refuse to learn another for a second, and the port of a switch may begin to forward late.
// After that a neighbour that missed everything is right again within a minute. 100 µs between frames keep a
// thousand addresses from overrunning a receiver's queue.
func DefaultConfig() Config {
	return Config{
		Repeat:  []time.Duration{0, 1100 * time.Millisecond, 2200 * time.Millisecond, 4400 * time.Millisecond},
		Refresh: time.Minute,
		Spacing: 100 * time.Microsecond,
	}
}

// after returns the moment of the first announcement that follows the one at elapsed, both counted from the
// take-over; elapsed is negative before the first. It reports false if none follows.
func (c Config) after(elapsed time.Duration) (time.Duration, bool) {
	for _, r := range c.Repeat {
		if r > elapsed {
			return r, true
		}
	}
	return max(elapsed, 0) + c.Refresh, c.Refresh > 0
}
