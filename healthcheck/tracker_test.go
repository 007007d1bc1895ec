// SPDX-License-Identifier: Apache-2.0

package healthcheck

import "testing"

func TestTracker(t *testing.T) {
	// A + is a success and a - a failure. The line below has the health after each: ? unknown, H healthy, U unhealthy.
	tests := []struct {
		name       string
		rise, fall int
		results    string
		healths    string
	}{
		{"the first success serves, whatever rise is", 3, 3, "+", "H"},
		{"failures count from the start", 2, 3, "---", "??U"},
		{"one success after failures at the start serves", 2, 3, "--+", "??H"},
		{"fall failures in a row", 2, 3, "+---", "HHHU"},
		{"a success in between starts the count again", 2, 3, "+--+--+---", "HHHHHHHHHU"},
		{"rise successes in a row", 2, 3, "---++", "??UUH"},
		{"a failure in between starts the count again", 3, 1, "-++-+++", "UUUUUUH"},
		{"fall of 1 is immediate", 2, 1, "+-", "HU"},
		{"rise of 1 is immediate", 1, 1, "-+-+", "UHUH"},
		{"more of the same changes nothing", 2, 2, "++++----++++", "HHHHHUUUUHHH"},
	}
	letters := map[Health]byte{Unknown: '?', Healthy: 'H', Unhealthy: 'U'}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tr := tracker{health: Unknown}
			got := make([]byte, 0, len(tt.results))
			for _, r := range tt.results {
				tr = tr.step(r == '+', tt.rise, tt.fall)
				got = append(got, letters[tr.health])
			}
			if string(got) != tt.healths {
				t.Errorf("rise %d, fall %d: after %s: %s, want %s", tt.rise, tt.fall, tt.results, got, tt.healths)
			}
		})
	}
}

func TestTrackerStreak(t *testing.T) {
	tr := tracker{health: Unknown}
	for i, step := range []struct {
		success bool
		want    int
	}{{true, 1}, {true, 2}, {false, -1}, {false, -2}, {false, -3}, {true, 1}} {
		if tr = tr.step(step.success, 2, 3); tr.streak != step.want {
			t.Errorf("step %d: streak %d, want %d", i, tr.streak, step.want)
		}
	}
}
