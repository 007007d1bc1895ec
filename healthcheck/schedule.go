// SPDX-License-Identifier: Apache-2.0

package healthcheck

import (
	"container/heap"
	"context"
	"math/rand/v2"
	"net/netip"
	"time"
)

// firstWithin is how soon after its start, or the start of the runner, a target is probed at the latest, if its interval
// is not shorter still.
const firstWithin = time.Second

// An entry is a probe in the schedule, of the target that wants it or the first of several. The runner's lock guards it, all
// but target, which does not change, although its ID may be that of one that has gone: a target with another
// configuration is another entry.
type entry struct {
	target Target
	status TargetStatus
	name   string     // the first of ids
	part   bool       // as in Target, of all of them
	ids    []identity // the targets whose probe it is, at least one
	told   string     // the reason in the last verdict
	flap   flapping
	gone   bool // dismissed

	due     time.Time          // of the next probe, while in the queue
	scatter bool               // the next pause is a random part of the interval
	index   int                // in the queue, or idle
	cancel  context.CancelFunc // of the probe under way, or nil
}

// idle is the index of an entry that is not in the queue: a probe is under way, or none can be.
const idle = -1

// first is when a target is due that has not been probed in this run. The pause after that first probe is a random part
// of the interval: the first probes come close together, the later ones are to be spread.
func (e *entry) first(now time.Time, r *rand.Rand) {
	e.due = now.Add(upTo(r, min(e.target.Config.Interval, firstWithin)))
	e.scatter = true
}

// An identity is a target as its owner knows it.
type identity struct {
	id   string
	addr netip.AddrPort
}

// pause is the time from the start of a probe to the start of the next, before chance has its part.
func (e *entry) pause() time.Duration {
	c := e.target.Config
	switch t := (tracker{e.status.Health, e.status.Streak}); {
	case c.FastInterval > 0 && t.undecided(c.Rise):
		return c.FastInterval
	case c.IntervalDown > 0 && t.health == Unhealthy:
		return c.IntervalDown
	}
	return c.Interval
}

// next is when a target is due again whose probe began at started and has ended now. A pause is shortened by a random part
// of the jitter: targets that fell into step drift apart, and no pause is longer than what was configured.
func (e *entry) next(started, now time.Time, r *rand.Rand) {
	pause := e.pause()
	pause -= upTo(r, pause*time.Duration(e.target.Config.Jitter)/100)
	if e.scatter {
		pause = upTo(r, pause)
		e.scatter = false
	}
	e.due = started.Add(pause)
	if e.due.Before(now) {
		e.due = now // the probe took all of the pause; that is not late
	}
}

// upTo is a random duration from 0 to just below d.
func upTo(r *rand.Rand, d time.Duration) time.Duration {
	return time.Duration(r.Int64N(max(int64(d), 1)))
}

// A queue is a heap of entries, the one that is due first on top.
type queue []*entry

var _ heap.Interface = (*queue)(nil)

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].due.Before(q[j].due) }

func (q queue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].index, q[j].index = i, j
}

// Push adds an *entry.
func (q *queue) Push(x any) {
	e := x.(*entry)
	e.index = len(*q)
	*q = append(*q, e)
}

// Pop removes the last entry.
func (q *queue) Pop() any {
	last := len(*q) - 1
	e := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	e.index = idle
	return e
}

// What is due shortly after a probe is started with it, since waking costs as much as a probe: within this share of the
// shortest pause that any check makes, and these limits.
const (
	slackShare = 200
	minSlack   = 2 * time.Millisecond
	maxSlack   = 50 * time.Millisecond
)

// slackFor is how late probes of these entries may be.
func slackFor(entries map[string]*entry) time.Duration {
	slack := maxSlack
	for _, e := range entries {
		c := e.target.Config
		for _, pause := range []time.Duration{c.Interval, c.IntervalDown, c.FastInterval} {
			if pause > 0 {
				slack = min(slack, pause/slackShare)
			}
		}
	}
	return max(slack, minSlack)
}
