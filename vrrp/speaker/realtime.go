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

// RealtimePriority is the SCHED_RR priority of a realtime loop's thread, 1 to 99: above all ordinary threads, below the
// kernel's own.
const RealtimePriority = 10

const (
	// realtimeLimit is how much processor time a realtime thread may use without a rest. After that it loses realtime
	// priority. One turn of a loop with 200 routers takes a few milliseconds.
	realtimeLimit = 200 * time.Millisecond
	// realtimeEnd is how much it may use before the kernel ends the process. It applies if losing realtime priority has
	// failed.
	realtimeEnd = 2 * time.Second
	// guardPause is the interval between two checks of the thread.
	guardPause = 100 * time.Millisecond
	// realtimePause is how long such a thread stays without realtime priority.
	realtimePause = 10 * time.Second
	// restTime is the shortest wait that counts as a rest.
	restTime = 50 * time.Microsecond
)

// A realtime gives the loop's thread realtime priority, and bounds how long it may run.
type realtime struct {
	tid    int
	flags  uint64                   // of the scheduling
	former *unix.SchedAttr          // the ordinary scheduling; nil: realtime scheduling was refused
	rest   atomic.Int64             // when the thread last rested, see sinceStart
	again  atomic.Int64             // when the thread may be realtime again, see sinceStart; 0: it is realtime
	lacks  atomic.Pointer[[]string] // what was refused, as warnings
}

// start is when the process began.
var start = time.Now()

// sinceStart returns a moment in nanoseconds since the start of the process. It does not use the wall clock: if somebody set
// that back, a thread would wait longer for realtime priority.
func sinceStart(t time.Time) int64 { return int64(t.Sub(start)) }

// enterRealtime gives the calling thread, which must be locked, realtime priority if the options ask for it. It returns a
// function that undoes this. If something is refused, there is a warning.
func (l *Loop) enterRealtime() (ordinary func() error) {
	rt := l.realtime
	if rt == nil {
		return func() error { return nil }
	}
	var lacks []string
	lack := func(words string, err error) {
		l.log.write(hclog.Warn, words, "interface", l.iface, "error", err)
		lacks = append(lacks, fmt.Sprintf("%s: %v", words, err))
	}
	if err := process.enter(); err != nil {
		lack("memory is not locked; allow CAP_IPC_LOCK, or set realtime = false", err)
	}
	rt.tid = unix.Gettid()
	rt.rest.Store(sinceStart(time.Now()))
	former, err := unix.SchedGetAttr(rt.tid, 0)
	if err == nil {
		// Threads that the Go runtime starts from this one must not inherit the priority, unless all threads have it.
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

// demote takes away the thread's realtime priority.
func (rt *realtime) demote() error {
	if rt.former == nil {
		return nil
	}
	if err := unix.SchedSetAttr(rt.tid, rt.former, 0); err != nil {
		return fmt.Errorf("failed to end the realtime scheduling of the VRRP thread: %w", err)
	}
	return nil
}

// rested stores that the thread waited. The thread becomes realtime again if its pause is over.
func (rt *realtime) rested(from, to time.Time) {
	if to.Sub(from) < restTime {
		return
	}
	now := sinceStart(to)
	rt.rest.Store(now)
	if again := rt.again.Load(); again != 0 && now >= again && rt.former != nil && rt.promote() == nil {
		rt.again.Store(0)
	}
}

// guard watches the thread, which loses realtime priority when it does not rest. RLIMIT_RTTIME alone is not enough: the Go
// scheduler suspends each of its threads for some microseconds now and then, which resets the kernel's count.
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
			rt.again.Store(sinceStart(time.Now().Add(realtimePause)))
			l.log.write(hclog.Warn, "the VRRP thread ran for too long: it loses realtime scheduling for a while",
				"interface", l.iface, "limit", realtimeLimit, "pause", realtimePause)
			if err := rt.demote(); err != nil {
				l.log.write(hclog.Error, "failed to end realtime scheduling", "interface", l.iface, "error", err)
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

// complete adds the warnings of the loop to a status.
func (l *Loop) complete(s vrrp.Status) vrrp.Status {
	if l.realtime == nil {
		return s
	}
	if lacks := l.realtime.lacks.Load(); lacks != nil && len(*lacks) > 0 {
		s.Warnings = slices.Concat(*lacks, s.Warnings)
	}
	return s
}

// process is what realtime loops change in the process that they share.
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

// limit sets the processor time after which the kernel ends the process.
func (p *processLimits) limit() error {
	most := min(uint64(realtimeEnd.Microseconds()), p.former.Max)
	if err := unix.Setrlimit(unix.RLIMIT_RTTIME, &unix.Rlimit{Cur: most, Max: most}); err != nil {
		return fmt.Errorf("set RLIMIT_RTTIME: %w", err)
	}
	return nil
}

// leave undoes enter, for the last loop. Without CAP_SYS_RESOURCE the limit stays; it does not affect ordinary threads.
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
