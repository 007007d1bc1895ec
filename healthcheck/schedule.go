// SPDX-License-Identifier: Apache-2.0

package healthcheck

import (
	"math/rand/v2"
	"time"
)

// firstWithin is the longest delay before the first probe of a target, unless its interval is shorter.
const firstWithin = time.Second

// A Schedule says when the next probe of a target is due.
type Schedule struct {
	Due     time.Time
	Scatter bool // the next pause is a random part of the interval
}

// First schedules the first probe of a run. The pause after that probe is a random part of the interval: first probes
// come close together, later ones are spread over the interval.
func (s *Schedule) First(now time.Time, c *Config, r *rand.Rand) {
	s.Due = now.Add(upTo(r, min(c.Interval, firstWithin)))
	s.Scatter = true
}

// Next schedules the probe after one that began at started and has ended now. A random part of the jitter shortens the pause:
// so targets that start at the same time drift apart, and no pause is longer than configured.
func (s *Schedule) Next(started, now time.Time, pause time.Duration, c *Config, r *rand.Rand) {
	pause -= upTo(r, pause*time.Duration(c.Jitter)/100)
	if s.Scatter {
		pause = upTo(r, pause)
		s.Scatter = false
	}
	s.Due = started.Add(pause)
	if s.Due.Before(now) {
		s.Due = now // the probe took the whole pause; the next one is not late
	}
}

// upTo returns a random duration from 0 to just below d.
func upTo(r *rand.Rand, d time.Duration) time.Duration {
	return time.Duration(r.Int64N(max(int64(d), 1)))
}

// A wake-up costs as much CPU time as a probe, so probes that are due at nearly the same time start together. Nearly means
// within this share of the shortest pause of any check, and within these limits.
const (
	slackShare = 200
	minSlack   = 2 * time.Millisecond
	MaxSlack   = 50 * time.Millisecond // the slack if there is no check
)

// Slack returns how late probes of this check may start.
func (c *Config) Slack() time.Duration {
	slack := MaxSlack
	for _, pause := range []time.Duration{c.Interval, c.IntervalDown, c.FastInterval} {
		if pause > 0 {
			slack = min(slack, pause/slackShare)
		}
	}
	return max(slack, minSlack)
}
