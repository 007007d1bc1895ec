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

// measureGap measures the time between the advertisements of a master.
func (r *router) measureGap(now time.Time, priority uint8) {
	if priority == vrrp.PriorityLeaving {
		r.lastAdvert = time.Time{}
		return
	}
	if c := &r.counters.longestGap; !r.lastAdvert.IsZero() && int64(now.Sub(r.lastAdvert)) > c.Load() {
		c.Store(int64(now.Sub(r.lastAdvert)))
	}
	r.lastAdvert = now
}

// hearMaster notes that r has heard an advertisement, if it is a backup now.
func (r *router) hearMaster(now time.Time) {
	if r.Machine.State() == vrrp.Backup {
		r.lastHeard = now
	}
}

// measureTakeover measures how long nobody advertised, when a backup that becomes master sends its first advertisement.
func (r *router) measureTakeover(now time.Time) {
	if r.lastHeard.IsZero() {
		return
	}
	took := max(0, now.Sub(r.lastHeard))
	r.lastHeard = time.Time{}
	r.counters.takeoverPowers[vrrp.PowerClass(took)].Add(1)
	r.counters.takeovers[vrrp.Class(vrrp.TakeoverBounds[:], took)].Add(1)
	r.counters.takeoverTime.Add(int64(took))
}

// noteSpoke notes an advertisement that was sent.
func (r *router) noteSpoke(priority uint8) {
	if priority == vrrp.PriorityLeaving {
		r.spoke.Store(NotMaster)
		return
	}
	r.spoke.Store(bootTime())
}

// advertises reports whether the deadline of r is that of a regular advertisement.
func (r *router) advertises() bool {
	return r.Machine.State() == vrrp.Master && !r.Machine.HandingOver() && !r.Machine.Listening()
}

// maxEarly limits how early an advertisement may be sent, and how long the loop waits for the rest of a burst. A hundredth
// of the interval is the other limit.
const maxEarly = time.Millisecond

// early returns the time by which the deadline of r may be met too early. Only a regular advertisement may be early: no other
// deadline is met early.
func (r *router) early() time.Duration {
	if !r.advertises() {
		return 0
	}
	return min(r.Config.AdvertInterval/100, maxEarly)
}

// measureLateness measures how late the next advertisement of r is, which is about to be sent.
func (l *Loop) measureLateness(r *router, now time.Time) {
	if !r.advertises() {
		return
	}
	late := max(0, now.Sub(r.due))
	r.counters.latePowers[vrrp.PowerClass(late)].Add(1)
	r.counters.lateness[vrrp.Class(vrrp.LatenessBounds[:], late)].Add(1)
	r.counters.late.Add(int64(late))
	l.explainLateness(r, now)
}

// explainLateness logs why an advertisement is more than half an interval late. (A backup waits for three intervals.)
func (l *Loop) explainLateness(r *router, now time.Time) {
	late := now.Sub(r.due)
	if late <= r.Config.AdvertInterval/2 || !l.log.allows(now, key{why: "late"}) {
		return
	}
	queued, known := l.processor.queued()
	l.log.write(hclog.Warn, "advertisement is late", "router", r.Config.Name, "vrid", r.Config.VRID,
		"late", late.Round(time.Microsecond), "cause", l.whyLate(r.due, now, queued, known))
}

// expect stores the time at which the thread must run again, or that it runs now. The zero time means that it waits for others.
func (l *Loop) expect(when time.Time) {
	if when.IsZero() {
		l.due.Store(0)
		return
	}
	l.due.Store(sinceStart(when.Add(-l.suspended)))
}

// Hung returns how long ago the thread should have run. If it runs in time or waits for others, Hung returns 0. Any goroutine
// may call it.
func (l *Loop) Hung() time.Duration {
	due := l.due.Load()
	if due == 0 {
		return 0
	}
	return max(0, time.Duration(sinceStart(time.Now())-due))
}

// fallAsleep stores that the thread is about to wait.
func (l *Loop) fallAsleep(now time.Time) time.Time {
	l.asleep = now
	return now
}

// awaken stores that the thread runs again.
func (l *Loop) awaken(now time.Time) {
	l.awake = now
	// If a master slept too long, the packets that are read next may end its role, and then nothing would be logged.
	if len(l.timers) > 0 && l.timers[0].advertises() && !l.timers[0].due.IsZero() {
		l.explainLateness(l.timers[0], now)
	}
	if l.realtime != nil {
		l.realtime.rested(l.asleep, now)
	}
}

// whyLate says why time has passed since the deadline: the thread did not run, or it was busy. queued is how long it has
// recently waited for a processor, if this is known.
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

// processorPause is the interval between two readings of schedstat. Waiting before that does not explain a delay.
const processorPause = time.Second

// A processor reads the kernel's account of how long a thread waited for a processor.
type processor struct {
	fd       int // of the thread's schedstat, -1 where the kernel keeps none
	lastRead time.Time
	before   time.Duration // waiting for a processor, at lastRead
	text     [64]byte
}

// open opens the account of the calling thread.
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

// sample reads the account once in processorPause.
func (p *processor) sample(now time.Time) {
	if now.Sub(p.lastRead) >= processorPause {
		p.lastRead = now
		p.before, _ = p.read()
	}
}

// queued returns how long the thread has waited for a processor since the last sample.
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
