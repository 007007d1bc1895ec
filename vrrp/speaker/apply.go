// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"cmp"
	"container/heap"
	"errors"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/vrrp"
)

// apply carries out what the loop's owner asked for. The error is that the socket is not allowed.
func (l *Loop) apply(now time.Time) error {
	w := l.desired.Load()
	retry := !l.reopen.IsZero() && !now.Before(l.reopen) || !l.carrierDue.IsZero() && !now.Before(l.carrierDue)
	if w == l.applied && !retry {
		return nil
	}
	l.applied = w
	l.connect()
	l.reconcile(now)
	l.connectPaths()
	if err := l.tune(now); err != nil {
		return err
	}
	l.tunePaths(now)
	var from sources
	if w.link != nil {
		from = sourcesOf(*w.link, l.isVIP)
	}
	l.carrierDue = time.Time{}
	for _, r := range l.routers {
		l.restore(r)
		l.assess(r, now, from)
		l.carrierDue = sooner(l.carrierDue, r.carrierDue)
	}
	l.started = l.started || w.link != nil
	return l.tune(now)
}

// tune opens the sockets that the routers need, and sets their filters.
func (l *Loop) tune(now time.Time) error {
	if l.conn == nil {
		return nil
	}
	var vrids [2]vridSet
	own := l.own[:0]
	for _, r := range l.routers {
		vrids[familyIndex(r.Config.Family() == 6)].add(r.Config.VRID)
		if src := r.Machine.Source(); src.Is4() && !slices.Contains(own, src) {
			own = append(own, src)
		}
	}
	l.own = own
	err := l.conn.meet(vrids[0], vrids[1], own)
	if errors.Is(err, unix.EPERM) {
		return err
	}
	if err != nil && l.reopen.IsZero() {
		l.reopen = now.Add(reopenPause)
		if l.log.allows(now, key{why: err.Error()}) {
			l.log.write(hclog.Warn, "failed to open VRRP socket, trying again", "interface", l.iface, "error", err)
		}
	}
	return nil
}

func familyIndex(v6 bool) int {
	if v6 {
		return 1
	}
	return 0
}

// connect makes the sockets for the present interface. Sockets of a former interface of the same name receive nothing.
func (l *Loop) connect() {
	link := l.applied.link
	l.usable = link != nil && link.FaultCause().Kind == 0
	l.up = link != nil && link.Index != 0 && link.Up
	needed := l.usable || l.up && slices.ContainsFunc(l.applied.routers, func(c vrrp.Config) bool { return c.LinkFault(*link).Kind == 0 })
	l.reopen = time.Time{}
	if l.conn != nil && l.conn.index != link.Index {
		if err := l.disconnect(); err != nil {
			l.log.write(hclog.Warn, "failed to close VRRP sockets of a former interface", "error", err)
		}
	}
	if needed && l.conn == nil {
		l.conn = newConn(l.iface, link.Index)
	}
}

func (l *Loop) disconnect() error {
	if l.conn == nil {
		return nil
	}
	err := l.conn.Close()
	l.conn = nil
	return err
}

// reconcile makes removed routers leave, changes those with another configuration, and adds new ones when their name and VRID
// are free.
func (l *Loop) reconcile(now time.Time) {
	for _, r := range l.routers {
		i := slices.IndexFunc(l.applied.routers, func(c vrrp.Config) bool { return r.Config.SameRouter(&c) })
		if i < 0 {
			i = l.renamed(r)
		}
		switch {
		case l.applied.shutdown:
			l.leave(r, now, vrrp.CauseShutdown)
		case i < 0:
			l.leave(r, now, vrrp.CauseRemoved)
		default:
			r.leaving = false
			l.change(r, now, &l.applied.routers[i])
		}
	}
	if l.applied.shutdown {
		return
	}
	for _, c := range l.applied.routers {
		if slices.ContainsFunc(l.routers, func(r *router) bool { return r.Config.Name == c.Name }) {
			continue
		}
		switch other := *l.slotOf(&c); {
		case other == nil:
			l.add(c)
		case !other.leaving:
			l.log.write(hclog.Error, "another virtual router has this VRID", "router", c.Name, "vrid", c.VRID, "by", other.Config.Name)
		}
	}
}

// renamed returns the index of the configuration that differs from r's only in the name, and that no other router has. It is
// -1 if there is none.
func (l *Loop) renamed(r *router) int {
	return slices.IndexFunc(l.applied.routers, func(c vrrp.Config) bool {
		taken := slices.ContainsFunc(l.routers, func(other *router) bool { return other.Config.Name == c.Name })
		return !taken && r.Config.VRID == c.VRID && r.Config.Family() == c.Family()
	})
}

// slotOf returns the place of the router with this family and VRID.
func (l *Loop) slotOf(c *vrrp.Config) **router {
	return &l.byVRID[familyIndex(c.Family() == 6)][c.VRID]
}

func (l *Loop) leave(r *router, now time.Time, why vrrp.CauseKind) {
	if !r.leaving {
		r.leaving = true
		l.step(r, now, vrrp.Event{Kind: vrrp.EventStop, Cause: &vrrp.Cause{Kind: why}})
	}
}

func (l *Loop) change(r *router, now time.Time, c *vrrp.Config) {
	if r.Config.Equal(c) {
		return
	}
	former := r.Config.Name
	r.setConfig(*c)
	l.step(r, now, vrrp.Event{Kind: vrrp.EventConfig, Config: c})
	if former != c.Name {
		l.provideSpoke(r)
		// This comes after the status with the new name, so that the owner always knows who holds the VIPs.
		l.log.write(hclog.Info, "virtual router has another name", "router", c.Name, "vrid", c.VRID, "was", former)
		why := vrrp.Cause{Kind: vrrp.CauseRenamed, Text: c.Name}
		l.notify(vrrp.Status{
			Name: former, Interface: c.Interface, VRID: c.VRID, State: vrrp.Initialize, Cause: why, Reason: why.String(),
		})
	}
}

func (l *Loop) add(c vrrp.Config) {
	r := newRouter(c)
	if before, resumes := l.applied.resume[c.Name]; resumes && !l.started {
		r.resume, r.resumeBefore = true, before
	}
	for _, s := range *l.gone.Load() {
		if s.of(&c) {
			r.Restore(s.Sequences)
		}
	}
	l.provideSpoke(r)
	*l.slotOf(&c) = r
	l.routers = append(l.routers, r)
	heap.Push(&l.timers, r)
	l.notify(*r.refresh())
	l.publish()
}

// provideSpoke finds the place where the router notes its advertisements. A renamed router notes the latest one there.
func (l *Loop) provideSpoke(r *router) {
	if l.spoke == nil {
		return
	}
	former := r.spoke.Load()
	if r.spoke = l.spoke(r.Config.Name); r.spoke == nil {
		r.spoke = &atomic.Int64{}
	}
	r.spoke.Store(former)
}

// sweep removes the routers that have left. Routers that wait for their names and VRIDs start at the next apply.
func (l *Loop) sweep() {
	if !l.ended {
		return
	}
	l.ended, l.applied = false, nil
	l.routers = slices.DeleteFunc(l.routers, func(r *router) bool {
		if !r.gone() {
			return false
		}
		heap.Remove(&l.timers, r.slot)
		l.keepGone(r, l.now())
		*l.slotOf(&r.Config) = nil
		return true
	})
	l.publish()
}

func (l *Loop) publish() {
	routers := slices.Clone(l.routers)
	l.published.Store(&routers)
}

// assess passes tracking and commands to a router, and tells it whether it can take part. from are our addresses.
func (l *Loop) assess(r *router, now time.Time, from sources) {
	l.pass(r, now)
	if l.applied.link == nil {
		return
	}
	src, missing := from.of(&r.Config, *l.applied.link, r.Machine.Source())
	if !src.IsValid() && r.Config.Priority == vrrp.PriorityOwner {
		// RFC 9568, section 1.8: the owner has the VIP as an address of its own, and may have no other address.
		all := sourcesOf(*l.applied.link, func(netip.Addr) bool { return false })
		src, missing = all.of(&r.Config, *l.applied.link, r.Machine.Source())
	}
	m := r.Machine
	hard := l.obstacle(r, now, missing)
	switch why := cmp.Or(hard, r.tracking.Cause()); {
	case why.Kind != 0:
		isHard := hard.Kind != 0
		if m.State() != vrrp.Fault || m.Cause() != why || isHard && m.Holding() {
			fault := why
			l.step(r, now, vrrp.Event{
				Kind: vrrp.EventFault, Cause: &fault, Gentle: !isHard, LastResort: !isHard && r.tracking.LastResort, Source: src,
			})
		}
	case r.leaving:
	case r.resume && (r.resumeBefore == 0 || bootTime() < r.resumeBefore):
		l.step(r, now, vrrp.Event{Kind: vrrp.EventResume, Source: src})
	case m.State() == vrrp.Initialize || m.State() == vrrp.Fault || m.LastResort() || m.Leaving() || m.Source() != src:
		l.step(r, now, vrrp.Event{Kind: vrrp.EventUp, Source: src})
	}
	r.resume = false
}

// pass gives the new tracking result and the new commands to a router's machine.
func (l *Loop) pass(r *router, now time.Time) {
	w := l.applied
	if t := w.tracking[r.Config.Name]; t != r.tracking {
		r.tracking = t
		l.step(r, now, vrrp.Event{Kind: vrrp.EventTracking, Delta: t.Delta, Unclear: t.Unclear, NoWitness: t.NoWitness, Granted: t.Granted, Unsynced: t.Unsynced})
	}
	if c := w.standby[r.Config.Name]; c.sequence != r.standby {
		r.standby = c.sequence
		l.step(r, now, vrrp.Event{Kind: vrrp.EventStandby, On: c.value})
	}
	if c := w.joins[r.Config.Name]; c.sequence != r.join {
		r.join = c.sequence
		cause := c.value.cause
		l.step(r, now, vrrp.Event{Kind: vrrp.EventJoin, To: c.value.to, Cause: &cause})
	}
	if c := w.heard[r.Config.Name]; c != r.heard {
		r.heard = c
		l.step(r, now, vrrp.Event{Kind: vrrp.EventAnnounced})
	}
	if c := w.placed[r.Config.Name]; c != r.placed {
		r.placed = c
		l.step(r, now, vrrp.Event{Kind: vrrp.EventPlaced})
	}
}

// obstacle returns why a router cannot send and receive on the link, the zero Cause if it can. missing says which source
// address the link lacks.
func (l *Loop) obstacle(r *router, now time.Time, missing string) vrrp.Cause {
	if why := r.Config.Problem(); why != "" {
		return vrrp.Cause{Kind: vrrp.FaultConfig, Text: why}
	}
	if why := l.linkFault(r, now); why.Kind != 0 {
		return why
	}
	if why := l.conn.fault(r.Config.Family() == 6); why != "" {
		return vrrp.Cause{Kind: vrrp.FaultSocket, Text: why}
	}
	if missing != "" {
		return vrrp.Cause{Kind: vrrp.FaultSource, Text: missing}
	}
	return vrrp.Cause{}
}

// linkFault returns the fault of the link that counts for a router. Only a carrier is debounced: without the interface, or without
// its sockets, the router cannot do anything.
func (l *Loop) linkFault(r *router, now time.Time) (counts vrrp.Cause) {
	is, by := r.Config.LinkFault(*l.applied.link), r.Config.Debounce
	if is.Kind == vrrp.FaultLinkMissing || is.Kind == vrrp.FaultLinkDown || l.conn == nil {
		by.DownDelay = 0
	}
	counts, r.carrierDue = r.carrier.Step(now, is, by)
	return counts
}

func (l *Loop) isVIP(a netip.Addr) bool {
	is := func(p netip.Prefix) bool { return p.Addr() == a }
	return slices.ContainsFunc(l.routers, func(r *router) bool {
		return slices.ContainsFunc(r.Config.VIPs, is) || slices.ContainsFunc(r.Config.ExcludedVIPs, is)
	})
}
