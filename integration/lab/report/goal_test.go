// SPDX-License-Identifier: Apache-2.0

package report

import (
	"math"
	"testing"
)

func TestGoal(t *testing.T) {
	for _, tt := range []struct {
		goal   *Goal
		figure float64
		says   string
		missed bool
	}{
		{AtMost(1), 0.4, "goal at most 1, reached yes", false},
		{AtMost(1), -0.1, "goal at most 1, reached yes", false}, // a difference of two figures
		{AtMost(1), 1, "goal at most 1, reached yes", false},
		{AtMost(1), 1.01, "goal at most 1, reached no", false},
		{AtMost(1), 1.99, "goal at most 1, reached no", false},
		{AtMost(1), 2, "goal at most 1, reached no", true},
		{AtMost(1), math.NaN(), "goal at most 1, reached no", true},
		{AtLeast(10_000), 12_000, "goal at least 10000, reached yes", false},
		{AtLeast(10_000), 10_000, "goal at least 10000, reached yes", false},
		{AtLeast(10_000), 9_999, "goal at least 10000, reached no", false},
		{AtLeast(10_000), 5_001, "goal at least 10000, reached no", false},
		{AtLeast(10_000), 5_000, "goal at least 10000, reached no", true},
		{AtLeast(10_000), 0, "goal at least 10000, reached no", true},
		{AtLeast(10_000), math.NaN(), "goal at least 10000, reached no", true},
		{AtMost(2).Firmly(), 2, "goal at most 2, reached yes", false},
		{AtMost(2).Firmly(), 2.01, "goal at most 2, reached no", true},
		{AtLeast(2).Firmly(), 1.99, "goal at least 2, reached no", true},
		{AtMost(2).Firmly(), math.NaN(), "goal at most 2, reached no", true},
	} {
		if says, missed := tt.goal.Judge(tt.figure), tt.goal.Missed(tt.figure); says != tt.says || missed != tt.missed {
			t.Errorf("%g: %q, missed %t, want %q, %t", tt.figure, says, missed, tt.says, tt.missed)
		}
	}
}
