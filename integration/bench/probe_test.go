// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"
	"time"
)

// TestStood: only a pause of the prober that is near the start or the end of an outage can make the outage's length wrong.
func TestStood(t *testing.T) {
	for _, tt := range []struct {
		name  string
		pause interval
		want  time.Duration
	}{
		{"before", interval{0.5, 0.02}, 0},
		{"until the start", interval{0.99, 0.01}, 10 * time.Millisecond},
		{"over the start", interval{0.99, 0.03}, 30 * time.Millisecond},
		{"within", interval{1.2, 0.1}, 0},
		{"at the end", interval{1.502, 0.003}, 3 * time.Millisecond},
		{"after", interval{1.6, 0.01}, 0},
	} {
		r := probeReport{Outages: []interval{{1, 0.5}}}
		r.Prober.Pauses = []interval{tt.pause}
		if got := r.stood().Round(time.Microsecond); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}
