// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/tandem-lvs/tandem/vrrp"
)

// A router is one virtual router of a Loop. Only the loop's thread touches it, except for status and counters.
type router struct {
	*vrrp.Router
	// hardware is the virtual MAC address, if it has one.
	hardware [6]byte
	leaving  bool // to be removed once its machine no longer holds

	tracking vrrp.Tracking // as last told to the machine
	standby  uint64        // the sequence number of the last command that was told to the machine
	join     uint64        // likewise
	heard    uint64        // likewise
	placed   uint64        // likewise
	resume   bool          // it starts as master

	resumeBefore int64 // see Loop.Resume

	paths       []routerPath // of its heartbeat
	pathNames   []string     // of paths
	pathFaults  uint64       // how often a fault of a path has changed
	pathsTold   [2]uint64    // the changes of the machine's paths and of pathFaults that are in status
	onInterface *pathCounters
	counted     atomic.Pointer[[]*pathCounters] // onInterface and those of paths

	carrier    vrrp.Debounced // the state of the interface that counts
	carrierDue time.Time      // when it may change by itself; the zero time: never

	asked   time.Time // the AskTime that has passed
	doubted time.Time // as in status

	lastAdvert time.Time     // its last advertisement as master; the zero time: none since it became that
	lastHeard  time.Time     // the last advertisement that it heard as backup; the zero time: none since it was master or in fault
	spoke      *atomic.Int64 // see Options.Spoke

	due  time.Time // the machine's deadline as the heap knows it
	slot int       // in the heap

	status    atomic.Pointer[vrrp.Status]
	refusals  refusals
	sequences atomic.Pointer[vrrp.Sequences] // as they were at keptAt
	keptAt    time.Time
	restored  *[]RouterSequences // as last passed to the router
	changes   uint64             // of the machine, as in status
	counters  counters
}

func newRouter(c vrrp.Config) *router {
	r := &router{Router: vrrp.NewRouter(c), hardware: c.MAC().Hardware(), spoke: &atomic.Int64{}}
	r.setPaths()
	return r
}

func (r *router) setConfig(c vrrp.Config) {
	r.SetConfig(c)
	r.hardware = c.MAC().Hardware()
	r.setPaths()
}

// refresh updates r.status and returns it, or nil if nothing has changed.
func (r *router) refresh() *vrrp.Status {
	m, old := r.Machine, r.status.Load()
	if old != nil && old.Name == r.Config.Name && old.State == m.State() && old.Holding == m.Holding() &&
		old.HandingOver == m.HandingOver() && old.Successor == m.Successor() && old.Standby == m.Standby() && old.Ready == m.Ready() && r.changes == m.Changes() &&
		old.Master == m.Master() && old.EffectivePriority == m.Priority() && old.Tracking == r.tracking &&
		old.Since.Equal(m.Since()) && old.Priority == r.Config.Priority && old.AdvertInterval == r.Config.AdvertInterval &&
		old.HMAC.SameAs(&r.Config.HMAC) && slices.Equal(old.VIPs, r.Config.VIPs) && old.RivalHeard.Equal(r.RivalHeard()) && old.Doubted.Equal(r.doubted) && old.TwoMasters == r.TwoMasters() &&
		old.Silent == m.Silent() && old.Claim == m.Claim() && old.Held == m.Held() && old.Preempts == m.Preempts() && slices.Equal(old.WireWarnings, r.Warnings()) &&
		r.pathsTold == [2]uint64{m.PathChanges(), r.pathFaults} {
		return nil
	}
	s := &vrrp.Status{
		Name: r.Config.Name, Interface: r.Config.Interface, VRID: r.Config.VRID, Version: r.Config.Version,
		Family: r.Config.Family(), Group: r.Config.SyncGroup, Tracking: r.tracking,
		State: m.State(), Holding: m.Holding(), HandingOver: m.HandingOver(), Successor: m.Successor(), Standby: m.Standby(), Ready: m.Ready(),
		Priority: r.Config.Priority, EffectivePriority: m.Priority(), Master: m.Master(), Since: m.Since(),
		Cause: m.Cause(), Reason: m.Cause().String(), HMAC: r.Config.HMAC.Public(),
		AdvertInterval: r.Config.AdvertInterval, VIPs: r.Config.VIPs, RivalHeard: r.RivalHeard(), Contested: r.Contested(), Doubted: r.doubted,
		TwoMasters: r.TwoMasters(), Silent: m.Silent(), Claim: m.Claim(), Held: m.Held(), Preempts: m.Preempts(),
		Warnings: r.Warnings(), WireWarnings: r.Warnings(), Paths: r.pathStatus(),
		Counters: r.counters.snapshot(),
	}
	s.Warnings = slices.Concat(s.Warnings, pathWarnings(s.Paths))
	r.pathsTold = [2]uint64{m.PathChanges(), r.pathFaults}
	r.changes = m.Changes()
	r.status.Store(s)
	return s
}

// gone reports whether a leaving router has finished.
func (r *router) gone() bool {
	return r.leaving && r.Machine.State() == vrrp.Initialize && !r.Machine.Holding()
}

// A routerHeap is a container/heap of routers, the next deadline first. Routers without a deadline are last.
type routerHeap []*router

func (h routerHeap) Len() int { return len(h) }

func (h routerHeap) Less(i, j int) bool {
	if h[i].due.IsZero() || h[j].due.IsZero() {
		return !h[i].due.IsZero()
	}
	return h[i].due.Before(h[j].due)
}

func (h routerHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].slot, h[j].slot = i, j
}

// Push implements heap.Interface.
func (h *routerHeap) Push(x any) {
	r := x.(*router)
	r.slot = len(*h)
	*h = append(*h, r)
}

// Pop implements heap.Interface.
func (h *routerHeap) Pop() any {
	old := *h
	r := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return r
}
