// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/election/message"
	"github.com/tandem-lvs/tandem/vrrp"
)

func TestSignsOfLifeAreAsOftenAsTheAdvertisementsNeed(t *testing.T) {
	for _, tt := range []struct {
		intervals []time.Duration
		want      time.Duration
	}{
		{nil, message.MaxBeatInterval},
		{[]time.Duration{40 * time.Second, time.Second}, message.MaxBeatInterval},
		{[]time.Duration{time.Second, 600 * time.Millisecond}, 200 * time.Millisecond},
		{[]time.Duration{10 * time.Millisecond, time.Second}, message.MinBeatInterval},
	} {
		var o message.Order
		for _, interval := range tt.intervals {
			o.Routers = append(o.Routers, message.Router{Config: vrrp.Config{AdvertInterval: interval}})
		}
		got := o.BeatInterval()
		if got != tt.want {
			t.Errorf("advertisements every %v: a sign of life every %s, want %s", tt.intervals, got, tt.want)
		}
		// After a silence that still confirms the last report nobody may have taken over, short intervals aside.
		for _, interval := range tt.intervals {
			if got > message.MinBeatInterval && maxBeats*got > 3*interval {
				t.Errorf("advertisements every %s: a silence of %s goes unquestioned", interval, maxBeats*got)
			}
		}
	}
}
