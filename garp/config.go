// SPDX-License-Identifier: Apache-2.0

package garp

import "time"

// A Config says how often an address that moved is announced.
type Config struct {
	// Repeat holds the times of the announcements, counted from the takeover, ascending.
	Repeat []time.Duration `json:"repeat"`
	// Refresh is the interval of the announcements after the last Repeat; 0: no further announcements.
	Refresh time.Duration `json:"refresh"`
	// Spacing is the minimum time between two frames on the wire.
	Spacing time.Duration `json:"spacing"`
}

// after returns the time of the first announcement after elapsed. Both are counted from the takeover; elapsed is
// negative before the first announcement. It reports false if there is no further announcement.
func (c Config) after(elapsed time.Duration) (time.Duration, bool) {
	for _, r := range c.Repeat {
		if r > elapsed {
			return r, true
		}
	}
	return max(elapsed, 0) + c.Refresh, c.Refresh > 0
}

// Stats counts what was sent to announce addresses.
type Stats struct {
	// Requests and Replies are ARP frames by operation.
	Requests uint64 `json:"requests"`
	Replies  uint64 `json:"replies"`
	// Advertisements are unsolicited neighbour advertisements.
	Advertisements uint64 `json:"advertisements"`
	// Errors are frames that could not be sent, and failed attempts to open the interface.
	Errors uint64 `json:"errors"`
}

// Add returns the sum of both.
func (s Stats) Add(t Stats) Stats {
	return Stats{
		Requests:       s.Requests + t.Requests,
		Replies:        s.Replies + t.Replies,
		Advertisements: s.Advertisements + t.Advertisements,
		Errors:         s.Errors + t.Errors,
	}
}
