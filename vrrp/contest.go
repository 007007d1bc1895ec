// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"net/netip"
	"time"
)

// Status.RivalHeard changes at the first advertisement of another master, and then after a pause that doubles each time. The
// first changes come quickly, because the VIPs are announced again after each change. Later ones come seldom, because the
// advertisements may be forged. The last advertisement always counts: it may be the one with which the other master gives
// way.
const (
	rivalFirstPause = 100 * time.Millisecond
	rivalLastPause  = time.Second
	rivalForgotten  = 5 * time.Second // after the last advertisement; the next one counts as a first one again
)

// TwoMasters are the moments in which this router, as master, heard another master that claimed its place: an address may have
// been on both machines. A router that does not hear the other one cannot know. A master that gives way at the first
// advertisement that it hears counts no moment, because an ordinary preemption looks the same; nor does the new master count the
// last advertisement of its predecessor. A moment is over when no other master was heard for 5 s. Its length is the time from the
// first advertisement of the other one to the last.
type TwoMasters struct {
	// Count includes the present moment. Total and Last do not.
	Count uint64        `json:"count"`
	Total time.Duration `json:"total"`
	Last  Moment        `json:"last,omitzero"`
	// Since is when the present moment began; the zero time: there is none. Peer is the other master, the first one of
	// several.
	Since time.Time  `json:"since,omitzero"`
	Peer  netip.Addr `json:"peer,omitzero"`
}

// A Moment is a time with two masters that is over.
type Moment struct {
	Began  time.Time     `json:"began"`
	Length time.Duration `json:"length"`
	Peer   netip.Addr    `json:"peer"`
}

// A contest records the other masters that were heard while this router was master.
type contest struct {
	told   time.Time // Status.RivalHeard
	pause  time.Duration
	last   time.Time // when another master was last heard
	untold bool      // it was heard during the pause
	// began is Status.Contested. rival is when another master was last heard that was not giving way as our predecessor.
	began, rival time.Time
	peer         netip.Addr // the first of the contest: in a flood of forged packets, each has another sender
	lasts        bool       // the contest is not over
	moments      TwoMasters // without the present contest
}

// hear counts an advertisement of another master. It reports whether told or due has changed.
func (c *contest) hear(now time.Time) bool {
	if now.Sub(c.last) >= rivalForgotten {
		c.pause = 0
	}
	c.last = now
	if now.Sub(c.told) >= c.pause {
		c.tell(now)
		return true
	}
	first := !c.untold
	c.untold = true
	return first
}

// dispute counts an advertisement of another master that claims our place. The first one begins a contest: then dispute returns
// true.
func (c *contest) dispute(now time.Time, from netip.Addr) (begins bool) {
	c.end(now)
	if begins = !c.lasts; begins {
		c.began, c.peer, c.lasts = now, from, true
		c.moments.Count++
	}
	c.rival = now
	return begins
}

// end ends a contest that is over, and reports whether it did.
func (c *contest) end(now time.Time) bool {
	if !c.lasts || now.Sub(c.rival) < rivalForgotten {
		return false
	}
	c.lasts = false
	length := c.rival.Sub(c.began)
	c.moments.Total += length
	c.moments.Last = Moment{Began: c.began, Length: length, Peer: c.peer}
	return true
}

// twoMasters is Status.TwoMasters.
func (c *contest) twoMasters() TwoMasters {
	t := c.moments
	if c.lasts {
		t.Since, t.Peer = c.began, c.peer
	}
	return t
}

// due returns when to call tell or end. It is the zero time if there is nothing to report.
func (c *contest) due() (due time.Time) {
	if c.untold {
		due = c.told.Add(c.pause)
	}
	if over := c.rival.Add(rivalForgotten); c.lasts && (due.IsZero() || over.Before(due)) {
		due = over
	}
	return due
}

func (c *contest) tell(now time.Time) {
	c.told, c.untold = now, false
	c.pause = min(max(2*c.pause, rivalFirstPause), rivalLastPause)
}
