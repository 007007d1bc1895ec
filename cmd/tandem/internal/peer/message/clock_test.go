// SPDX-License-Identifier: Apache-2.0

package message

import (
	"math"
	"testing"
	"time"
)

// exchange lets two clocks talk n times. b is ahead of a; the messages need there and back.
func exchange(a, b *ClockWatch, n int, ahead, there, back time.Duration, now *time.Time) {
	for range n {
		m := a.Tell(*now)
		*now = now.Add(there)
		b.Hear(m, now.Add(ahead))
		*now = now.Add(300 * time.Millisecond)
		m = b.Tell(now.Add(ahead))
		*now = now.Add(back)
		a.Hear(m, *now)
		*now = now.Add(700 * time.Millisecond)
	}
}

// TestSkew: the true difference is within the error, whatever the ways take; the shortest round trip counts.
func TestSkew(t *testing.T) {
	for _, tt := range []struct{ ahead, there, back time.Duration }{
		{0, time.Millisecond, time.Millisecond},
		{3 * time.Second, time.Millisecond, 9 * time.Millisecond},
		{-time.Hour, 40 * time.Millisecond, 0},
		{50 * 365 * 24 * time.Hour, time.Microsecond, time.Second},
	} {
		now := time.Unix(1_800_000_000, 0)
		var a, b ClockWatch
		exchange(&a, &b, 3, tt.ahead, 5*tt.there, 5*tt.back, &now)
		exchange(&a, &b, 2, tt.ahead, tt.there, tt.back, &now)
		exchange(&a, &b, 2, tt.ahead, 3*tt.there, 3*tt.back, &now)
		s := a.Skew()
		if !s.Known || (s.Ahead-tt.ahead).Abs() > s.Error || s.Error > (tt.there+tt.back)/2 {
			t.Errorf("%+v: %+v", tt, s)
		}
		if back := b.Skew(); !back.Known || (back.Ahead+tt.ahead).Abs() > back.Error {
			t.Errorf("%+v, seen from there: %+v", tt, back)
		}
	}
}

// TestClockIsSet: a clock that is set is noticed at the next measurement.
func TestClockIsSet(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	var a, b ClockWatch
	exchange(&a, &b, 20, 0, time.Millisecond, time.Millisecond, &now)
	exchange(&a, &b, 2, 5*time.Second, 2*time.Millisecond, 2*time.Millisecond, &now)
	if s := a.Skew(); (s.Ahead - 5*time.Second).Abs() > s.Error {
		t.Errorf("%+v", s)
	}
}

// TestClockLies: readings that cannot be are not believed.
func TestClockLies(t *testing.T) {
	var a ClockWatch
	now := time.Unix(1_800_000_000, 0)
	at := now.UnixNano()
	for _, c := range []Clock{
		{}, {Sent: 5}, {Sent: at, Echo: at + 1e12, Heard: at}, {Sent: math.MinInt64, Echo: at, Heard: math.MaxInt64},
		{Sent: math.MaxInt64, Echo: 1, Heard: math.MinInt64}, {Sent: at, Echo: -1, Heard: at}, {Sent: at, Echo: at - 60e9, Heard: at},
	} {
		a.Hear(c, now)
	}
	if s := a.Skew(); s.Known {
		t.Errorf("%+v", s)
	}
}
