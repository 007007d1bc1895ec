// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"maps"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/vrrp"
)

// wanted is all that the owner of a Loop has asked for. It never changes once stored: the loop's thread compares
// and reads without a lock, whatever the owner's goroutines are doing.
type desired struct {
	routers  []vrrp.Config
	tracking map[string]vrrp.Tracking
	standby  map[string]command[bool]
	joins    map[string]command[join]
	resume   []string
	link     *vrrp.Link // nil: not known yet
	shutdown bool
	abandon  bool
	sequence uint64 // of the last call
}

// A call is acted on once. Its sequence number is above that of all before it.
type command[T any] struct {
	sequence uint64
	value    T
}

type join struct {
	to    vrrp.State
	cause vrrp.Cause
}

// Configure sets the virtual routers of the interface; the latest call wins. Routers that stay as they were are not
// disturbed, those that change, be it their name, keep their role, new ones start, and those left out hand over and go. A
// different VRID makes a different router, which starts when the one before it has gone.
func (l *Loop) Configure(routers []vrrp.Config) {
	copied := slices.Clone(routers)
	for i := range copied {
		copied[i].VIPs, copied[i].ExcludedVIPs = slices.Clone(copied[i].VIPs), slices.Clone(copied[i].ExcludedVIPs)
	}
	l.want(func(w *desired) { w.routers = copied })
}

// SetLink tells what the interface is like; the latest call wins. Routers start at the first usable link. An unusable
// one is a fault of them all, and so is one without an IPv4 address beside the VIPs.
func (l *Loop) SetLink(link vrrp.Link) {
	link.Addrs = slices.Clone(link.Addrs)
	l.want(func(w *desired) { w.link = &link })
}

// SetTracking tells what the things that the named router tracks make of it; the latest call wins. It stands, also
// through Configure, while the router is configured, and may precede that.
func (l *Loop) SetTracking(name string, t vrrp.Tracking) {
	l.want(func(w *desired) {
		w.tracking = maps.Clone(w.tracking)
		put(&w.tracking, name, t)
		if t == (vrrp.Tracking{}) {
			delete(w.tracking, name)
		}
	})
}

// SetStandby makes the named router stand back, or not any more; it may precede the router's configuration. On a
// master, on offers its place: it advertises priority 0 and stays master, with HandingOver in its Status, until it
// hears its successor. Then it is Backup at priority 1, which still takes over if the other dies. When nobody took
// over within about three advertisement intervals it is an ordinary master again, with Standby false in its Status; to
// try again, turn standby off and on. A call that repeats the one before has no effect.
func (l *Loop) SetStandby(name string, on bool) {
	l.want(func(w *desired) {
		if w.standby[name].value == on {
			return
		}
		w.sequence++
		w.standby = maps.Clone(w.standby)
		put(&w.standby, name, command[bool]{w.sequence, on})
	})
}

// Resume lets the named routers start as master, whose first act is an advertisement, where the first link that is told
// can be used. It is for one that was master a moment ago, still has the VIPs, and was restarted. It must precede the
// first SetLink.
func (l *Loop) Resume(names []string) {
	names = slices.Clone(names)
	l.want(func(w *desired) { w.resume = names })
}

// Join gives the named router the word of its sync group: Master for one that is Ready, or Backup for one that is
// master, which offers its place as in SetStandby and is backup also when nobody takes it. Otherwise it has no effect.
func (l *Loop) Join(name string, to vrrp.State, cause vrrp.Cause) {
	l.want(func(w *desired) {
		w.sequence++
		w.joins = maps.Clone(w.joins)
		put(&w.joins, name, command[join]{w.sequence, join{to, cause}})
	})
}

// Shutdown makes every router leave: a backup at once, a master when its successor is heard or nobody took over
// within about three advertisement intervals. Then Run returns nil. It cannot be taken back.
func (l *Loop) Shutdown() {
	l.want(func(w *desired) { w.shutdown = true })
}

// Abandon ends Run at once, without a word to anybody: roles and VIPs stay as they are, for another process to resume.
func (l *Loop) Abandon() {
	l.want(func(w *desired) { w.abandon = true })
}

func put[T any](m *map[string]T, name string, v T) {
	if *m == nil {
		*m = make(map[string]T)
	}
	(*m)[name] = v
}

func (l *Loop) want(change func(*desired)) {
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
