// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"reflect"
	"slices"
	"sync/atomic"
	"time"
)

// A router is one virtual router of a Loop. Only the loop's thread touches it, except for status and counters.
type router struct {
	cfg     Config
	machine *Machine
	packet  Packet
	// hardware is the virtual MAC address, if it has one.
	hardware [6]byte
	leaving  bool // to be removed once its machine no longer holds

	tracking Tracking // as last told to the machine
	standby  uint64   // the sequence number of the last call that was told to the machine
	join     uint64   // likewise
	resume   bool     // it starts as master

	rivalHeard time.Time // as in Status

	spoke time.Time // its last advertisement as master; the zero time: none since it became that

	due  time.Time // the machine's deadline as the heap knows it
	slot int       // in the heap

	warnings warnings

	status   atomic.Pointer[Status]
	counters counters
}

func newRouter(c Config) *router {
	r := &router{machine: NewMachine(c)}
	r.setConfig(c)
	return r
}

func (r *router) setConfig(c Config) {
	r.cfg = c
	r.warnings = warnings{} // what they complain of may have been mended
	r.packet = Packet{Version: c.Version, VRID: c.VRID, Interval: c.AdvertInterval, Auth: textAuth(c.Password), Checksum: c.Checksum}
	copy(r.hardware[:], c.MAC().Hardware())
	for _, vip := range c.VIPs {
		r.packet.VIPs = append(r.packet.VIPs, vip.Addr())
	}
}

// refresh makes r.status current and returns it, or nil if it was.
func (r *router) refresh() *Status {
	m, old := r.machine, r.status.Load()
	if old != nil && old.Name == r.cfg.Name && old.State == m.State() && old.Holding == m.Holding() &&
		old.HandingOver == m.HandingOver() && old.Standby == m.Standby() && old.Ready == m.Ready() && old.Reason == m.Reason() &&
		old.Master == m.Master() && old.EffectivePriority == m.Priority() && old.Tracking == r.tracking &&
		old.Since.Equal(m.Since()) && old.Priority == r.cfg.Priority && old.AdvertInterval == r.cfg.AdvertInterval &&
		slices.Equal(old.VIPs, r.cfg.VIPs) && old.RivalHeard.Equal(r.rivalHeard) && slices.Equal(old.Warnings, r.warnings.words) {
		return nil
	}
	s := &Status{
		Name: r.cfg.Name, Interface: r.cfg.Interface, VRID: r.cfg.VRID, Version: r.cfg.Version,
		Family: r.cfg.family(), Group: r.cfg.SyncGroup, Tracking: r.tracking,
		State: m.State(), Holding: m.Holding(), HandingOver: m.HandingOver(), Standby: m.Standby(), Ready: m.Ready(),
		Priority: r.cfg.Priority, EffectivePriority: m.Priority(), Master: m.Master(), Since: m.Since(), Reason: m.Reason(),
		AdvertInterval: r.cfg.AdvertInterval, VIPs: r.cfg.VIPs, RivalHeard: r.rivalHeard, Warnings: r.warnings.words,
		Counters: r.counters.snapshot(),
	}
	r.status.Store(s)
	return s
}

// gone reports whether a leaving router has nothing left to do.
func (r *router) gone() bool {
	return r.leaving && r.machine.State() == Initialize && !r.machine.Holding()
}

// owns reports whether no advertisement may overrule the router (RFC 9568, section 7.1). One that hands over
// listens for its successor.
func (r *router) owns() bool {
	return r.machine.State() == Master && r.machine.Priority() == priorityOwner && !r.machine.HandingOver()
}

// family returns the address family of the virtual router, 4 or 6.
func (c *Config) family() uint8 {
	if len(c.VIPs) > 0 && c.VIPs[0].Addr().Is6() {
		return 6
	}
	return 4
}

func (c *Config) equal(d *Config) bool { return reflect.DeepEqual(c, d) }

// sameRouter reports whether two configurations are of the same virtual router, which thus keeps its role.
func (c *Config) sameRouter(d *Config) bool {
	return c.Name == d.Name && c.VRID == d.VRID && c.family() == d.family()
}

// A routerHeap is a container/heap of routers, the next deadline first; those that wait for nothing are last.
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
