// SPDX-License-Identifier: Apache-2.0

package ask

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/prober"
)

// A Probe is what to ask, and how.
type Probe struct {
	Target
	prober.Options
	Flows     int               // long-lived connections that exchange data
	FlowEvery time.Duration     // how often each flow asks
	Show      func(prober.Live) // shows how the probe is going, on a goroutine of its own; nil: nobody looks
	ShowEvery time.Duration     // how often
}

// An asker is a probe under way. One goroutine has all of it, except for the inbox.
type asker struct {
	Probe
	ctx     context.Context
	began   time.Time
	cpu     time.Duration // processor time of the thread when it began
	base    int64         // CLOCK_MONOTONIC when it began, in nanoseconds
	ledger  *prober.Ledger
	flows   *prober.Flows
	request []byte

	epoll, timer int
	armed        time.Duration // what the timer is set to
	events       [256]unix.EpollEvent
	sockets      map[int32]*attempt // by file descriptor
	numbers      map[int]*attempt   // by question
	buf          []byte
	reader       *bufio.Reader
	live         chan prober.Live

	workers sync.WaitGroup
	inbox   inbox
}

// An inbox has what other goroutines want the asker to do.
type inbox struct {
	waker int // an eventfd
	mu    sync.Mutex
	all   []func()
}

// post puts a function into the inbox.
func (in *inbox) post(f func()) {
	in.mu.Lock()
	in.all = append(in.all, f)
	first := len(in.all) == 1
	in.mu.Unlock()
	if first {
		_, _ = unix.Write(in.waker, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	}
}

// take empties the inbox.
func (in *inbox) take() []func() {
	in.mu.Lock()
	defer in.mu.Unlock()
	all := in.all
	in.all = nil
	return all
}

// Run asks until all questions are answered or have failed, or until ctx is done. The error says why it could not ask at all.
func Run(ctx context.Context, p Probe) (prober.Report, error) {
	if err := p.room(); err != nil {
		return prober.Report{}, err
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0) // the default of 50 µs is much at an interval of 1 ms
	ctx, cancel := context.WithCancel(ctx)
	a := &asker{
		Probe: p, ctx: ctx, flows: prober.NewFlows(p.Flows, p.Slow), request: p.request(false), epoll: -1, timer: -1, armed: -1,
		sockets: make(map[int32]*attempt), numbers: make(map[int]*attempt), buf: make([]byte, maxAnswer), reader: bufio.NewReader(nil),
		inbox: inbox{waker: -1},
	}
	defer a.close()
	defer cancel()
	if err := a.open(); err != nil {
		return prober.Report{}, err
	}
	return a.run()
}

// room checks that this process may have as many sockets as can be open at the same time.
func (p *Probe) room() error {
	need := uint64(p.Timeout/p.Every) + uint64(p.Flows) + 32
	if p.For > 0 {
		need = min(need, uint64(p.For/p.Every)+uint64(p.Flows)+32)
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("failed to read the limit of open files: %w", err)
	}
	if need > limit.Cur {
		return fmt.Errorf("this probe can have %d sockets open at a time, but the limit of open files is %d: "+
			"raise it (ulimit -n), or use a longer --every or a shorter --timeout", need, limit.Cur)
	}
	return nil
}

// open makes the descriptors, and begins the time.
func (a *asker) open() (err error) {
	if a.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return os.NewSyscallError("epoll_create1", err)
	}
	if a.timer, err = unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK); err != nil {
		return os.NewSyscallError("timerfd_create", err)
	}
	if a.inbox.waker, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return os.NewSyscallError("eventfd", err)
	}
	for _, fd := range []int{a.timer, a.inbox.waker} {
		event := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET, Fd: int32(fd)}
		if err := unix.EpollCtl(a.epoll, unix.EPOLL_CTL_ADD, fd, &event); err != nil {
			return os.NewSyscallError("epoll_ctl", err)
		}
	}
	var now unix.Timespec
	a.began = time.Now()
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return os.NewSyscallError("clock_gettime", err)
	}
	a.base = now.Nano()
	a.ledger, a.cpu = prober.New(a.Options), threadCPU()
	return nil
}

// threadCPU returns the processor time of this thread, in the kernel too.
func threadCPU() time.Duration {
	var used unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_THREAD, &used); err != nil {
		return 0
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// close closes everything, and waits for the goroutines.
func (a *asker) close() {
	for _, one := range a.numbers {
		a.drop(one)
	}
	a.workers.Wait()
	for _, fd := range []int{a.epoll, a.timer, a.inbox.waker} {
		if fd >= 0 {
			_ = unix.Close(fd)
		}
	}
}

// now returns the time since the probe began.
func (a *asker) now() time.Duration { return time.Since(a.began) }

// run runs the loop, with everything that belongs to it.
func (a *asker) run() (prober.Report, error) {
	a.workers.Go(func() {
		<-a.ctx.Done()
		a.inbox.post(func() {}) // wakes the loop
	})
	if a.Show != nil {
		a.live = make(chan prober.Live, 1)
		shown := make(chan struct{})
		go func() {
			defer close(shown)
			for v := range a.live {
				a.Show(v)
			}
		}()
		defer func() {
			close(a.live)
			<-shown
		}()
	}
	for i := range a.Flows {
		a.workers.Go(func() { a.keepFlow(i) })
	}
	err := a.loop()
	a.empty()
	now := a.now()
	a.ledger.Abandon(now) // none is open, unless the user has ended the probe
	r := a.ledger.Report()
	r.Prober.CPU = prober.Seconds(threadCPU() - a.cpu)
	r.Target, r.Began = a.Target.String(), a.began
	if a.Flows > 0 {
		r.Flows = a.flows.Report(now)
	}
	return r, err
}

// loop asks, and follows the questions.
func (a *asker) loop() error {
	var show time.Duration
	for !a.ledger.Done() && a.ctx.Err() == nil {
		now := a.sendDue()
		for _, n := range a.ledger.Expire(now) {
			if one := a.numbers[n]; one != nil {
				a.drop(one)
			}
		}
		if a.live != nil && now >= show {
			a.show(now)
			show = now + a.ShowEvery
		}
		if err := a.wakeAt(show); err != nil {
			return err
		}
		n, err := a.wait(now)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return os.NewSyscallError("epoll_wait", err)
		}
		for i := range max(n, 0) {
			a.handle(a.events[i])
			a.sendDue() // many answers at once must not delay a question
		}
	}
	return nil
}

// handle handles an event of one descriptor.
func (a *asker) handle(event unix.EpollEvent) {
	if int(event.Fd) == a.inbox.waker {
		var count [8]byte
		_, _ = unix.Read(a.inbox.waker, count[:])
		a.empty()
		return
	}
	// The number tells a socket from an earlier one with the same descriptor, of which there may be an event left.
	if one := a.sockets[event.Fd]; one != nil && event.Pad == int32(one.n) {
		a.advance(one, event.Events)
	}
}

// empty does what the inbox has.
func (a *asker) empty() {
	for _, f := range a.inbox.take() {
		f()
	}
}

// sendDue sends the question that is due, if one is, and returns the time.
func (a *asker) sendDue() time.Duration {
	now := a.now()
	n, ok := a.ledger.Take(now)
	switch {
	case !ok:
	case a.Protocol == HTTPS:
		a.workers.Go(func() { a.askOnce(n) })
	default:
		a.begin(n)
	}
	return now
}

// show passes the present state on. If the last one has not been taken, it is replaced: a slow terminal delays no question.
func (a *asker) show(now time.Duration) {
	select {
	case <-a.live:
	default:
	}
	v := a.ledger.Live(now)
	v.Flows, v.Talked = a.flows.Talked()
	a.live <- v
}

// wakeAt sets the timer to the next question or timeout, and to show at the latest, if somebody looks.
func (a *asker) wakeAt(show time.Duration) error {
	at, ok := a.ledger.Next()
	if deadline, waits := a.ledger.Deadline(); waits && (!ok || deadline < at) {
		at, ok = deadline, true
	}
	if a.live != nil && (!ok || show < at) {
		at, ok = show, true
	}
	if !ok {
		return nil
	}
	if at == a.armed {
		return nil
	}
	a.armed = at
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(a.base + max(int64(at), 1))}
	return os.NewSyscallError("timerfd_settime", unix.TimerfdSettime(a.timer, unix.TFD_TIMER_ABSTIME, &spec, nil))
}
