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
	drainBatch   = 64   // packets that are read from a socket before the timers are handled
	drainBacklog = 8192 // packets that are read before a timer that they may make void
	reopenPause  = time.Second
	timerSlack   = 50 * time.Microsecond // the kernel's usual one, whatever the process was started with
)

// Options are what a Loop needs besides the name of its interface.
type Options struct {
	// Realtime locks the memory of the process and gives the loop's thread realtime scheduling. If that is refused, the
	// loop runs without it, and the Warnings say so. On a busy machine, start the whole process under SCHED_RR: the thread
	// waits for locks of the Go runtime that other threads hold. GOMAXPROCS should exceed the number of processors, else
	// the thread waits for the Go scheduler instead of the kernel's.
	Realtime bool
	// Log gets transitions. It also gets drops, once per sender, reason and minute. Default: none.
	Log hclog.Logger
	// Notify gets a router's first status, and each later one that differs in more than the counters. It is called on the
	// loop's thread and must not block. The last status of a removed router is Initialize, not holding.
	Notify func(vrrp.Status)
	// Spoke returns where to note when the named router last advertised as master: a moment in nanoseconds of CLOCK_BOOTTIME, or
	// NotMaster. It may return nil. Default: nowhere.
	Spoke func(router string) *atomic.Int64
	// Pulse is called when the loop's thread has done what was due, and at the latest after the pause that it returned. It
	// must not block. Default: none.
	Pulse func() time.Duration
}

// NotMaster is noted by Options.Spoke for a router that is not master, or that has offered its place.
const NotMaster = -1

// A Loop runs the virtual routers of one interface on one thread, which does nothing else: nothing may delay an
// advertisement. It waits in the kernel until the next deadline, not on a Go timer. It takes no lock. While nothing changes,
// it allocates no memory.
type Loop struct {
	iface  string
	log    *ratelog
	notify func(vrrp.Status)
	spoke  func(string) *atomic.Int64
	pulse  func() time.Duration // nil: none

	desired   atomic.Pointer[desired]           // what the owner asked for
	published atomic.Pointer[[]*router]         // for Status
	gone      atomic.Pointer[[]RouterSequences] // of routers that have left
	due       atomic.Int64                      // when the thread must run again at the latest, see sinceStart; 0: it waits for others
	stray     dropCounters                      // packets that belong to no router

	mu    sync.Mutex // of the owner's side; the loop's thread takes it only when it begins and ends
	event int        // eventfd that wakes the thread, -1 outside Run

	// All fields below belong to the loop's thread.
	applied      *desired
	routers      []*router
	byVRID       [2][256]*router // by familyIndex
	timers       routerHeap
	conn         *conn
	carriers     []*carrier // of the heartbeats
	reopen       time.Time  // when to retry a socket that could not be opened
	carrierDue   time.Time  // when a change of the interface may count; the zero time: never
	diagnosisDue time.Time  // when a warning may end or another master must be reported; the zero time: never
	pulseDue     time.Time  // when to call pulse at the latest; the zero time: never
	usable       bool       // the link carries packets
	up           bool       // the link is up, maybe without a carrier
	started      bool       // a link was known before
	ended        bool       // a router has left; its name and VRID are free
	heard        bool       // the last turn read packets and left none in the socket
	packet       vrrp.Packet
	out          []byte
	own          []netip.Addr // the IPv4 addresses that we send from
	fds          []unix.PollFd
	timeout      timeout

	suspension func() time.Duration // the function of that name; a test replaces it
	suspended  time.Duration        // how long the machine has been suspended since the start of the process
	realtime   *realtime            // nil: not requested
	asleep     time.Time            // when the thread began to wait
	awake      time.Time            // when it last ended its wait
	processor  processor
}

// New returns a loop for the named interface, with no routers and no link.
func New(iface string, o Options) *Loop {
	l := &Loop{iface: iface, event: -1, processor: processor{fd: -1}, out: make([]byte, 0, maxPacket), fds: make([]unix.PollFd, 1+sockets), suspension: suspension, pulse: o.Pulse, spoke: o.Spoke}
	if o.Log == nil {
		o.Log = hclog.NewNullLogger()
	}
	l.log = newRatelog(o.Log)
	l.notify = func(s vrrp.Status) {
		if o.Notify != nil {
			o.Notify(l.complete(s))
		}
	}
	if o.Realtime {
		l.realtime = &realtime{}
	}
	l.desired.Store(&desired{})
	l.published.Store(&[]*router{})
	l.gone.Store(&[]RouterSequences{})
	return l
}

// Run runs the election until Shutdown has finished. When ctx ends, Run ends at once: peers get no message, and the VIPs
// stay. Run does not share its thread, and the interface is in that thread's network namespace. The error is that the raw
// socket is not allowed (unix.EPERM) or that the thread cannot be woken. A loop runs once.
func (l *Loop) Run(ctx context.Context) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	l.timeout.open()
	defer l.timeout.close()
	if err := probe(); err != nil {
		return err
	}
	event, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		return fmt.Errorf("failed to make the eventfd of the VRRP loop of %s: %w", l.iface, err)
	}
	l.setEvent(event)
	l.processor.open()
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(timerSlack), 0, 0, 0); err != nil {
		l.log.write(hclog.Warn, "failed to set the timer slack of the VRRP thread: its timers may be late",
			"interface", l.iface, "error", err)
	}
	ordinary := l.enterRealtime()
	woken := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(woken)
		l.wake()
	})
	var logging sync.WaitGroup
	logging.Go(l.log.run)

	l.expect(l.now())
	err = errors.Join(l.run(ctx), ordinary(), l.processor.close())
	l.expect(time.Time{})
	for _, r := range l.routers {
		if r.Config.HMAC.On() {
			r.storeSequences(l.now())
		}
	}

	if !stop() {
		<-woken
	}
	l.setEvent(-1)
	l.log.close()
	logging.Wait()
	return errors.Join(err, unix.Close(event), l.disconnect(), l.closePaths())
}

// probe fails at once, not when the link comes up, if the process lacks the privilege for the socket.
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
		if l.desired.Load().abandon {
			return nil
		}
		if err := l.apply(l.now()); err != nil {
			return err
		}
		l.fire()
		l.advanceDiagnosis(l.now())
		if l.ended {
			continue
		}
		if l.applied.shutdown && len(l.routers) == 0 {
			return nil
		}
		if l.pulse != nil {
			l.pulseDue = l.now().Add(l.pulse())
		}
		l.processor.sample(l.fallAsleep(l.now()))
		l.expect(l.next())
		if err := l.wait(); err != nil {
			return err
		}
		l.expect(l.now())
		l.noteSuspension()
		l.awaken(l.now())
		l.heard = l.drain(drainBatch)
	}
}

// fire handles the deadlines that have passed. It also handles deadlines of advertisements that are too near for a wake-up of
// their own. For these the machine sees their due time, so that the phases of the routers stay apart.
func (l *Loop) fire() {
	for len(l.timers) > 0 {
		r, now := l.timers[0], l.now()
		if r.due.IsZero() || now.Before(r.due.Add(-r.early())) {
			return
		}
		if l.doubt(r, now) {
			continue
		}
		if overtaken(r, now) {
			// Packets that arrived while this thread slept come first: they may move the deadline.
			l.drainAll()
		}
		if r.due.IsZero() || now.Before(r.due.Add(-r.early())) {
			continue
		}
		l.measureLateness(r, now)
		l.step(r, now, vrrp.Event{Kind: vrrp.EventTimer})
	}
}

// overtaken reports whether an unread packet may make the deadline of r void. This is always possible if the deadline means
// that a peer is silent. For a master that does not hand over, it is possible if the deadline is so late that a backup may
// have taken over.
func overtaken(r *router, now time.Time) bool {
	return !r.advertises() || now.Sub(r.due) > r.Config.AdvertInterval
}

// step passes an event to one router and carries out the actions of its machine.
func (l *Loop) step(r *router, now time.Time, ev vrrp.Event) {
	at := now
	if ev.Kind == vrrp.EventTimer {
		at = latest(now, r.due) // it may be early
	}
	for _, a := range r.Machine.Step(at, ev) {
		switch a.Kind {
		case vrrp.ActionAdvertise:
			sent := l.send(r, now, a.Priority)
			r.measureTakeover(now)
			r.measureGap(now, a.Priority)
			if sent {
				r.noteSpoke(a.Priority)
			}
		case vrrp.ActionTransition:
			if a.To != vrrp.Master {
				r.lastAdvert = time.Time{}
				r.spoke.Store(NotMaster)
			}
			switch a.To {
			case vrrp.Master:
				r.counters.becameMaster.Add(1)
			case vrrp.Initialize, vrrp.Fault:
				r.lastHeard = time.Time{}
			}
			l.log.write(hclog.Info, "virtual router is "+a.To.String(),
				"router", r.Config.Name, "vrid", r.Config.VRID, "was", a.From.String(), "reason", a.Cause.String())
		case vrrp.ActionRemark:
			l.log.write(hclog.Info, "virtual router stays "+a.To.String(),
				"router", r.Config.Name, "vrid", r.Config.VRID, "handing-over", r.Machine.HandingOver(), "reason", a.Cause.String())
		case vrrp.ActionRelease:
			l.log.write(hclog.Info, "virtual router gave up its addresses",
				"router", r.Config.Name, "vrid", r.Config.VRID, "reason", a.Cause.String())
		}
	}
	l.schedule(r)
	l.tell(r)
	if r.gone() {
		l.ended = true
	}
}

// schedule sets the time at which a router has something to do: to act on its deadline or, before that, to doubt its master.
func (l *Loop) schedule(r *router) {
	due := r.Machine.Deadline()
	if ask := r.Machine.AskTime(); ask != r.asked {
		due = sooner(due, ask)
	}
	if due != r.due {
		r.due = due
		heap.Fix(&l.timers, r.slot)
	}
}

// doubt notes that a backup doubts that its master lives, if that is what r is due for. Unread packets come first.
func (l *Loop) doubt(r *router, now time.Time) bool {
	if ask := r.Machine.AskTime(); ask.IsZero() || ask == r.asked || ask != r.due {
		return false
	}
	due := r.due
	l.drainAll()
	if r.due == due {
		r.asked, r.doubted = due, now
		l.schedule(r)
		l.tell(r)
	}
	return true
}

// Status returns the status of every router by name, with the present counters. Any goroutine may call it at any time. It
// does not touch the loop's thread.
func (l *Loop) Status() []vrrp.Status {
	routers := *l.published.Load()
	all := make([]vrrp.Status, 0, len(routers))
	for _, r := range routers {
		s := l.complete(*r.status.Load())
		s.Counters = r.counters.snapshot()
		r.countPaths(&s)
		s.Refusals = r.refusals.snapshot(s.Counters.Drops)
		all = append(all, s)
	}
	slices.SortStableFunc(all, func(a, b vrrp.Status) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// Stray counts the packets that were discarded on this interface and belong to none of its routers. The socket filters
// discard nearly all such packets earlier, and these are not counted.
func (l *Loop) Stray() vrrp.Drops { return l.stray.snapshot() }
