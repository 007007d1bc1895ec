// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"testing"
	"time"
)

// TestDebounced: a short change does not count, a long one counts when it has lasted. Without delays every change counts at once.
func TestDebounced(t *testing.T) {
	const ms = time.Millisecond
	down := Cause{Kind: FaultLinkCarrier, Text: "eth1"}
	type step struct {
		at     time.Duration
		faulty bool
		counts bool          // the fault
		due    time.Duration // 0: never
	}
	for name, tt := range map[string]struct {
		by    Debounce
		steps []step
	}{
		"without delays": {Debounce{}, []step{{0, false, false, 0}, {10 * ms, true, true, 0}, {11 * ms, false, false, 0}}},
		"a blip":         {Debounce{DownDelay: 200 * ms}, []step{{0, false, false, 0}, {10 * ms, true, false, 210 * ms}, {110 * ms, false, false, 0}, {300 * ms, true, false, 500 * ms}}},
		"a fault": {Debounce{DownDelay: 200 * ms, UpDelay: 2000 * ms}, []step{
			{0, false, false, 0}, {10 * ms, true, false, 210 * ms}, {100 * ms, true, false, 210 * ms}, {210 * ms, true, true, 0},
			{300 * ms, false, true, 2300 * ms}, {400 * ms, true, true, 0}, {500 * ms, false, true, 2500 * ms}, {2500 * ms, false, false, 0},
		}},
		"faulty at the start": {Debounce{DownDelay: time.Hour}, []step{{0, true, true, 0}}},
	} {
		var d Debounced
		for i, s := range tt.steps {
			is := Cause{}
			if s.faulty {
				is = down
			}
			counts, due := d.Step(epoch.Add(s.at), is, tt.by)
			want := time.Time{}
			if s.due > 0 {
				want = epoch.Add(s.due)
			}
			if (counts.Kind != 0) != s.counts || !due.Equal(want) {
				t.Errorf("%s, step %d: %q, due %s; want a fault %t, due %s", name, i, counts, due.Sub(epoch), s.counts, s.due)
			}
		}
	}
}
