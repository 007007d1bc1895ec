// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/election/message"
	"github.com/tandem-lvs/tandem/garp"
	"github.com/tandem-lvs/tandem/vrrp"
)

// tell handles a router's status. If it has changed, the rest follows.
func (e *election) tell(r *router) {
	m := r.Machine
	s := vrrp.Status{
		Name: r.Config.Name, Interface: r.Config.Interface, VRID: r.Config.VRID, Group: r.Config.SyncGroup, Tracking: r.tracking,
		State: m.State(), Holding: m.Holding(), HandingOver: m.HandingOver(), Successor: m.Successor(), Standby: m.Standby(), Ready: m.Ready(),
		Priority: r.Config.Priority, EffectivePriority: m.Priority(), Master: m.Master(), Since: m.Since(), Cause: m.Cause(),
		Reason: m.Cause().String(), AdvertInterval: r.Config.AdvertInterval, VIPs: r.Config.VIPs, RivalHeard: r.RivalHeard(), TwoMasters: r.TwoMasters(), Silent: m.Silent(), Claim: m.Claim(),
		Held: m.Held(), Preempts: m.Preempts(),
		Counters: vrrp.Counters{BecameMaster: r.masters},
	}
	was := &r.status
	if s.State == was.State && s.Holding == was.Holding && s.HandingOver == was.HandingOver && s.Successor == was.Successor && s.Standby == was.Standby &&
		s.Ready == was.Ready && s.EffectivePriority == was.EffectivePriority && s.Tracking == was.Tracking && s.Master == was.Master &&
		s.Since.Equal(was.Since) && s.RivalHeard.Equal(was.RivalHeard) && s.TwoMasters == was.TwoMasters && s.Silent == was.Silent && s.Claim == was.Claim && s.Held == was.Held && s.Preempts == was.Preempts && r.changes == m.Changes() {
		return
	}
	r.status, r.changes = s, m.Changes()
	e.settleSoon()
}

// settleSoon makes the serving goroutine handle the reports of the loops.
func (e *election) settleSoon() {
	if !e.settling {
		e.settling = true
		e.later(e.between(10*time.Microsecond, 2*time.Millisecond), e.settle)
	}
}

// settle updates tracking, groups and addresses after reports of the loops.
func (e *election) settle() {
	e.settling = false
	states, own := make(map[string]vrrp.Status), make(map[string]vrrp.Tracking)
	for _, r := range e.routers {
		states[r.Config.Name] = r.status
		if message.ResumeEnds(e.resumed[r.Config.Name], r.status) {
			delete(e.resumed, r.Config.Name)
		}
		if r.status.RivalHeard.After(r.rival) || r.status.Cause.Kind == vrrp.CauseStoodStill && r.heard != r.changes {
			r.rival = r.status.RivalHeard
			e.announceAgain(r)
		}
		e.refer(r)
		r.settled, r.heard = r.status, r.changes
	}
	for _, o := range e.order.Routers {
		own[o.Name] = o.Tracking
	}
	e.tellRouters(e.groups.Decide(states, own))
	e.setAddresses()
	e.awaitMasters()
	e.routers = slices.DeleteFunc(e.routers, func(r *router) bool {
		return r.leaving && r.Machine.State() == vrrp.Initialize && !r.Machine.Holding()
	})
	e.report()
	switch {
	case e.ending && len(e.routers) == 0:
		e.later(e.between(time.Millisecond, 10*time.Millisecond), func() { // the addresses are removed first
			for name, began := range e.referred {
				if e.now.Sub(began) < garp.ReferralTime {
					e.givenUp[name] = true
				}
			}
			e.host.record = slices.Sorted(maps.Keys(e.givenUp))
			e.dies()
		})
	case e.orphan != nil:
		e.goOnWithoutDirector()
	}
}

// tellRouters passes on what has changed in tracking and standby, and the decisions of the sync groups.
func (e *election) tellRouters(tracking map[string]vrrp.Tracking, joins []vrrp.Join) {
	for _, o := range e.order.Routers {
		r := e.named(o.Name)
		if r == nil {
			continue
		}
		if t := tracking[o.Name]; t != r.tracking {
			r.tracking = t
			e.step(r, vrrp.Event{Kind: vrrp.EventTracking, Delta: t.Delta, Unclear: t.Unclear, NoWitness: t.NoWitness, Granted: t.Granted, Unsynced: t.Unsynced})
		}
		if o.Standby != r.standby {
			r.standby = o.Standby
			e.step(r, vrrp.Event{Kind: vrrp.EventStandby, On: o.Standby})
		}
		e.assess(r)
	}
	for _, j := range joins {
		if r := e.named(j.Name); r != nil {
			cause := j.Cause
			e.step(r, vrrp.Event{Kind: vrrp.EventJoin, To: j.To, Cause: &cause})
		}
	}
}

// refer announces the addresses of a router that was master for its new master, when it removes them.
func (e *election) refer(r *router) {
	name, refs := r.Config.Name, e.referrals[r.segment]
	was, is := &r.settled, &r.status
	switch {
	case is.State == vrrp.Backup && r.heir.successor.IsValid() && is.Master.IsValid():
		r.heir.successor = is.Master
	case !r.heir.successor.IsValid() && is.Successor.IsValid():
		r.heir = heir{is.Successor, is.Since}
	case was.State == vrrp.Master && is.State != vrrp.Master && is.Cause.Peer.IsValid():
		r.heir = heir{is.Cause.Peer, is.Since}
	}
	handsOver := r.heir.successor.IsValid()
	switch {
	case is.State == vrrp.Master && is.Holding:
		delete(e.givenUp, name)
		r.heir = heir{}
	case handsOver && is.Holding:
	case handsOver:
		e.referred[name] = e.now
		since := r.heir.heard
		if kept := e.now.Add(-vrrp.Linger); kept.After(since) {
			since = kept
		}
		refs.Refer(r.heir.heard, since, addressesOf(r), r.heir.successor)
		r.heir = heir{}
		e.giveUpAlone(r)
	case is.State == vrrp.Backup && is.Master.IsValid() && is.Master != was.Master:
		if e.givenUp[name] {
			e.referred[name] = e.now
		}
		delete(e.givenUp, name)
		refs.Refer(e.now, e.now, addressesOf(r), is.Master)
	default:
		e.giveUpAlone(r)
	}
}

// giveUpAlone records that a router gave up its addresses, if it knows no master.
func (e *election) giveUpAlone(r *router) {
	name, was, is := r.Config.Name, &r.settled, &r.status
	if !was.Holding || is.Holding || is.Master.IsValid() || is.Cause.Peer.IsValid() {
		return
	}
	if e.givenUp[name] = true; is.State != vrrp.Initialize { // otherwise the next election does it
		e.newlyGivenUp = append(e.newlyGivenUp, name)
	}
}

// awaitMasters watches for a master of the addresses that were given up without a successor. They are announced for the first
// master that is heard.
func (e *election) awaitMasters() {
	for _, name := range e.newlyGivenUp {
		if r := e.named(name); r != nil && !e.resumes(name) && !r.status.Holding {
			e.referrals[r.segment].GiveUp(addressesOf(r))
		}
	}
	e.newlyGivenUp = nil
}

func (e *election) named(name string) *router {
	for _, r := range e.routers {
		if r.Config.Name == name {
			return r
		}
	}
	return nil
}

// report sends the present state to the director.
func (e *election) report() {
	d := e.director
	if d == nil || !e.obeyed {
		return
	}
	rep := message.Report{Sequence: e.order.Sequence}
	for _, r := range e.routers {
		rep.Routers = append(rep.Routers, r.status)
	}
	e.reports.send(e.world, e.between(50*time.Microsecond, 500*time.Microsecond), func() { d.do(func() { d.hears(e, rep) }) })
}

// setAddresses puts the routers' addresses on the interfaces, and announces those that they keep. The interfaces follow a
// moment later.
func (e *election) setAddresses() {
	want, announce := make(map[netip.Addr]bool), make(map[netip.Addr]bool)
	for _, r := range e.routers {
		holds := r.status.Holding || e.resumes(r.Config.Name)
		for _, v := range r.Config.VIPs {
			want[v.Addr()] = holds
			if holds && !r.status.HandingOver {
				announce[v.Addr()] = true
				if !e.announced[v.Addr()] && e.host.kernel.addrs[slot(v.Addr())] {
					e.schedule.Announce(e.now, r.announce, []netip.Addr{v.Addr()})
				}
			}
		}
	}
	for _, a := range slices.SortedFunc(maps.Keys(e.announced), netip.Addr.Compare) {
		if !announce[a] {
			e.schedule.Withdraw([]netip.Addr{a})
		}
	}
	e.announced = announce
	for segment := range e.rivals {
		var ours []netip.Addr
		var leaving []garp.HandOver
		for _, r := range e.routers {
			if r.segment == segment && r.heir.successor.IsValid() && r.status.Successor.IsValid() {
				leaving = append(leaving, garp.HandOver{
					Router: r.Config.Name, Heard: r.heir.heard, Addrs: addressesOf(r), Announced: func() { e.announcedBy(r) },
				})
			}
			for _, v := range r.Config.VIPs {
				if r.segment == segment && want[v.Addr()] {
					ours = append(ours, v.Addr())
				}
			}
		}
		e.leaving[segment].Set(leaving)
		e.rivals[segment].SetAddresses(e.now, e.leaving[segment].Others(ours))
		e.referrals[segment].SetAddresses(ours)
		e.leaving[segment].Step(e.referrals[segment])
	}
	e.later(e.between(50*time.Microsecond, 5*time.Millisecond), func() { e.place(want) })
	e.announce()
	e.watchRivals()
}

// announcedBy tells a router that its successor was heard to announce all its addresses.
func (e *election) announcedBy(r *router) {
	e.later(e.between(10*time.Microsecond, time.Millisecond), func() { e.step(r, vrrp.Event{Kind: vrrp.EventAnnounced}) })
}

// place is the reconciler of the addresses. It uses the latest wanted set.
func (e *election) place(want map[netip.Addr]bool) {
	for _, r := range e.routers {
		for _, v := range r.Config.VIPs {
			a := v.Addr()
			holds := r.status.Holding || e.resumes(r.Config.Name)
			if e.host.kernel.addrs[slot(a)] == holds {
				continue
			}
			e.host.setAddress(a, holds)
			if holds && e.announced[a] {
				e.schedule.Announce(e.now, r.announce, []netip.Addr{a})
				e.announce()
			}
			delete(want, a)
		}
	}
	for _, a := range slices.SortedFunc(maps.Keys(want), netip.Addr.Compare) {
		if !want[a] && e.host.kernel.addrs[slot(a)] && !e.holds(a) {
			e.host.setAddress(a, false)
		}
	}
}

func (e *election) holds(a netip.Addr) bool {
	return slices.ContainsFunc(e.routers, func(r *router) bool {
		return (r.status.Holding || e.resumes(r.Config.Name)) && slices.ContainsFunc(r.Config.VIPs, func(v netip.Prefix) bool { return v.Addr() == a })
	})
}

// setAddress adds an address to the machine, or removes it.
func (h *host) setAddress(a netip.Addr, on bool) {
	if h.kernel.addrs[slot(a)] == on {
		return
	}
	h.say(h.name, "address %s: %t", a, on)
	h.watch.activity(h.world, "an address")
	h.kernel.addrs[slot(a)] = on
}

// announce sends the announcements that are due.
func (e *election) announce() {
	for {
		f, ok := e.schedule.Next(e.now)
		if !ok {
			break
		}
		segment := outside
		if f.Addr == insideVIP {
			segment = inside
		}
		if e.host.carrier[segment] {
			e.broadcast(segment, e.host, announcement(f.Addr, f.Form, hardware(e.host)))
		}
	}
	if at, ok := e.schedule.Deadline(); ok && !at.Equal(e.wake) {
		e.wake = at
		e.later(max(0, at.Sub(e.now)), func() {
			if e.wake.Equal(at) {
				e.wake = time.Time{}
				e.announce()
			}
		})
	}
}

// announcement returns how others see an announcement.
func announcement(a netip.Addr, how garp.Form, at garp.Hardware) garp.Observation {
	return garp.Observation{Claimed: a, Asked: a, How: how, From: at, Announced: true}
}

// announceAgain is for a master that has heard another one.
func (e *election) announceAgain(r *router) {
	if r.status.State != vrrp.Master || r.status.HandingOver {
		return
	}
	e.schedule.Contest(e.now, addressesOf(r))
	e.announce()
}

func addressesOf(r *router) (all []netip.Addr) {
	for _, v := range r.Config.VIPs {
		all = append(all, v.Addr())
	}
	return all
}

// hearARP handles what another director announces about an address.
func (h *host) hearARP(segment int, o garp.Observation) {
	if e := h.election(); e != nil && h.kernelRuns() && o.From != hardware(h) {
		e.do(func() {
			if e.rivals[segment].Concerns(o) {
				e.rivals[segment].Observe(e.now, o)
				e.watchRivals()
			}
			e.referrals[segment].Observe(e.now, o)
			e.leaving[segment].Step(e.referrals[segment])
		})
	}
}

// watchRivals asks who has our addresses, and announces again those that another machine claims.
func (e *election) watchRivals() {
	for segment, t := range e.rivals {
		refs := e.referrals[segment]
		if len(e.announced) == 0 && !refs.Waiting() {
			continue
		}
		ask, found, next := t.Step(e.now)
		refer, more := refs.Step(e.now)
		for _, r := range refer {
			e.say(e.host.name, "announces %s for the new master", r.Address)
			e.broadcast(segment, e.host, announcement(r.Address, garp.Request, r.Hardware))
		}
		if !more.IsZero() && more.Before(next) {
			next = more
		}
		for _, c := range found {
			e.say(e.host.name, "another machine claims %s: announcing it again", c.Addr)
			e.schedule.Reannounce(e.now, []netip.Addr{c.Addr})
			e.announce()
		}
		for _, a := range ask {
			e.askWhoHas(segment, a)
		}
		if due := e.rivalsDue[segment]; due.IsZero() || next.Before(due) {
			e.rivalsDue[segment] = next
			e.later(max(0, next.Sub(e.now)), func() {
				if e.rivalsDue[segment].Equal(next) {
					e.rivalsDue[segment] = time.Time{}
					e.watchRivals()
				}
			})
		}
	}
}

func (e *election) askWhoHas(segment int, a netip.Addr) {
	other := e.host.opposite()
	e.send(segment, e.host.node, other.node, func() {
		if !other.kernelRuns() || !other.kernel.addrs[slot(a)] || !other.carrier[segment] {
			return
		}
		o := garp.Observation{Claimed: a, How: garp.Reply, From: hardware(other)}
		e.send(segment, other.node, e.host.node, func() { e.host.hearARP(segment, o) })
	})
}

// resumes reports whether a router is to start as master and has not reported yet.
func (e *election) resumes(name string) bool {
	before, is := e.resumed[name]
	return is && (before == 0 || e.monotonic(e.now) < before.Add(vrrp.Linger))
}
