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
