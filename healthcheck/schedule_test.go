// SPDX-License-Identifier: Apache-2.0

package healthcheck

import (
	"testing"
	"time"
)

func TestSlack(t *testing.T) {
	for _, tt := range []struct {
		name  string
		pause [3]time.Duration // interval, while down, fast
		want  time.Duration
	}{
		{"nothing to check", [3]time.Duration{}, MaxSlack},
		{"every 10 s", [3]time.Duration{10 * time.Second}, 50 * time.Millisecond},
		{"every minute", [3]time.Duration{time.Minute}, MaxSlack},
		{"every 2 s", [3]time.Duration{2 * time.Second}, 10 * time.Millisecond},
		{"seldom while down", [3]time.Duration{2 * time.Second, time.Minute}, 10 * time.Millisecond},
		{"a fast second look", [3]time.Duration{time.Minute, 0, time.Second}, 5 * time.Millisecond},
		{"a very fast one", [3]time.Duration{time.Minute, 0, 100 * time.Millisecond}, minSlack},
	} {
		config := Config{Interval: tt.pause[0], IntervalDown: tt.pause[1], FastInterval: tt.pause[2]}
		if got := config.Slack(); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}
