// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"math"
	"testing"
	"time"
)

// TestPowerClasses: class i of Powers ends at 2^((FirstPower+i)/2) seconds, and that duration belongs to it, as Prometheus has it.
func TestPowerClasses(t *testing.T) {
	for _, tt := range []struct {
		in    time.Duration
		power float64 // of two, of which the class has the upper bound in seconds
	}{
		{0, -13}, {100 * time.Microsecond, -13}, {123 * time.Microsecond, -12.5}, {time.Second / 4, -2}, {time.Second/4 + 1, -1.5},
		{time.Second, 0}, {time.Second + 1, 0.5}, {1415 * time.Millisecond, 1}, {3 * time.Second, 2}, {256 * time.Second, 8},
		{300 * time.Second, 8.5}, {time.Hour, 8.5}, {math.MaxInt64, 8.5},
	} {
		if got := float64(FirstPower+PowerClass(tt.in)) / 2; got != tt.power {
			t.Errorf("%s: up to 2^%v s, want 2^%v s", tt.in, got, tt.power)
		}
	}
	for i, bound := range powerBounds {
		if PowerClass(bound) != i || PowerClass(bound+1) != i+1 {
			t.Errorf("%s is in class %d and 1 ns more in class %d, want %d", bound, PowerClass(bound), PowerClass(bound+1), i)
		}
	}
}
