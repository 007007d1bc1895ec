// SPDX-License-Identifier: Apache-2.0

package garp

import (
	"container/heap"
	"net/netip"
	"time"
)

// anewPause is the least time between two beginnings of a schedule that others cause. A neighbour that has just
// learned the address elsewhere refuses to learn another place for a second, so that more would be of no use, and
// a rival that shouts must not make us flood the link.
const anewPause = time.Second

const (
	// stalled is how overdue a repeat must be for the process to have been stopped meanwhile: a signal, a paused virtual
	// machine. Then the addresses may be another's by now, and stallPause gives the election time to find out and to
	// withdraw them.
	stalled    = 100 * time.Millisecond
	stallPause = 100 * time.Millisecond
)

// A form is one way to announce an address.
type form int

const (
	// formRequest is an ARP request for the sender's own address.
	formRequest form = iota + 1
	// formReply is an ARP reply that nobody asked for.
	formReply
	// formAdvertisement is an unsolicited neighbour advertisement.
	formAdvertisement
)

func (f form) String() string {
	switch f {
	case formRequest:
		return "ARP request"
	case formReply:
		return "ARP reply"
	case formAdvertisement:
		return "neighbour advertisement"
	}
	return "unknown"
}

// A notice is one frame to be sent now.
type notice struct {
	addr    netip.Addr
	form    form
	spacing time.Duration // to the next frame
}

// An entry is the announcement of one address.
type entry struct {
	addr   netip.Addr
	config Config
	start  time.Time // of the take-over
	due    time.Time // of the next announcement
	anew   time.Time // when the schedule begins anew, if it is to
	form   form      // of the next frame
	first  bool      // no announcement was made yet
	place  int       // in the call that asked for it
	seq    uint64    // of that call

	queue *queue // that holds it, if any
	index int    // in that queue
}

// A schedule decides which frame leaves when; it sends nothing and reads no clock.
//
// Among the frames that are due, first announcements go before repeated ones, and among them the first address of
// every take-over before the second of any: a router with one address does not wait for one with a thousand.
type schedule struct {
	entries map[netip.Addr]*entry
	waiting *queue // not yet due
	ready   *queue // due
	seq     uint64
}

func newSchedule() *schedule {
	return &schedule{
		entries: map[netip.Addr]*entry{},
		waiting: &queue{less: func(a, b *entry) bool { return a.due.Before(b.due) }},
		ready:   &queue{less: moreUrgent},
	}
}

func moreUrgent(a, b *entry) bool {
	switch {
	case a.first != b.first:
		return a.first
	case a.first && a.place != b.place:
		return a.place < b.place
	case !a.first && !a.due.Equal(b.due):
		return a.due.Before(b.due)
	case a.seq != b.seq:
		return a.seq < b.seq
	}
	return a.place < b.place
}

// announce begins the schedule of c for addresses that were taken over now. The zero Addr is ignored.
func (s *schedule) announce(now time.Time, c Config, addrs []netip.Addr) {
	s.seq++
	for i, addr := range addrs {
		if !addr.IsValid() {
			continue
		}
		addr = addr.Unmap().WithZone("")
		if old, ok := s.entries[addr]; ok {
			old.leave()
		}
		e := &entry{addr: addr, config: c, place: i, seq: s.seq}
		s.entries[addr] = e
		s.begin(now, e)
	}
}

// withdraw ends the schedules of addresses.
func (s *schedule) withdraw(addrs []netip.Addr) {
	for _, addr := range addrs {
		addr = addr.Unmap().WithZone("")
		if e, ok := s.entries[addr]; ok {
			e.leave()
			delete(s.entries, addr)
		}
	}
}

// restart begins every schedule anew, because what was sent so far may have reached nobody.
func (s *schedule) restart(now time.Time) {
	for _, e := range s.entries {
		e.leave()
		s.begin(now, e)
	}
}

// reannounce begins the schedules of addresses anew, of all if none is given, but each no sooner than anewPause after
// it began last; until then it goes on. One that is to begin is left at that, however often it is asked for.
func (s *schedule) reannounce(now time.Time, addrs []netip.Addr) {
	if len(addrs) == 0 {
		for _, e := range s.entries {
			s.anew(now, e)
		}
	}
	for _, addr := range addrs {
		if e, ok := s.entries[addr.Unmap().WithZone("")]; ok {
			s.anew(now, e)
		}
	}
}

func (s *schedule) anew(now time.Time, e *entry) {
	if e.first || !e.anew.IsZero() {
		return
	}
	e.anew = e.start.Add(anewPause)
	if e.anew.Before(now) {
		e.anew = now
	}
	if e.queue == nil || e.queue == s.waiting && !e.due.Before(e.anew) {
		e.leave()
		s.begin(e.anew, e)
	}
}

func (s *schedule) begin(now time.Time, e *entry) {
	e.start, e.first, e.anew = now, true, time.Time{}
	s.plan(e, -1)
}

// plan queues the announcement that follows the one at elapsed. One that has no next stays known to restart.
func (s *schedule) plan(e *entry, elapsed time.Duration) {
	e.form = formRequest
	if e.addr.Is6() {
		e.form = formAdvertisement
	}
	at, ok := e.config.after(elapsed)
	due := e.start.Add(at)
	switch {
	case !e.anew.IsZero() && (!ok || !due.Before(e.anew)):
		s.begin(e.anew, e)
	case ok:
		e.due = due
		s.waiting.add(e)
	}
}

// next returns the frame that is to leave now, if one is due, and takes it as sent. Announcements whose moment
// passed while others were sent are not made up for, and a repeat that is long overdue waits a little longer.
func (s *schedule) next(now time.Time) (notice, bool) {
	for s.waiting.Len() > 0 && !s.waiting.entries[0].due.After(now) {
		e := s.waiting.entries[0]
		e.leave()
		if !e.first && now.Sub(e.due) > stalled {
			e.due = now.Add(stallPause)
			s.waiting.add(e)
			continue
		}
		s.ready.add(e)
	}
	if s.ready.Len() == 0 {
		return notice{}, false
	}
	e := s.ready.entries[0]
	n := notice{addr: e.addr, form: e.form, spacing: e.config.Spacing}
	if e.form == formRequest {
		e.form = formReply // the next frame, of equal rank
		return n, true
	}
	e.leave()
	e.first = false
	s.plan(e, now.Sub(e.start))
	return n, true
}

// deadline returns the moment of the next frame, in the past if one is overdue; false if there is none.
func (s *schedule) deadline() (time.Time, bool) {
	for _, q := range []*queue{s.ready, s.waiting} {
		if q.Len() > 0 {
			return q.entries[0].due, true
		}
	}
	return time.Time{}, false
}

// A queue is a heap of entries that know their place in it.
type queue struct {
	entries []*entry
	less    func(a, b *entry) bool
}

var _ heap.Interface = (*queue)(nil)

func (q *queue) add(e *entry) {
	e.queue = q
	heap.Push(q, e)
}

// leave takes the entry out of its queue, if it is in one.
func (e *entry) leave() {
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
