// SPDX-License-Identifier: Apache-2.0

package nstest

import (
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// A stall is a time for which this machine kept a thread waiting that could have run, or a request about an interface that other
// programs' requests did not concern.
type stall struct {
	end    time.Time
	lasted time.Duration
}

// stalls watches the machine while a test needs it. Tests that run at the same time share it.
var stalls struct {
	mu    sync.Mutex
	users int
	end   func() // ends the watching
	list  []stall
}

const (
	watchPause = 3 * time.Millisecond
	linkPause  = 10 * time.Millisecond
	ordinary   = 5 * time.Millisecond // what a machine that does not stall keeps to
)

// WatchStalls measures until the returned function is called, which tells for how long in all this machine has stalled meanwhile,
// each processor and the kernel's lock of interfaces counted.
func WatchStalls(t testing.TB) (stop func() time.Duration) {
	t.Helper()
	measure := watchStalls()
	stop = sync.OnceValue(func() time.Duration { total, _ := measure(); return total })
	t.Cleanup(func() { stop() })
	return stop
}

// watchStalls is WatchStalls without a test. It also tells the longest stall.
func watchStalls() (stop func() (total, longest time.Duration)) {
	s := &stalls
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.users++; s.users == 1 {
		var watching sync.WaitGroup
		stop := make(chan struct{})
		for cpu := range runtime.NumCPU() {
			watching.Go(func() { watchProcessor(cpu, stop) })
		}
		watching.Go(func() { watchLinks(stop) })
		s.list, s.end = nil, func() { close(stop); watching.Wait() }
	}
	began := time.Now()
	return func() (total, longest time.Duration) {
		time.Sleep(watchPause + ordinary) // a stall that has just ended is noticed
		s.mu.Lock()
		for _, one := range s.list {
			if lasted := min(one.lasted, one.end.Sub(began)); lasted > 0 {
				total, longest = total+lasted, max(longest, lasted)
			}
		}
		end := func() {}
		if s.users--; s.users == 0 {
			end = s.end
		}
		s.mu.Unlock()
		end()
		return total, longest
	}
}

// note notes how much longer something took than it should have.
func note(end time.Time, late time.Duration) {
	if late > ordinary {
		stalls.mu.Lock()
		stalls.list = append(stalls.list, stall{end, late})
		stalls.mu.Unlock()
	}
}

// watchProcessor measures how late a thread runs on a processor.
func watchProcessor(cpu int, stop <-chan struct{}) {
	runtime.LockOSThread() // without unlocking: the thread stays on the processor, and ends with this goroutine
	var only unix.CPUSet
	only.Set(cpu)
	_ = unix.SchedSetaffinity(0, &only) // if it may not use this one, it measures another
	pause := unix.NsecToTimespec(int64(watchPause))
	for last := time.Now(); ; {
		select {
		case <-stop:
			return
		default:
		}
		_ = unix.Nanosleep(&pause, nil)
		now := time.Now()
		note(now, now.Sub(last)-watchPause)
		last = now
	}
}

// watchLinks measures how long the kernel keeps a request about an interface waiting: all of them take turns, also those of other
// network namespaces.
func watchLinks(stop <-chan struct{}) {
	handle, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return
	}
	defer handle.Close()
	for tick := time.NewTicker(linkPause); ; {
		select {
		case <-stop:
			tick.Stop()
			return
		case <-tick.C:
		}
		began := time.Now()
		_, _ = handle.LinkByName("lo")
		now := time.Now()
		note(now, now.Sub(began))
	}
}
