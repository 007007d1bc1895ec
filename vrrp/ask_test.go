// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"testing"
	"time"
)

// TestAskTime: a backup doubts its master an interval before it takes over from it, and only if the master is silent.
func TestAskTime(t *testing.T) {
	c := testConfig(100)
	down := c.DownTime(100)
	advert := func(priority uint8) Event {
		return Event{Kind: EventAdvert, Source: addrA, Priority: priority, Interval: time.Second}
	}
	for name, tt := range map[string]struct {
		events []Event
		want   time.Duration // 0: never
	}{
		"no master is known":                {nil, 0},
		"a master":                          {[]Event{advert(150)}, down - time.Second},
		"a slower master":                   {[]Event{{Kind: EventAdvert, Source: addrA, Priority: 150, Interval: 4 * time.Second}}, 4*3*time.Second + Skew(100, 4*time.Second) - 4*time.Second},
		"it leaves":                         {[]Event{advert(150), advert(PriorityLeaving)}, 0},
		"one that is about to be preempted": {[]Event{advert(50)}, 0},
		"a fault":                           {[]Event{advert(150), {Kind: EventFault, Cause: &Cause{Kind: FaultLinkDown}}}, 0},
	} {
		m := NewMachine(c)
		m.Step(epoch, Event{Kind: EventUp, Source: addrB})
		for _, ev := range tt.events {
			m.Step(epoch, ev)
		}
		want := time.Time{}
		if tt.want > 0 {
			want = epoch.Add(tt.want)
		}
		if got := m.AskTime(); !got.Equal(want) {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
		if !want.IsZero() {
			m.Step(m.Deadline(), Event{Kind: EventTimer})
			if got := m.AskTime(); m.State() != Master || !got.IsZero() {
				t.Errorf("%s: as %s it asks at %s", name, m.State(), got)
			}
		}
	}
}
