// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"math"
	"slices"
	"time"
)

// LatenessBounds are the upper bounds of the classes of a Lateness, ascending. One more class has no bound.
var LatenessBounds = [...]time.Duration{
	time.Millisecond, 2 * time.Millisecond, 5 * time.Millisecond, 10 * time.Millisecond, 20 * time.Millisecond,
	50 * time.Millisecond, 100 * time.Millisecond, 200 * time.Millisecond, 500 * time.Millisecond, time.Second,
}

// A Lateness is a histogram of how late advertisements were sent.
type Lateness struct {
	// Counts are the advertisements at most as late as the bound of the same index, and later than the bound before it.
	Counts [len(LatenessBounds) + 1]uint64 `json:"counts"`
	// Powers are the same advertisements in finer classes.
	Powers Powers `json:"powers,omitzero"`
	// Sum is the lateness of all advertisements together.
	Sum time.Duration `json:"sum"`
}

// TakeoverBounds are the upper bounds of the classes of Takeovers, ascending. One more class has no bound. With the usual interval of
// 1 s and 3 missing advertisements, a dead master is replaced after 3 to 4 s.
var TakeoverBounds = [...]time.Duration{
	10 * time.Millisecond, 20 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond, 200 * time.Millisecond,
	500 * time.Millisecond, time.Second, 2 * time.Second, 3 * time.Second, 4 * time.Second, 5 * time.Second, 10 * time.Second,
	30 * time.Second, 150 * time.Second,
}

// Takeovers is a histogram of how long nobody advertised when a backup became master: from the last advertisement that it heard to
// its own first one.
type Takeovers struct {
	Counts [len(TakeoverBounds) + 1]uint64 `json:"counts"` // as in Lateness
	Powers Powers                          `json:"powers,omitzero"`
	Sum    time.Duration                   `json:"sum"`
}

// Class returns the index of the class of d among classes with these ascending upper bounds.
func Class(bounds []time.Duration, d time.Duration) int {
	class, _ := slices.BinarySearch(bounds, d)
	return class
}

// The classes of Powers.
const (
	// PowersSchema is their number in Prometheus's native histograms: each class ends √2 times as high as the one before it.
	PowersSchema = 1
	// FirstPower is the index of the lowest class there. It ends at 2^-13 s, which is 122 µs, and takes all that is less.
	FirstPower = -13 << PowersSchema
	// lastPower ends at 2^8.5 s, which is 362 s, and takes all that is more.
	lastPower = 8<<PowersSchema + 1
)

// Powers counts durations in exponential classes, from FirstPower on.
type Powers [lastPower - FirstPower + 1]uint64

// powerBounds are the upper bounds of the classes of Powers. The last one has none.
var powerBounds = func() (bounds [len(Powers{}) - 1]time.Duration) {
	for i := range bounds {
		bounds[i] = time.Duration(math.Exp2(float64(FirstPower+i)/(1<<PowersSchema)) * float64(time.Second))
	}
	return bounds
}()

// PowerClass returns the index of the class of d in Powers.
func PowerClass(d time.Duration) int { return Class(powerBounds[:], d) }
