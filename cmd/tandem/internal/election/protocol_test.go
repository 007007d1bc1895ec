// SPDX-License-Identifier: Apache-2.0

package election

import (
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/vrrp"
)

func TestSignsOfLifeAreAsOftenAsTheAdvertisementsNeed(t *testing.T) {
	for _, tt := range []struct {
		intervals []time.Duration
		want      time.Duration
	}{
		{nil, maxBeatInterval},
		{[]time.Duration{40 * time.Second, time.Second}, maxBeatInterval},
		{[]time.Duration{time.Second, 600 * time.Millisecond}, 200 * time.Millisecond},
		{[]time.Duration{10 * time.Millisecond, time.Second}, minBeatInterval},
	} {
		var o Order
		for _, interval := range tt.intervals {
			o.Routers = append(o.Routers, Router{Config: vrrp.Config{AdvertInterval: interval}})
		}
		got := o.beatInterval()
		if got != tt.want {
			t.Errorf("advertisements every %v: a sign of life every %s, want %s", tt.intervals, got, tt.want)
		}
		// After a silence that still confirms the last report nobody may have taken over, short intervals aside.
		for _, interval := range tt.intervals {
			if got > minBeatInterval && maxBeats*got > 3*interval {
				t.Errorf("advertisements every %s: a silence of %s goes unquestioned", interval, maxBeats*got)
			}
		}
	}
}
