// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/vrrp"
)

const (
	drainBatch   = 64   // packets read in one turn before timers are looked at
	drainBacklog = 8192 // packets read before a timer that what was sent meanwhile may have overtaken
	reopenPause  = time.Second
	timerSlack   = 50 * time.Microsecond // the kernel's usual one, whatever the process was started with
)

// LoopOptions are the surroundings of a Loop.
type Options struct {
	// Realtime locks the memory of the process and gives the loop's thread realtime scheduling. Where that is refused,
	// the loop runs without and says so among the Warnings. On a busy machine the process should be started under
	// SCHED_RR as a whole: the thread waits for locks of the Go runtime that others hold. GOMAXPROCS should exceed the
	// number of processors: else the thread waits for the Go scheduler instead of the kernel's.
	Realtime bool
	// Log gets transitions, and drops once per sender, reason and minute. Default: none.
	Log hclog.Logger
	// Notify is told a router's status when anything but its counters has changed, and at first. It is called on the
	// loop's thread and must not block. The last one of a router that was removed has it in Initialize and not
	// holding.
	Notify func(vrrp.Status)
}

// A Loop runs the virtual routers of one interface on one thread, which does nothing else: nothing may delay an
// advertisement. It blocks in the kernel with the next deadline rather than on a Go timer, takes no lock and, while
// nothing changes, allocates nothing.
type Loop struct {
	iface  string
	log    hclog.Logger
	notify func(vrrp.Status)

	wanted    atomic.Pointer[desired]   // what the owner asked for
	published atomic.Pointer[[]*router] // for Status
	stray     dropCounters              // packets that are no router's

	mu    sync.Mutex // of the owner's side; the loop's thread takes it only to begin and to end
	event int        // eventfd that wakes the thread, -1 outside Run

	// All below belongs to the loop's thread.
	applied     *desired
	routers     []*router
	byVRID      [2][256]*router // by familyIndex
	timers      routerHeap
	conn        *conn
	reopen      time.Time // when to try a socket again that could not be opened
	warningsEnd time.Time // when the next warning may end, the zero time if there is none
	usable      bool      // the link is
	started     bool      // the link was known once
	ended       bool      // a router has gone; its name and VRID are free
	heard       bool      // the last turn read packets, and all there were
	packet      vrrp.Packet
	out         []byte
	own         []netip.Addr // the IPv4 addresses that we send from
	fds         [1 + sockets]unix.PollFd
	timeout     unix.Timespec
	notes       ratelog

	realtime  *realtime // nil: not asked for
	asleep    time.Time // when the thread began to wait
	awake     time.Time // when it last ended to
	processor processor
}

// NewLoop returns a loop for the named interface, with no routers and no link.
func New(iface string, o Options) *Loop {
	l := &Loop{iface: iface, log: o.Log, event: -1, processor: processor{fd: -1}, out: make([]byte, 0, maxPacket)}
	if l.log == nil {
		l.log = hclog.NewNullLogger()
	}
	l.notify = func(s vrrp.Status) {
		if o.Notify != nil {
			o.Notify(l.complete(s))
		}
	}
	if o.Realtime {
		l.realtime = &realtime{}
	}
	l.wanted.Store(&desired{})
	l.published.Store(&[]*router{})
	l.notes.init(l.log)
	return l
}

// Run elects until Shutdown has finished, or until ctx ends, which is abrupt: nobody is told and nothing let go. It
// keeps its thread, in whose network namespace the interface is, to itself. The error is that the
// raw socket is not allowed (unix.EPERM) or that the thread cannot be woken. A loop runs once.
func (l *Loop) Run(ctx context.Context) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := probe(); err != nil {
		return err
	}
	event, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		return fmt.Errorf("make eventfd of the VRRP loop of %s: %w", l.iface, err)
	}
	l.setEvent(event)
	l.processor.open()
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(timerSlack), 0, 0, 0); err != nil {
		l.notes.add(hclog.Warn, "the timers of the VRRP thread may be late", "interface", l.iface, "error", err)
	}
	ordinary := l.enterRealtime()
	woken := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(woken)
		l.wake()
	})
	var logging sync.WaitGroup
	logging.Go(l.notes.run)

	err = errors.Join(l.run(ctx), ordinary(), l.processor.close())

	if !stop() {
		<-woken
	}
	l.setEvent(-1)
	l.notes.close()
	logging.Wait()
	return errors.Join(err, unix.Close(event), l.disconnect())
}

// probe asks at once for the privilege that the socket will need, not when the link comes up.
func probe() error {
	fd, err := openSocket(unix.AF_INET, unix.SOCK_RAW, vrrp.Protocol)
	if err != nil {
		return err
	}
	return unix.Close(fd)
}

func (l *Loop) run(ctx context.Context) error {
	for {
		if ctx.Err() != nil {
			return nil
		}
		l.sweep()
		if l.wanted.Load().abandon {
			return nil
		}
		if err := l.apply(time.Now()); err != nil {
			return err
		}
		l.fire()
		l.endWarnings(time.Now())
		if l.ended {
			continue
		}
		if l.applied.shutdown && len(l.routers) == 0 {
			return nil
		}
		l.processor.look(l.turn(time.Now()))
		if err := l.wait(); err != nil {
			return err
		}
		l.woke(time.Now())
		l.heard = l.drain(drainBatch)
	}
}

// wait blocks until a packet, a wake-up or the next deadline. A packet that comes right behind others waits for the rest
// of its burst: two hundred routers' advertisements are not two hundred wake-ups.
func (l *Loop) wait() error {
	next := l.next()
	if l.heard {
		if err := l.poll(l.fds[:1], sooner(next, l.awake.Add(l.lull()))); err != nil {
			return err
		}
		if l.fds[0].Revents != 0 || !next.IsZero() && !time.Now().Before(next) {
			return l.answer()
		}
	}
	fds := l.fds[:1]
	if l.conn != nil {
		fds = l.fds[:]
		for i := range l.conn.all {
			fds[1+i] = unix.PollFd{Fd: int32(l.conn.all[i].fd), Events: unix.POLLIN} // one that is closed is passed over
		}
	}
	if err := l.poll(fds, next); err != nil {
		return err
	}
	for i, f := range fds[1:] {
		l.conn.all[i].ready = f.Revents != 0
	}
	return l.answer()
}

// lull is for how long a burst gathers.
func (l *Loop) lull() time.Duration {
	least := maxEarly
	for _, r := range l.routers {
		least = min(least, r.Config.AdvertInterval/100)
	}
	return least
}

// poll waits for descriptors, the first of which is that of wake-ups, until a time; the zero time is for ever.
func (l *Loop) poll(fds []unix.PollFd, until time.Time) error {
	fds[0] = unix.PollFd{Fd: int32(l.event), Events: unix.POLLIN}
	var timeout *unix.Timespec
	if !until.IsZero() {
		l.timeout = unix.NsecToTimespec(int64(max(0, time.Until(until))))
		timeout = &l.timeout
	}
	if _, err := unix.Ppoll(fds, timeout, nil); err != nil && err != unix.EINTR {
		return fmt.Errorf("wait on the VRRP socket of %s: %w", l.iface, err)
	}
	return nil
}

// answer takes notice of a wake-up.
func (l *Loop) answer() error {
	if l.fds[0].Revents != 0 {
		var count [8]byte
		if _, err := unix.Read(l.event, count[:]); err != nil && err != unix.EAGAIN && err != unix.EINTR {
			return fmt.Errorf("read eventfd of the VRRP loop of %s: %w", l.iface, err)
		}
	}
	return nil
}

// next returns when the loop has something to do by itself, the zero time if never.
func (l *Loop) next() time.Time {
	next := sooner(l.reopen, l.warningsEnd)
	if len(l.timers) > 0 {
		next = sooner(next, l.timers[0].due)
	}
	return next
}

// sooner returns the earlier of two times, the zero time standing for never.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// latest returns the later of two times.
func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// fire acts on the deadlines that have passed, and on those of advertisements that are so near that a wake-up of their
// own is not worth it. These count as met when they were due: the phases of the routers stay apart.
func (l *Loop) fire() {
	for len(l.timers) > 0 {
		r, now := l.timers[0], time.Now()
		if r.due.IsZero() || now.Before(r.due.Add(-r.early())) {
			return
		}
		if overtaken(r, now) {
			// What arrived while this thread slept speaks first; it may take the deadline back.
			l.drainAll()
		}
		if r.due.IsZero() || now.Before(r.due.Add(-r.early())) {
			continue
		}
		l.clock(r, now)
		l.step(r, now, vrrp.Event{Kind: vrrp.EventTimer})
	}
}

// overtaken reports whether a packet that has not been read yet may make the deadline of r void: always, when it
// stands for somebody's silence; for a master with nothing to offer, when it is so late that a backup may have taken over.
func overtaken(r *router, now time.Time) bool {
	return !r.advertises() || now.Sub(r.due) > r.Config.AdvertInterval
}

// step moves one router and does what its machine wants.
func (l *Loop) step(r *router, now time.Time, ev vrrp.Event) {
	at := now
	if ev.Kind == vrrp.EventTimer {
		at = latest(now, r.due) // where it is early
	}
	for _, a := range r.Machine.Step(at, ev) {
		switch a.Kind {
		case vrrp.ActionAdvertise:
			l.send(r, now, a.Priority)
			r.gap(now, a.Priority)
		case vrrp.ActionTransition:
			if a.To != vrrp.Master {
				r.lastAdvert = time.Time{}
			}
			if a.To == vrrp.Master {
				r.counters.becameMaster.Add(1)
			}
			l.notes.add(hclog.Info, "virtual router is "+a.To.String(),
				"router", r.Config.Name, "vrid", r.Config.VRID, "was", a.From.String(), "reason", a.Cause.String())
		case vrrp.ActionRemark:
			l.notes.add(hclog.Info, "virtual router stays "+a.To.String(),
				"router", r.Config.Name, "vrid", r.Config.VRID, "handing-over", r.Machine.HandingOver(), "reason", a.Cause.String())
		case vrrp.ActionRelease:
			l.notes.add(hclog.Info, "virtual router let go of its addresses", "router", r.Config.Name, "vrid", r.Config.VRID, "reason", a.Cause.String())
		}
	}
	if due := r.Machine.Deadline(); due != r.due {
		r.due = due
		heap.Fix(&l.timers, r.slot)
	}
	l.tell(r)
	if r.gone() {
		l.ended = true
	}
}

// Status returns the status of every router by name, with the counters as they are now. It may be called from any
// goroutine at any time and does not touch the loop's thread.
func (l *Loop) Status() []vrrp.Status {
	routers := *l.published.Load()
	all := make([]vrrp.Status, 0, len(routers))
	for _, r := range routers {
		s := l.complete(*r.status.Load())
		s.Counters = r.counters.snapshot()
		all = append(all, s)
	}
	slices.SortStableFunc(all, func(a, b vrrp.Status) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// Stray counts the packets that were discarded on this interface and belong to none of its routers. The sockets' filters
// keep nearly all of these from the loop, and nobody counts those.
func (l *Loop) Stray() vrrp.Drops { return l.stray.snapshot() }
