// SPDX-License-Identifier: Apache-2.0

package message

import "time"

// A Skew is how far the other director's wall clock is ahead of ours. The true value differs by Error at most, if neither clock
// was set meanwhile.
type Skew struct {
	Ahead, Error time.Duration
	Known        bool
}

// samples is how many measurements are compared: the one with the shortest round trip counts.
const samples = 8

// maxRound is the longest round trip that measures anything.
const maxRound = 10 * time.Second

// A ClockWatch measures how two clocks differ. It reads no clock itself. RFC 5905, section 8, has the formulas.
type ClockWatch struct {
	echo, heard int64 // of the latest message
	latest      []Skew
	last        int64 // the echo that was measured last
}

// Hear takes the readings in a message that came at a time of our clock.
func (w *ClockWatch) Hear(c Clock, now time.Time) {
	at := now.UnixNano()
	w.echo, w.heard = c.Sent, at
	if c.Echo == 0 || c.Echo == w.last {
		return
	}
	w.last = c.Echo
	// All four are within some centuries, or they are a lie.
	for _, t := range []int64{c.Sent, c.Echo, c.Heard} {
		if t < 0 || t > 1<<62 {
			return
		}
	}
	round := time.Duration(at-c.Echo) - time.Duration(c.Sent-c.Heard)
	if round < 0 || round > maxRound {
		return // a clock was set, or the message waited
	}
	ahead := time.Duration(c.Heard-c.Echo)/2 + time.Duration(c.Sent-at)/2
	w.latest = append(w.latest, Skew{Ahead: ahead, Error: round / 2, Known: true})
	if over := len(w.latest) - samples; over > 0 {
		w.latest = w.latest[over:]
	}
}

// Tell returns the readings for a message that is sent at a time of our clock.
func (w *ClockWatch) Tell(now time.Time) Clock {
	return Clock{Sent: now.UnixNano(), Echo: w.echo, Heard: w.heard}
}

// Skew returns the best of the latest measurements. A clock that was set is noticed when the measurements before are forgotten, or
// at once if the latest contradicts the best.
func (w *ClockWatch) Skew() Skew {
	var best Skew
	for _, s := range w.latest {
		if !best.Known || s.Error < best.Error {
			best = s
		}
	}
	if n := len(w.latest); n > 0 {
		if last := w.latest[n-1]; (last.Ahead - best.Ahead).Abs() > last.Error+best.Error+time.Second/2 {
			return last
		}
	}
	return best
}

// Forget ends the measurement: the connection has ended.
func (w *ClockWatch) Forget() { *w = ClockWatch{} }
