// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"bytes"
	"fmt"
	"strconv"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/vrrp"
)

// gap measures the time between the advertisements of a master.
func (r *router) gap(now time.Time, priority uint8) {
	if priority == vrrp.PriorityLeaving {
		r.lastAdvert = time.Time{}
		return
	}
	if c := &r.counters.longestGap; !r.lastAdvert.IsZero() && int64(now.Sub(r.lastAdvert)) > c.Load() {
		c.Store(int64(now.Sub(r.lastAdvert)))
	}
	r.lastAdvert = now
}

// advertises reports whether the deadline of r is that of an advertisement at its interval.
func (r *router) advertises() bool {
	return r.Machine.State() == vrrp.Master && !r.Machine.HandingOver()
}

// maxEarly is the most that an advertisement is early or a burst waits for its end, where a hundredth of the interval is
// not less.
const maxEarly = time.Millisecond

// early returns by how much an advertisement may be early: it is nobody's silence that it ends.
func (r *router) early() time.Duration {
	if !r.advertises() {
		return 0
	}
	return min(r.Config.AdvertInterval/100, maxEarly)
}

// clock measures how late the advertisement is that is about to be sent.
func (l *Loop) clock(r *router, now time.Time) {
	if !r.advertises() {
		return
	}
	late := max(0, now.Sub(r.due))
	class := 0
	for class < len(vrrp.LatenessBounds) && late > vrrp.LatenessBounds[class] {
		class++
	}
	r.counters.lateness[class].Add(1)
	r.counters.late.Add(int64(late))
	l.explain(r, now)
}

// explain says why a master is late, if it is so by more than half an interval: a backup waits for three.
func (l *Loop) explain(r *router, now time.Time) {
	late := now.Sub(r.due)
	if late <= r.Config.AdvertInterval/2 || !l.notes.first(now, key{why: "late"}) {
		return
	}
	queued, known := l.processor.queued()
	l.notes.add(hclog.Warn, "advertisement is late", "router", r.Config.Name, "vrid", r.Config.VRID,
		"late", late.Round(time.Microsecond), "cause", l.whyLate(r.due, now, queued, known))
}

// turn notes that the thread is about to wait.
func (l *Loop) turn(now time.Time) time.Time {
	l.asleep = now
	return now
}

// woke notes that it runs again.
func (l *Loop) woke(now time.Time) {
	l.awake = now
	// What is read next may take the place of a master that slept too long, and with it the occasion.
	if len(l.timers) > 0 && l.timers[0].advertises() && !l.timers[0].due.IsZero() {
		l.explain(l.timers[0], now)
	}
	if l.realtime != nil {
		l.realtime.rested(l.asleep, now)
	}
}

// whyLate tells as far as can be known where the time went since the deadline: nothing ran this thread, or it was busy.
// queued is how long it has recently waited for a processor, if that is known.
func (l *Loop) whyLate(due, now time.Time, queued time.Duration, known bool) string {
	ran := latest(due, l.awake)
	asleep, busy := ran.Sub(due), now.Sub(ran)
	round := func(d time.Duration) time.Duration { return d.Round(100 * time.Microsecond) }
	switch {
	case known && queued >= now.Sub(due)/2:
		return fmt.Sprintf("waited %s for a processor", round(queued))
	case asleep < busy:
		return fmt.Sprintf("was busy for %s", round(busy))
	case known:
		return fmt.Sprintf("was stopped, or the whole machine was, for %s", round(asleep))
	default:
		return fmt.Sprintf("was not run for %s", round(asleep))
	}
}

// processorPause is how long the last look at the processor's account may be ago: what is older than
// that is not blamed for a delay.
const processorPause = time.Second

// A processor is the kernel's account of what a thread asked of the processors and got.
type processor struct {
	fd     int // of the thread's schedstat, -1 where the kernel keeps none
	seen   time.Time
	before time.Duration // waiting for a processor, at the last look
	text   [64]byte
}

// open begins the account of the calling thread.
func (p *processor) open() {
	fd, err := unix.Open("/proc/thread-self/schedstat", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		fd = -1
	}
	p.fd = fd
}

func (p *processor) close() error {
	if p.fd < 0 {
		return nil
	}
	return unix.Close(p.fd)
}

// look remembers the account from time to time.
func (p *processor) look(now time.Time) {
	if now.Sub(p.seen) >= processorPause {
		p.seen = now
		p.before, _ = p.read()
	}
}

// queued returns how long the thread has waited for a processor since the last look.
func (p *processor) queued() (time.Duration, bool) {
	total, ok := p.read()
	return total - p.before, ok
}

// read reads the second number of schedstat: nanoseconds on a run queue.
func (p *processor) read() (time.Duration, bool) {
	if p.fd < 0 {
		return 0, false
	}
	n, err := unix.Pread(p.fd, p.text[:], 0)
	if err != nil {
		return 0, false
	}
	_, rest, _ := bytes.Cut(p.text[:n], []byte(" "))
	number, _, _ := bytes.Cut(rest, []byte(" "))
	ns, err := strconv.ParseInt(string(number), 10, 64)
	return time.Duration(ns), err == nil
}
