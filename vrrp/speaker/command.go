// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"maps"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/vrrp"
)

// A desired is everything that the owner of a Loop has asked for. It does not change once it is stored, so the loop's thread
// reads it without a lock.
type desired struct {
	routers  []vrrp.Config
	tracking map[string]vrrp.Tracking
	standby  map[string]command[bool]
	joins    map[string]command[join]
	heard    map[string]uint64 // the sequence number of the last call of Announced, by router
	placed   map[string]uint64 // likewise of Placed
	resume   map[string]int64  // see Loop.Resume
	link     *vrrp.Link        // nil: not known yet
	// pathLinks are the links of the heartbeats' interfaces that are known, by name
	pathLinks map[string]vrrp.Link
	// sequences are those of an earlier run; nil: none are known
	sequences *[]RouterSequences
	shutdown  bool
	abandon   bool
	sequence  uint64 // of the last command
}

// A command is executed once. Its sequence number is higher than those before it.
type command[T any] struct {
	sequence uint64
	value    T
}

type join struct {
	to    vrrp.State
	cause vrrp.Cause
}

// Configure sets the virtual routers of the interface; the latest call wins. Unchanged routers are not disturbed. Changed
// ones keep their role, also with a new name. New ones start, and missing ones hand over and leave. A router with another
// VRID is a new one: it starts when the former one has left.
func (l *Loop) Configure(routers []vrrp.Config) {
	copied := slices.Clone(routers)
	for i := range copied {
		copied[i].VIPs, copied[i].ExcludedVIPs = slices.Clone(copied[i].VIPs), slices.Clone(copied[i].ExcludedVIPs)
		copied[i].VIPInterfaces = maps.Clone(copied[i].VIPInterfaces)
		copied[i].VIPLabels = maps.Clone(copied[i].VIPLabels)
		copied[i].Heartbeat = slices.Clone(copied[i].Heartbeat)
	}
	l.setDesired(func(w *desired) { w.routers = copied })
}

// SetLink sets the state of the interface; the latest call wins. Routers start at the first usable link. A faulty link is
// a fault of all of them, except that a missing carrier is none of those that ignore it. Without an address besides the VIPs to send from, the routers of that family are at fault.
func (l *Loop) SetLink(link vrrp.Link) {
	link.Addrs = slices.Clone(link.Addrs)
	l.setDesired(func(w *desired) { w.link = &link })
}

// SetTracking sets the tracking result of the named router; the latest call wins. The call may come before the router's
// configuration, and stays in force across Configure.
func (l *Loop) SetTracking(name string, t vrrp.Tracking) {
	l.setDesired(func(w *desired) {
		w.tracking = maps.Clone(w.tracking)
		put(&w.tracking, name, t)
		if t == (vrrp.Tracking{}) {
			delete(w.tracking, name)
		}
	})
}

// SetStandby puts the named router into standby, or ends its standby. The call may come before the router's configuration. A
// master offers its place: it advertises priority 0 and stays master, with HandingOver in its Status, until it hears its
// successor. Then it is backup at priority 1, and still takes over if the successor dies. If nobody takes over within about
// four advertisement intervals, it is an ordinary master again, with Standby false in its Status. To try again, turn standby
// off and on. Repeating the last call has no effect.
func (l *Loop) SetStandby(name string, on bool) {
	l.setDesired(func(w *desired) {
		if w.standby[name].value == on {
			return
		}
		w.sequence++
		w.standby = maps.Clone(w.standby)
		put(&w.standby, name, command[bool]{w.sequence, on})
	})
}

// Resume lets the named routers start as master, with an advertisement, if the first link is usable. It is for routers
// that were master a moment ago, still have the VIPs, and whose process was restarted. It must precede the first SetLink. The value
// is a moment in nanoseconds of CLOCK_BOOTTIME from which the peer may have taken over: a router that cannot advertise before it
// starts as any other. 0 is no limit.
func (l *Loop) Resume(before map[string]int64) {
	before = maps.Clone(before)
	l.setDesired(func(w *desired) { w.resume = before })
}

// Join passes the decision of a sync group to the named router. Master makes a router master that is Ready. Backup makes a
// master offer its place as in SetStandby; the master becomes backup even if nobody takes over. Otherwise Join has no effect.
func (l *Loop) Join(name string, to vrrp.State, cause vrrp.Cause) {
	l.setDesired(func(w *desired) {
		w.sequence++
		w.joins = maps.Clone(w.joins)
		put(&w.joins, name, command[join]{w.sequence, join{to, cause}})
	})
}

// Announced tells the named router that another machine was heard to announce all its VIPs. If the router keeps them for a
// Successor, it removes them 50 ms later. Otherwise this has no effect.
func (l *Loop) Announced(name string) {
	l.setDesired(func(w *desired) { w.count(&w.heard, name) })
}

// Placed tells the named router that all its VIPs are on the interface. A router with a virtual MAC address that takes over from
// a master waits for this before it advertises, for at most 20 ms. Otherwise this has no effect.
func (l *Loop) Placed(name string) {
	l.setDesired(func(w *desired) { w.count(&w.placed, name) })
}

// Shutdown makes every router leave: a backup at once, a master when it hears its successor, or after about four
// advertisement intervals. Then Run returns nil. Shutdown cannot be undone.
func (l *Loop) Shutdown() {
	l.setDesired(func(w *desired) { w.shutdown = true })
}

// Abandon ends Run at once and sends nothing: another process resumes the roles, and the VIPs stay.
func (l *Loop) Abandon() {
	l.setDesired(func(w *desired) { w.abandon = true })
}

// count notes a call about a router by the next sequence number.
func (w *desired) count(calls *map[string]uint64, name string) {
	w.sequence++
	*calls = maps.Clone(*calls)
	put(calls, name, w.sequence)
}

func put[T any](m *map[string]T, name string, v T) {
	if *m == nil {
		*m = make(map[string]T)
	}
	(*m)[name] = v
}

func (l *Loop) setDesired(change func(*desired)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	w := *l.desired.Load()
	change(&w)
	l.desired.Store(&w)
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
	// The write fails only if the counter is at its limit. Then the thread is about to wake anyway.
	_, _ = unix.Write(l.event, []byte{1, 0, 0, 0, 0, 0, 0, 0})
}

func (l *Loop) setEvent(fd int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.event = fd
}
