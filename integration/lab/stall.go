// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"fmt"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// A StallWatch measures how long the machine makes a runnable goroutine wait. A program that is late by no more than that
// is not to blame.
type StallWatch struct{ *watch }

// StallError is how much longer than Stop says a stall may have been: it may begin up to one tick of the watch before the
// goroutine is late.
const StallError = 10 * time.Millisecond

// WatchStalls measures until Stop, or the test's end.
func (l *Lab) WatchStalls() *StallWatch {
	last := time.Now()
	return &StallWatch{startWatch(l.t, StallError, func() time.Duration {
		now := time.Now()
		late := now.Sub(last) - StallError
		last = now
		return late
	})}
}

// Undisturbed returns the error of a check. A check that fails while the machine stalls is repeated, because a stall may make a director
// lose its role for a moment, or a packet come too late.
func (l *Lab) Undisturbed(check func() error) error {
	const stalled, tries = 200 * time.Millisecond, 3
	for try := 1; ; try++ {
		watch := l.WatchStalls()
		err := check()
		stall := watch.Stop()
		if err == nil {
			return nil
		}
		if stall < stalled || try == tries {
			return fmt.Errorf("%w; the machine stalled for %s", err, stall)
		}
		l.Logf("while the machine stalled for %s: %v", stall, err)
	}
}

// A LockWatch measures how long the kernel makes a program wait that changes a link or an address. All namespaces share the
// kernel's lock for that (rtnl_mutex), so a namespace that ends anywhere on the machine delays the changes of all of them. While a
// program waits for that lock it is not runnable, so a StallWatch does not see the wait, and the program is not to blame for it.
type LockWatch struct{ *watch }

// lockEvery is the pause between two writes of a LockWatch. A wait is measured too short by this time at most.
const lockEvery = 2 * time.Millisecond

// WatchLock measures in the host's namespace until Stop, or the test's end. It sets lo up again and again. Because lo is up, the
// kernel takes its lock, changes nothing and tells nobody.
func (h *Host) WatchLock() *LockWatch {
	h.lab.t.Helper()
	handle, err := netlink.NewHandleAt(h.ns, unix.NETLINK_ROUTE)
	if err != nil {
		h.lab.t.Fatalf("watch the lock of links on %s: %v", h.Name, err)
	}
	lo, err := handle.LinkByName("lo")
	if err != nil {
		h.lab.t.Fatalf("watch the lock of links on %s: find lo: %v", h.Name, err)
	}
	h.lab.t.Cleanup(handle.Close) // after the watch's own end
	return h.lab.watchLock(h.Name, func() error { return handle.LinkSetUp(lo) })
}

// watchLock measures how long a write takes that changes nothing.
func (l *Lab) watchLock(where string, write func() error) *LockWatch {
	failed := false
	return &LockWatch{startWatch(l.t, lockEvery, func() time.Duration {
		began := time.Now()
		if err := write(); err != nil && !failed {
			failed = true // said once
			l.t.Errorf("watch the lock of links on %s: set lo up: %v", where, err)
		}
		return time.Since(began)
	})}
}

// A watch measures again and again, and keeps the longest time.
type watch struct {
	once sync.Once
	stop chan struct{}
	done chan struct{}
	most time.Duration // after done
}

// startWatch measures at once, at an interval, and once more at the end.
func startWatch(t T, every time.Duration, measure func() time.Duration) *watch {
	w := &watch{stop: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(w.done)
		tick := time.NewTicker(every)
		defer tick.Stop()
		for running := true; running; {
			w.most = max(w.most, measure())
			select {
			case <-w.stop:
				running = false
			case <-tick.C:
			}
		}
		w.most = max(w.most, measure())
	}()
	t.Cleanup(func() { w.Stop() })
	return w
}

// Stop ends the watch and returns the longest time that it measured.
func (w *watch) Stop() time.Duration {
	w.once.Do(func() { close(w.stop) })
	<-w.done
	return w.most
}
