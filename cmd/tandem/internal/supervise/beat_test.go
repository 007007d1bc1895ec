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
		{[]time.Duration{time.Second, 800 * time.Millisecond}, 600 * time.Millisecond},
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
		for _, interval := range tt.intervals {
			if got == message.MinBeatInterval {
				continue // too short an interval to resume
			}
			// Nobody can have taken over after a silence that still confirms the last report.
			if maxBeats*got > 2*interval {
				t.Errorf("advertisements every %s: a silence of %s goes unquestioned", interval, maxBeats*got)
			}
			// An election that died just before its next sign of life can be resumed.
			if left := 2*interval - got; left < min(time.Second, 5*interval/3) {
				t.Errorf("advertisements every %s: %s are left to resume", interval, left)
			}
		}
	}
}
