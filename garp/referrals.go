// SPDX-License-Identifier: Apache-2.0

package garp

import (
	"net/netip"
	"slices"
	"time"
)

const (
	// lockTime is how long neighbours refuse a change after another.
	lockTime = time.Second
	// announcedBefore is how long before the former master heard its successor that one may have announced an address.
	announcedBefore = 100 * time.Millisecond
	// doubtTime is how long no address is announced for a router that was heard from two hardware addresses. It is longer than
	// referralRepeat.
	doubtTime = 5 * time.Second
	// maxRouters limits the memory that an attacker with many addresses can fill.
	maxRouters = 64
)

// A Referral is the announcement of an address that another machine has.
type Referral struct {
	Address  netip.Addr
	Hardware Hardware
	// Again is set if the address has been announced since it went to the other machine: by that machine, or by us.
	Again bool
}

// Referrals decides what a former master announces for its successor. The successor is the master to which it gave way. If it
// gave up the addresses without a successor, it is the master that it hears later.
//
// Some neighbours have the former master's hardware address for the addresses. Usually the successor corrects them by an
// announcement. But there is one case in which it does not announce: it has been master all the time, in the other half of a
// split network, and does not hear the former master. Then those neighbours would send to the former master until their
// entries end, which takes half a minute. So if a former master hears no announcement until it has removed an address, it
// announces the address itself, at the hardware address that the successor advertises from.
//
// That hardware address is from frames that nobody has verified. Another machine can send advertisements in the successor's name,
// also repeated ones whose signature was right. So two hardware addresses of one router are as good as none, and so is one if some
// advertisements were not read: they may have had another.
type Referrals struct {
	ours      map[netip.Addr]bool
	announced map[netip.Addr]time.Time // when another machine last announced an address
	routers   map[netip.Addr]router    // other masters, by the address that they advertise from
	missed    time.Time                // when advertisements were last lost before they were read; the zero time: never
	unclaimed map[netip.Addr]bool      // addresses that we gave up without a successor
	pending   map[netip.Addr]*referred
}

// A referred is an address that went to a successor.
type referred struct {
	successor netip.Addr
	heard     time.Time // when the former master heard the successor
	since     time.Time // referralRepeat counts from here
	sent      int       // how many of referralRepeat have passed
	told      bool      // it was announced, by us or by another machine
}

// A router is from where another master was heard.
type router struct {
	hardware Hardware
	changed  time.Time // when it was heard from another hardware address than before; the zero time: never
}

// doubtful reports whether the hardware address of a router may be that of another machine.
func (r *Referrals) doubtful(now time.Time, is router) bool {
	recent := func(t time.Time) bool { return !t.IsZero() && now.Sub(t) < doubtTime }
	return recent(is.changed) || recent(r.missed)
}

// NewReferrals returns a Referrals without addresses.
func NewReferrals() *Referrals {
	return &Referrals{
		ours: map[netip.Addr]bool{}, announced: map[netip.Addr]time.Time{}, routers: map[netip.Addr]router{},
		pending: map[netip.Addr]*referred{}, unclaimed: map[netip.Addr]bool{},
	}
}

// SetAddresses sets the addresses that are ours. An address that returns is no longer referred to a successor.
func (r *Referrals) SetAddresses(addrs []netip.Addr) {
	now := make(map[netip.Addr]bool, len(addrs))
	for _, addr := range addrs {
		now[addr] = true
		if !r.ours[addr] {
			delete(r.pending, addr)
		}
		delete(r.unclaimed, addr)
	}
	r.ours = now
	for addr := range r.announced {
		if !r.concerns(addr) {
			delete(r.announced, addr)
		}
	}
}

func (r *Referrals) concerns(addr netip.Addr) bool {
	return r.ours[addr] || r.pending[addr] != nil || r.unclaimed[addr]
}

// GiveUp records that this machine may have had addresses, and gave them up without a successor. Call it after SetAddresses
// without them. Some neighbours may have this machine's hardware address for them. When a master is heard, the addresses are
// announced for it, unless the master announces them first.
func (r *Referrals) GiveUp(addrs []netip.Addr) {
	for _, addr := range addrs {
		if !r.ours[addr] && r.pending[addr] == nil {
			r.unclaimed[addr] = true
		}
	}
}

// Refer records that this machine removes addresses, which go to a successor. It heard the successor at heard. since is the same
// time, or, if it has kept the addresses for the successor until now, 50 ms ago. The addresses are ours, or we gave them up. If
// they are ours, call Refer before SetAddresses without them.
//
// The successor's hardware address may stay unknown: it was heard over another path, and is cut off on this interface. Then call
// Refer again when the successor is known by another address.
func (r *Referrals) Refer(heard, since time.Time, addrs []netip.Addr, successor netip.Addr) {
	for _, addr := range addrs {
		p := r.pending[addr]
		if r.ours[addr] || r.unclaimed[addr] || p != nil && !p.told {
			r.pending[addr] = &referred{successor: successor, heard: heard, since: since}
			delete(r.unclaimed, addr)
		}
	}
}

// announcedSince reports whether another machine has announced an address since this machine heard its successor.
func (r *Referrals) announcedSince(heard time.Time, addr netip.Addr) bool {
	at, ok := r.announced[addr]
	return ok && !at.Before(heard.Add(-announcedBefore))
}

// Waiting reports whether there is an address to refer, or a master to wait for.
func (r *Referrals) Waiting() bool { return len(r.pending)+len(r.unclaimed) > 0 }

// ObserveRouter handles an advertisement of another master.
func (r *Referrals) ObserveRouter(now time.Time, o Observation) {
	is, known := r.routers[o.Router]
	if !o.Router.IsValid() || !known && len(r.routers) == maxRouters {
		return
	}
	if known && is.hardware != o.From {
		is.changed = now
	}
	is.hardware = o.From
	r.routers[o.Router] = is
}

// Miss records that advertisements were lost before they were read.
func (r *Referrals) Miss(now time.Time) { r.missed = now }

// Concerns reports whether an observation is an announcement that Observe needs.
func (r *Referrals) Concerns(o Observation) bool { return o.Announced && r.concerns(o.Claimed) }

// Observe handles a frame of another machine.
func (r *Referrals) Observe(now time.Time, o Observation) {
	if r.Concerns(o) {
		r.announced[o.Claimed] = now
		delete(r.unclaimed, o.Claimed) // the neighbours have heard it too
	}
}

// Step returns what to announce now, ordered by address, and when to call Step next: the zero time if there is no need. It
// leaves out a successor whose hardware address is not known or doubtful.
func (r *Referrals) Step(now time.Time) (out []Referral, next time.Time) {
	for addr, p := range r.pending {
		if r.announcedSince(p.heard, addr) {
			p.told = true
			if at := r.announced[addr]; !at.Before(p.since.Add(lockTime)) {
				delete(r.pending, addr)
				continue
			}
			// Neighbours that had just learned our hardware address for it have refused that announcement.
			for p.sent < len(referralRepeat) && referralRepeat[p.sent] <= lockTime {
				p.sent++
			}
		}
		due := false
		for p.sent < len(referralRepeat) && !p.since.Add(referralRepeat[p.sent]).After(now) {
			p.sent++
			due = true
		}
		if is, known := r.routers[p.successor]; due && known && !r.doubtful(now, is) {
			out = append(out, Referral{addr, is.hardware, p.told})
			p.told = true
		}
		if p.sent == len(referralRepeat) {
			delete(r.pending, addr)
			if !p.told {
				r.unclaimed[addr] = true
			}
			continue
		}
		if at := p.since.Add(referralRepeat[p.sent]); next.IsZero() || at.Before(next) {
			next = at
		}
	}
	slices.SortFunc(out, func(a, b Referral) int { return a.Address.Compare(b.Address) })
	return out, next
}
