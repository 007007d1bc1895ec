// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"maps"
	"slices"

	"golang.org/x/sys/unix"
)

// wanted is all that the owner of a Loop has asked for. It never changes once stored: the loop's thread compares
// and reads without a lock, whatever the owner's goroutines are doing.
type wanted struct {
	routers    []Config
	priorities map[string]uint8
	link       *Link // nil: not known yet
	shutdown   bool
}

// Configure sets the virtual routers of the interface; the latest call wins. Routers that stay as they were are not
// disturbed, those that change keep their role, new ones start, and those left out hand over and go. A different
// VRID makes a different router, which starts when the one before it has gone.
func (l *Loop) Configure(routers []Config) {
	copied := slices.Clone(routers)
	for i := range copied {
		copied[i].VIPs, copied[i].ExcludedVIPs = slices.Clone(copied[i].VIPs), slices.Clone(copied[i].ExcludedVIPs)
	}
	l.want(func(w *wanted) { w.routers = copied })
}

// SetLink tells what the interface is like; the latest call wins. Routers start at the first usable link. An unusable
// one is a fault of them all, and so is one without an IPv4 address beside the VIPs.
func (l *Loop) SetLink(link Link) {
	link.Addrs = slices.Clone(link.Addrs)
	l.want(func(w *wanted) { w.link = &link })
}

// SetPriority lets the named router take part with a priority of 1 to 255 instead of the configured one; 0 goes
// back to that. The latest call wins. It stands, also through Configure, while the router is configured, and may
// precede that.
func (l *Loop) SetPriority(name string, priority uint8) {
	l.want(func(w *wanted) {
		w.priorities = maps.Clone(w.priorities)
		if w.priorities == nil {
			w.priorities = make(map[string]uint8)
		}
		if priority == 0 {
			delete(w.priorities, name)
		} else {
			w.priorities[name] = priority
		}
	})
}

// Shutdown makes every router leave: a backup at once, a master when its successor is heard or nobody took over
// within about three advertisement intervals. Then Run returns nil. It cannot be taken back.
func (l *Loop) Shutdown() {
	l.want(func(w *wanted) { w.shutdown = true })
}

func (l *Loop) want(change func(*wanted)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	w := *l.wanted.Load()
	change(&w)
	l.wanted.Store(&w)
	l.wakeLocked()
}

func (l *Loop) wake() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wakeLocked()
}

// wakeLocked ends the thread's wait. Outside Run there is no thread to wake.
func (l *Loop) wakeLocked() {
	if l.event < 0 {
		return
	}
	// The only failure is a counter at its limit, and then the thread is about to wake anyway.
	_, _ = unix.Write(l.event, []byte{1, 0, 0, 0, 0, 0, 0, 0})
}

func (l *Loop) setEvent(fd int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.event = fd
}
