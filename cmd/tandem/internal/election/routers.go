// SPDX-License-Identifier: Apache-2.0

package election

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sync/errgroup"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/election/message"
	"github.com/tandem-lvs/tandem/garp"
	"github.com/tandem-lvs/tandem/vrrp"
)

// obey makes the running routers those of the order.
func (p *Process) obey(ctx context.Context, g *errgroup.Group, o message.Order) {
	if level := hclog.LevelFromString(o.LogLevel); level != hclog.NoLevel {
		p.log.SetLevel(level)
	}
	p.note(o)
	if p.order.Sequence == 0 {
		p.resume(o)
	}
	p.order = o
	perLink := make(map[string][]vrrp.Config)
	var configs []vrrp.Config
	watched := make(map[string]bool)
	for _, r := range o.Routers {
		p.known[message.IDOf(r.Config)] = r
		configs = append(configs, r.Config)
		perLink[r.Interface] = append(perLink[r.Interface], r.Config)
		watched[r.AddressInterface()] = true
		for _, t := range r.TrackInterfaces {
			watched[t.Interface] = true
		}
		p.provide(ctx, g, r.Config)
	}
	p.groups = vrrp.NewGroups(configs)
	// A unit whose routers are all gone stays: they hand over in their own time, and an idle loop costs nothing.
	for name, u := range p.units {
		u.loop.Configure(perLink[name])
		watched[name] = true
	}
	p.instruct()
	p.settle()
	// Last: with a link the routers start, and by now they know all that they are to be.
	p.watcher.Watch(slices.Sorted(maps.Keys(watched)))
	p.mu.Lock()
	p.sequence, p.beat = o.Sequence, o.BeatInterval()
	p.mu.Unlock()
	nudge(p.tell)
}

// provide makes what a router needs that is not there yet.
func (p *Process) provide(ctx context.Context, g *errgroup.Group, c vrrp.Config) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.units[c.Interface] == nil {
		u := newUnit(c.Interface, p.options, p.seeState)
		u.loop.Resume(p.resumable(c.Interface))
		p.units[c.Interface] = u
		u.start(ctx, g)
	}
	if at := addressKeyOf(c); p.addressUnits[at] == nil {
		h := newAddressUnit(at, p.options, func() { nudge(p.tell) })
		p.addressUnits[at] = h
		h.start(ctx, g)
	}
}

// resume notes which routers begin as master: those that a dead election or an election without a director has left so.
func (p *Process) resume(o message.Order) {
	now := monotonicNow()
	for _, r := range o.Resume {
		if now < r.Before {
			p.resumed[message.RouterID{Interface: r.Interface, Name: r.Name}] = true
		}
	}
	for _, m := range p.left.Masters {
		i := slices.IndexFunc(o.Routers, func(r message.Router) bool {
			return message.IDOf(r.Config) == message.IDOf(m.Config) && r.VRID == m.VRID && sameResources(r.Config, m.Config)
		})
		if i < 0 { // the configuration has changed meanwhile
			p.forgo(m.Config)
			continue
		}
		p.resumed[message.IDOf(m.Config)] = true
	}
	p.left = handoffState{}
}

// resumable are the names of the routers of an interface that begin as master.
func (p *Process) resumable(iface string) []string {
	var names []string
	for id := range p.resumed {
		if id.Interface == iface {
			names = append(names, id.Name)
		}
	}
	return names
}

// instruct tells the loops what tracking, sync groups and standby make of their routers, where that has changed.
func (p *Process) instruct() {
	p.mu.Lock()
	links := maps.Clone(p.links)
	p.mu.Unlock()
	own := make(map[string]vrrp.Tracking, len(p.order.Routers))
	for _, r := range p.order.Routers {
		own[r.Name] = track(r, links)
	}
	states := make(map[string]vrrp.Status, len(p.order.Routers))
	for _, r := range p.order.Routers {
		if s, ok := p.states[message.IDOf(r.Config)]; ok {
			states[r.Name] = s
		}
	}
	tracking, joins := p.groups.Decide(states, own)
	for _, r := range p.order.Routers {
		loop := p.units[r.Interface].loop
		now, before := lastSent{tracking[r.Name], r.Standby}, p.lastSent[message.IDOf(r.Config)]
		if now.tracking != before.tracking {
			loop.SetTracking(r.Name, now.tracking)
		}
		if now.standby != before.standby {
			loop.SetStandby(r.Name, now.standby)
		}
		p.lastSent[message.IDOf(r.Config)] = now
	}
	for _, j := range joins {
		p.units[j.Interface].loop.Join(j.Name, j.To, j.Reason)
	}
}

// settle brings tracking and addresses in line with what the loops and links said.
func (p *Process) settle() {
	p.newsMu.Lock()
	news := p.news
	p.news = make(map[message.RouterID]vrrp.Status)
	p.newsMu.Unlock()
	for id, s := range news {
		if s.RivalHeard.After(p.states[id].RivalHeard) {
			p.reassert(id, s)
		}
		p.states[id] = s
		if s.State != vrrp.Initialize {
			delete(p.resumed, id)
		}
	}
	p.instruct()
	p.hold()
	nudge(p.tell)
}

// reassert announces the addresses of a master anew that another one has claimed as well: a network that was in two has
// come together, and half of it knows them at the other.
func (p *Process) reassert(id message.RouterID, s vrrp.Status) {
	r, known := p.known[id]
	if !known || s.State != vrrp.Master || s.HandingOver {
		return
	}
	var addrs []netip.Addr
	for _, a := range r.Assets().Addresses {
		addrs = append(addrs, a.Addr())
	}
	p.addressUnits[addressKeyOf(r.Config)].announcer.Reannounce(addrs...)
}

// hold tells each holder what is to be on its interface.
func (p *Process) hold() {
	claims := make(map[addressKey]*desired)
	for at := range p.addressUnits {
		claims[at] = &desired{announce: make(map[netip.Addr]garp.Config)}
	}
	ordered := make(map[message.RouterID]bool, len(p.order.Routers))
	for _, r := range p.order.Routers {
		ordered[message.IDOf(r.Config)] = true
	}
	for _, id := range slices.SortedFunc(maps.Keys(p.known), message.RouterID.Compare) {
		r, s, resumed := p.known[id], p.states[id], p.resumed[id]
		if !ordered[id] && !s.Holding {
			// What it had comes off as of one that is managed no more. One of its name that comes later begins afresh.
			p.units[id.Interface].loop.SetStandby(id.Name, false)
			p.units[id.Interface].loop.SetTracking(id.Name, vrrp.Tracking{})
			delete(p.known, id)
			delete(p.states, id)
			delete(p.lastSent, id)
		}
		c := claims[addressKeyOf(r.Config)]
		assets := r.Assets()
		add(&c.managed, assets)
		if !s.Holding && !resumed {
			continue
		}
		add(&c.want, assets)
		if s.HandingOver {
			continue
		}
		for _, a := range assets.Addresses {
			c.announce[a.Addr()] = announcement(r)
		}
	}
	for at, h := range p.addressUnits {
		h.hold(*claims[at])
	}
}

// announcement says how a router's addresses are announced. A virtual MAC address is at the port of a switch that it was
// last seen at. While the former master lingers, its answers to what it was asked take the address back to its own port;
// when it has let go, nothing that is sent there arrives, so the new master speaks up again then.
func announcement(r message.Router) garp.Config {
	c := r.Announce
	if !r.VirtualMAC {
		return c
	}
	c.Repeat = slices.Clone(c.Repeat)
	for _, later := range []time.Duration{0, 2, 4, 7, 12, 20, 50} { // it lets go within milliseconds, or tens on a busy machine
		c.Repeat = append(c.Repeat, vrrp.Linger+later*time.Millisecond)
	}
	slices.Sort(c.Repeat)
	c.Repeat = slices.Compact(c.Repeat)
	return c
}

// add puts more assets in place, where Append would copy a thousand routers' for each of them.
func add(to *vrrp.Assets, more vrrp.Assets) {
	to.Addresses = append(to.Addresses, more.Addresses...)
	to.Routes = append(to.Routes, more.Routes...)
	to.Rules = append(to.Rules, more.Rules...)
}

// track adds what the interfaces that a router tracks make of it to what the director tracks.
func track(r message.Router, links map[string]vrrp.Link) vrrp.Tracking {
	t := r.Tracking
	for _, ti := range r.TrackInterfaces {
		link, seen := links[ti.Interface]
		if !seen {
			continue // the watcher is about to tell
		}
		fault := link.Fault()
		switch {
		case ti.Weight == 0 && fault != "" && t.Fault == "":
			t.Fault = "tracked " + fault
		case ti.Weight < 0 && fault != "", ti.Weight > 0 && fault == "":
			t.Delta += ti.Weight
		}
	}
	return t
}
