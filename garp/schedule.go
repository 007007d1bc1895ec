// SPDX-License-Identifier: Apache-2.0

package garp

import (
	"container/heap"
	"net/netip"
	"time"
)

const (
	// RestartPause is the minimum time between two starts of a schedule that other machines cause. More starts would be
	// useless, because a neighbour that has just learned the address from another machine refuses an update for a second. The
	// pause also keeps a rival from making this machine flood the link.
	RestartPause = time.Second

	// If a repeat or a restart is overdue by more than stalled, the process was stopped: by a signal, or with its virtual
	// machine. Another machine may hold the addresses by now. stallPause gives the election time to find this out and to
	// withdraw them.
	stalled    = 100 * time.Millisecond
	stallPause = 100 * time.Millisecond
)

//go:generate go tool stringer -type Form -linecomment -output form_string.go

// A Form is one way to announce an address.
type Form int

const (
	// Request is an ARP request for the sender's own address.
	Request Form = iota + 1 // ARP request
	// Reply is an ARP reply without a request before it.
	Reply // ARP reply
	// Advertisement is an unsolicited neighbour advertisement.
	Advertisement // neighbour advertisement
)

// A Frame is one announcement that is to be sent now.
type Frame struct {
	Addr    netip.Addr
	Form    Form
	Spacing time.Duration // minimum time until the next frame
}

// An entry is the announcement of one address.
type entry struct {
	addr     netip.Addr
	config   Config
	start    time.Time // of the takeover
	due      time.Time // of the next announcement
	restart  time.Time // when the schedule starts again; zero: no restart is planned
	form     Form      // of the next frame
	first    bool      // no announcement was made yet
	again    bool      // the schedule has started again since the takeover
	position int       // in the addresses of its Announce call
	seq      uint64    // of that call

	queue *queue // that holds the entry; nil if none does
	index int    // in that queue
}

// A Schedule decides which frame is sent when.
//
// First announcements are sent before repeated ones. Among first announcements, the first address of every takeover is sent
// before the second address of any. So a virtual router with one address does not wait for one with a thousand.
type Schedule struct {
	entries  map[netip.Addr]*entry
	contests map[netip.Addr]time.Time // when another master of an address was last heard
	waiting  *queue                   // not yet due
	ready    *queue                   // due
	seq      uint64
}

// NewSchedule returns a Schedule without addresses.
func NewSchedule() *Schedule {
	return &Schedule{
		entries: map[netip.Addr]*entry{}, contests: map[netip.Addr]time.Time{},
		waiting: &queue{less: func(a, b *entry) bool { return a.due.Before(b.due) }},
		ready:   &queue{less: moreUrgent},
	}
}

func moreUrgent(a, b *entry) bool {
	switch {
	case a.first != b.first:
		return a.first
	case a.first && a.position != b.position:
		return a.position < b.position
	case !a.first && !a.due.Equal(b.due):
		return a.due.Before(b.due)
	case a.seq != b.seq:
		return a.seq < b.seq
	}
	return a.position < b.position
}

// Announce starts the schedule of c for addresses that were taken over now, also for those that have one already. It
// ignores the zero Addr.
func (s *Schedule) Announce(now time.Time, c Config, addrs []netip.Addr) {
	s.seq++
	for i, addr := range addrs {
		if !addr.IsValid() {
			continue
		}
		addr = addr.Unmap().WithZone("")
		if old, ok := s.entries[addr]; ok {
			old.dequeue()
		}
		e := &entry{addr: addr, config: c, position: i, seq: s.seq}
		s.entries[addr] = e
		s.begin(now, e)
	}
}

// Withdraw ends the schedules of addresses.
func (s *Schedule) Withdraw(addrs []netip.Addr) {
	for _, addr := range addrs {
		addr = addr.Unmap().WithZone("")
		if e, ok := s.entries[addr]; ok {
			e.dequeue()
			delete(s.entries, addr)
		}
		delete(s.contests, addr)
	}
}

// Contest announces addresses after another master of them was heard, besides their schedules: some neighbours have the other
// master's hardware address for them. If an address is not announced yet, it is contested when it is.
func (s *Schedule) Contest(now time.Time, addrs []netip.Addr) {
	for _, addr := range addrs {
		addr = addr.Unmap().WithZone("")
		s.contests[addr] = now
		if e := s.entries[addr]; e != nil && !e.first {
			e.dequeue()
			s.plan(e, now.Sub(e.start)-1)
		}
	}
}

// Restart starts every schedule again: what was sent so far may have reached nobody.
func (s *Schedule) Restart(now time.Time) {
	for _, e := range s.entries {
		e.dequeue()
		s.begin(now, e)
	}
}

// Reannounce starts the schedules of addresses again; without addresses, all schedules. Each starts at the earliest
// RestartPause after its last start, and continues until then. Further calls before that change nothing.
func (s *Schedule) Reannounce(now time.Time, addrs []netip.Addr) {
	if len(addrs) == 0 {
		for _, e := range s.entries {
			s.restartSoon(now, e)
		}
	}
	for _, addr := range addrs {
		if e, ok := s.entries[addr.Unmap().WithZone("")]; ok {
			s.restartSoon(now, e)
		}
	}
}

func (s *Schedule) restartSoon(now time.Time, e *entry) {
	if e.first || !e.restart.IsZero() {
		return
	}
	e.restart, e.again = e.start.Add(RestartPause), true
	if e.restart.Before(now) {
		e.restart = now
	}
	if e.queue == nil || e.queue == s.waiting && !e.due.Before(e.restart) {
		e.dequeue()
		s.begin(e.restart, e)
	}
}

func (s *Schedule) begin(now time.Time, e *entry) {
	e.start, e.first, e.restart = now, true, time.Time{}
	s.plan(e, -1)
}

// plan queues the announcement that follows the one at elapsed. An entry without a next announcement is kept: Restart
// needs it.
func (s *Schedule) plan(e *entry, elapsed time.Duration) {
	e.form = Request
	if e.addr.Is6() {
		e.form = Advertisement
	}
	at, ok := e.config.after(elapsed)
	due := e.start.Add(at)
	if next, more := s.contested(e.addr, e.start.Add(elapsed)); more && (!ok || next.Before(due)) {
		due, ok = next, true
	}
	switch {
	case !e.restart.IsZero() && (!ok || !due.Before(e.restart)):
		s.begin(e.restart, e)
	case ok:
		e.due = due
		s.waiting.add(e)
	}
}

// contested returns the first announcement after a moment that Contest asked for. It reports false if there is none.
func (s *Schedule) contested(addr netip.Addr, after time.Time) (time.Time, bool) {
	heard, ok := s.contests[addr]
	if !ok {
		return time.Time{}, false
	}
	for _, r := range contestRepeat {
		if at := heard.Add(r); at.After(after) {
			return at, true
		}
	}
	delete(s.contests, addr)
	return time.Time{}, false
}

// Next returns the frame that is due now, if there is one, and counts it as sent. Announcements whose time passed while
// other frames were sent are skipped. A repeat or a restart that is long overdue is delayed a little more; see stallPause.
func (s *Schedule) Next(now time.Time) (Frame, bool) {
	for s.waiting.Len() > 0 && !s.waiting.entries[0].due.After(now) {
		e := s.waiting.entries[0]
		e.dequeue()
		if (e.again || !e.first) && now.Sub(e.due) > stalled {
			e.due = now.Add(stallPause)
			s.waiting.add(e)
			continue
		}
		s.ready.add(e)
	}
	if s.ready.Len() == 0 {
		return Frame{}, false
	}
	e := s.ready.entries[0]
	n := Frame{Addr: e.addr, Form: e.form, Spacing: e.config.Spacing}
	if e.form == Request {
		e.form = Reply // the next frame of this announcement
		return n, true
	}
	e.dequeue()
	e.first = false
	s.plan(e, now.Sub(e.start))
	return n, true
}

// Deadline returns when the next frame is due, which is in the past if it is overdue. It reports false if there is none.
func (s *Schedule) Deadline() (time.Time, bool) {
	for _, q := range []*queue{s.ready, s.waiting} {
		if q.Len() > 0 {
			return q.entries[0].due, true
		}
	}
	return time.Time{}, false
}

// A queue is a heap of entries. Each entry knows its index in it.
type queue struct {
	entries []*entry
	less    func(a, b *entry) bool
}

var _ heap.Interface = (*queue)(nil)

func (q *queue) add(e *entry) {
	e.queue = q
	heap.Push(q, e)
}

// dequeue takes the entry out of its queue, if it is in one.
func (e *entry) dequeue() {
	if e.queue != nil {
		heap.Remove(e.queue, e.index)
		e.queue = nil
	}
}

func (q *queue) Len() int           { return len(q.entries) }
func (q *queue) Less(i, j int) bool { return q.less(q.entries[i], q.entries[j]) }

func (q *queue) Swap(i, j int) {
	q.entries[i], q.entries[j] = q.entries[j], q.entries[i]
	q.entries[i].index, q.entries[j].index = i, j
}

// Push implements heap.Interface.
func (q *queue) Push(x any) {
	e := x.(*entry)
	e.index = len(q.entries)
	q.entries = append(q.entries, e)
}

// Pop implements heap.Interface.
func (q *queue) Pop() any {
	last := len(q.entries) - 1
	e := q.entries[last]
	q.entries[last] = nil
	q.entries = q.entries[:last]
	return e
}
