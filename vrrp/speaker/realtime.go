// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/vrrp"
)

// RealtimePriority is that of a realtime loop's thread under SCHED_RR, of 99: above everything ordinary, below the
// kernel's own threads.
const RealtimePriority = 10

const (
	// realtimeLimit is how much processor time a realtime thread may use without a rest before it is made an ordinary
	// one. A turn of a loop with 200 routers takes some milliseconds.
	realtimeLimit = 200 * time.Millisecond
	// realtimeEnd is when the kernel ends the process, should even that not be possible any more.
	realtimeEnd = 2 * time.Second
	// guardPause is how often the thread is looked at.
	guardPause = 100 * time.Millisecond
	// realtimePause is how long a thread that ran too long stays an ordinary one.
	realtimePause = 10 * time.Second
	// restTime is what counts as a rest: a wait that returns at once is none.
	restTime = 50 * time.Microsecond
)

// A realtime keeps a loop's thread from waiting for a processor, and it from keeping one.
type realtime struct {
	tid    int
	flags  uint64          // of the scheduling
	former *unix.SchedAttr // what an ordinary thread is; nil: realtime scheduling was refused
	rest   atomic.Int64    // when the thread last rested, in nanoseconds since 1970
	again  atomic.Int64    // when a thread that was made ordinary may be realtime again; 0: it is
	lacks  atomic.Pointer[[]string]
}

// enterRealtime makes the calling thread, which must be locked, a realtime one if that was asked for, and returns what
// undoes it. What is refused becomes a warning.
func (l *Loop) enterRealtime() (ordinary func() error) {
	rt := l.realtime
	if rt == nil {
		return func() error { return nil }
	}
	var lacks []string
	lack := func(words string, err error) {
		l.notes.add(hclog.Warn, words, "interface", l.iface, "error", err)
		lacks = append(lacks, fmt.Sprintf("%s: %v", words, err))
	}
	if err := process.enter(); err != nil {
		lack("memory is not locked; allow CAP_IPC_LOCK, or set realtime = false", err)
	}
	rt.tid = unix.Gettid()
	rt.rest.Store(time.Now().UnixNano())
	former, err := unix.SchedGetAttr(rt.tid, 0)
	if err == nil {
		// The threads that the Go runtime starts from this one are none of ours, unless all are realtime ones.
		rt.flags = unix.SCHED_FLAG_RESET_ON_FORK
		if former.Policy == unix.SCHED_RR {
			rt.flags, former = 0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_NORMAL}
		}
		rt.former, err = former, rt.promote()
	}
	if err != nil {
		rt.former = nil
		lack("no realtime scheduling; allow CAP_SYS_NICE, or set realtime = false", err)
	}
	rt.lacks.Store(&lacks)
	stop := func() {}
	if rt.former != nil {
		stop = l.guard()
	}
	return func() error {
		stop()
		return errors.Join(rt.demote(), process.leave())
	}
}

func (rt *realtime) promote() error {
	err := unix.SchedSetAttr(rt.tid, &unix.SchedAttr{
		Size: unix.SizeofSchedAttr, Policy: unix.SCHED_RR, Priority: RealtimePriority, Flags: rt.flags,
	}, 0)
	if err != nil {
		return fmt.Errorf("set SCHED_RR: %w", err)
	}
	return nil
}

// demote makes the thread an ordinary one.
func (rt *realtime) demote() error {
	if rt.former == nil {
		return nil
	}
	if err := unix.SchedSetAttr(rt.tid, rt.former, 0); err != nil {
		return fmt.Errorf("end the realtime scheduling of the VRRP thread: %w", err)
	}
	return nil
}

// rested notes that the thread waited; it is realtime again if it was not and its pause is over.
func (rt *realtime) rested(from, to time.Time) {
	if to.Sub(from) < restTime {
		return
	}
	now := to.UnixNano()
	rt.rest.Store(now)
	if again := rt.again.Load(); again != 0 && now >= again && rt.former != nil && rt.promote() == nil {
		rt.again.Store(0)
	}
}

// guard looks after the thread, which is made an ordinary one when it does not rest. RLIMIT_RTTIME alone would not
// see that: the Go scheduler suspends each of its threads for some microseconds now and then, whatever it does.
func (l *Loop) guard() (stop func()) {
	rt, done := l.realtime, make(chan struct{})
	var guard sync.WaitGroup
	guard.Go(func() {
		tick := time.NewTicker(guardPause)
		defer tick.Stop()
		rest, used := int64(0), time.Duration(0)
		for {
			select {
			case <-done:
				return
			case <-tick.C:
			}
			now := rt.used()
			if last := rt.rest.Load(); last != rest {
				rest, used = last, now
			}
			if now-used < realtimeLimit || rt.again.Load() != 0 {
				continue
			}
			rt.again.Store(time.Now().Add(realtimePause).UnixNano())
			l.notes.add(hclog.Warn, "the VRRP thread ran for too long: no realtime scheduling for a while",
				"interface", l.iface, "limit", realtimeLimit, "pause", realtimePause)
			if err := rt.demote(); err != nil {
				l.notes.add(hclog.Error, "realtime scheduling could not be ended", "interface", l.iface, "error", err)
			}
		}
	})
	return func() {
		close(done)
		guard.Wait()
	}
}

// used returns the processor time that the thread has used so far.
func (rt *realtime) used() time.Duration {
	// The clock of a thread, as the kernel numbers it (pthread_getcpuclockid).
	const perThread, scheduler = 4, 2
	var t unix.Timespec
	if unix.ClockGettime(int32(^rt.tid<<3|perThread|scheduler), &t) != nil {
		return 0
	}
	return time.Duration(t.Nano())
}

// complete adds to a status what the loop lacks.
func (l *Loop) complete(s vrrp.Status) vrrp.Status {
	if l.realtime == nil {
		return s
	}
	if lacks := l.realtime.lacks.Load(); lacks != nil && len(*lacks) > 0 {
		s.Warnings = slices.Concat(*lacks, s.Warnings)
	}
	return s
}

// process is what realtime loops change of the process that they share: the kernel has it once.
var process processLimits

type processLimits struct {
	mu     sync.Mutex
	loops  int
	former unix.Rlimit
}

// enter locks the memory of the process and limits its realtime threads, for the first of several loops.
func (p *processLimits) enter() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.loops++; p.loops > 1 {
		return nil
	}
	if err := unix.Getrlimit(unix.RLIMIT_RTTIME, &p.former); err != nil {
		return fmt.Errorf("get RLIMIT_RTTIME: %w", err)
	}
	// Pages are locked as they come into use: Go reserves far more than it uses.
	err := unix.Mlockall(unix.MCL_CURRENT | unix.MCL_FUTURE | unix.MCL_ONFAULT)
	if err != nil {
		err = fmt.Errorf("lock memory: %w", err)
	}
	return errors.Join(err, p.limit())
}

// limit is the kernel's own, beyond which it kills.
func (p *processLimits) limit() error {
	most := min(uint64(realtimeEnd.Microseconds()), p.former.Max)
	if err := unix.Setrlimit(unix.RLIMIT_RTTIME, &unix.Rlimit{Cur: most, Max: most}); err != nil {
		return fmt.Errorf("set RLIMIT_RTTIME: %w", err)
	}
	return nil
}

// leave undoes enter, for the last. Without CAP_SYS_RESOURCE the limit stays, which concerns no ordinary thread.
func (p *processLimits) leave() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.loops--; p.loops > 0 {
		return nil
	}
	var err error
	if e := unix.Munlockall(); e != nil {
		err = fmt.Errorf("unlock memory: %w", e)
	}
	if e := unix.Setrlimit(unix.RLIMIT_RTTIME, &p.former); e != nil && !errors.Is(e, unix.EPERM) {
		err = errors.Join(err, fmt.Errorf("restore RLIMIT_RTTIME: %w", e))
	}
	return err
}
