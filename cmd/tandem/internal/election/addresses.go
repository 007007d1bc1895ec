// SPDX-License-Identifier: Apache-2.0

package election

import (
	"bytes"
	"context"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/election/message"
	"github.com/tandem-lvs/tandem/garp"
	"github.com/tandem-lvs/tandem/garp/wire"
	"github.com/tandem-lvs/tandem/vrrp"
	"github.com/tandem-lvs/tandem/vrrp/address"
)

// prepareTime is the maximum time that a new master with a virtual MAC waits until the director has prepared the lower interface. At
// a start the director prepares it first. Only after a reload it does so at the same time.
const prepareTime = 2 * time.Second

// An addressKey is a place of virtual routers' addresses. Routers with the same key share the interface.
type addressKey struct {
	iface string
	mac   vrrp.VirtualMAC
}

func addressKeyOf(at address.Placement) addressKey { return addressKey{at.Interface, at.MAC} }

// link returns the interface that carries the packets.
func (k addressKey) link() string {
	if k.mac.Parent != "" {
		return k.mac.Parent
	}
	return k.iface
}

// A desired is the state that an addressUnit must bring about on its interface.
type desired struct {
	managed, want address.Resources
	// announce has the addresses to announce, with their settings. An address that is being handed over is still on the
	// interface, but no longer announced. It is still watched: its new master may have to be announced.
	announce map[netip.Addr]garp.Config
	watch    []netip.Addr
	// allPlaced is called when all wanted addresses are on the interface, nil for nothing to call.
	allPlaced func()
	leaving   []garp.HandOver // of watch, those that are kept only until their new master was heard to announce them
}

// An addressUnit puts a master's addresses on an interface, announces them, and watches for other machines that claim them.
// It works beside the loops, which must not wait.
type addressUnit struct {
	reconciler *address.Reconciler
	announcer  *wire.Announcer
	watcher    *wire.Watcher

	mu       sync.Mutex
	announce map[netip.Addr]garp.Config // as last desired
	want     address.Resources          // as last desired
	all      func()                     // allPlaced, as last desired
}

// newAddressUnit returns the unit of a key. It calls changed, which must not block, when a rival appears or something was repaired.
func newAddressUnit(k addressKey, o Options, changed func()) *addressUnit {
	u := &addressUnit{announcer: wire.NewAnnouncer(k.iface, o.Log)}
	u.watcher = wire.NewWatcher(k.iface, o.Log, func(r garp.Rival) {
		o.Log.Warn("another machine claims a virtual address: announcing it again", "interface", k.iface,
			"address", r.Address, "hardware", r.Hardware, "neighbours", r.Neighbours, "by", r.How)
		u.announcer.Reannounce(r.Address)
		changed()
	})
	u.reconciler = address.New(k.iface, address.Options{
		Log: o.Log, Placed: u.placed, AllPlaced: u.allPlaced, Repaired: changed, MAC: k.mac, Prepare: prepareTime,
	})
	return u
}

// start runs the unit in g until ctx ends.
func (u *addressUnit) start(ctx context.Context, g *errgroup.Group) {
	g.Go(func() error { return u.reconciler.Run(ctx) })
	g.Go(func() error { return u.announcer.Run(ctx) })
	g.Go(func() error { return u.watcher.Run(ctx) })
}

// apply makes the interface as d says.
func (u *addressUnit) apply(d desired) {
	u.mu.Lock()
	defer u.mu.Unlock()
	var lost []netip.Addr
	for addr := range u.announce {
		if _, still := d.announce[addr]; !still {
			lost = append(lost, addr)
		}
	}
	// The reconciler does not report an address as placed if it was offered to a peer and nobody took it: it never left the
	// interface.
	for _, a := range u.want.Addresses {
		_, before := u.announce[a.Addr()]
		if announce, now := d.announce[a.Addr()]; now && !before {
			u.announcer.Announce(announce, []netip.Addr{a.Addr()})
		}
	}
	u.announce, u.want, u.all = d.announce, d.want, d.allPlaced
	// Withdraw first, then remove: an announcement after the removal would attract traffic that this machine refuses.
	if len(lost) > 0 {
		u.announcer.Withdraw(lost)
	}
	u.reconciler.Set(d.managed, d.want)
	slices.SortFunc(d.watch, netip.Addr.Compare)
	u.watcher.Set(slices.Compact(d.watch), d.leaving...)
}

// linkChanged announces all addresses again if the link works again or has another MAC address. Otherwise the neighbours miss
// the announcements, or keep the former MAC address.
func (u *addressUnit) linkChanged(before, now vrrp.Link) {
	if now.Fault() == "" && (before.Fault() != "" || before.Index != now.Index || !bytes.Equal(before.Hardware, now.Hardware)) {
		u.announcer.Reannounce()
	}
}

// placed announces addresses that the reconciler put on the interface or found there, unless they are no longer desired.
func (u *addressUnit) placed(added []netip.Prefix) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, vip := range added {
		if announce, ours := u.announce[vip.Addr()]; ours {
			u.announcer.Announce(announce, []netip.Addr{vip.Addr()})
		}
	}
}

// allPlaced tells the router of a virtual MAC interface that its addresses are there.
func (u *addressUnit) allPlaced() {
	u.mu.Lock()
	tell := u.all
	u.mu.Unlock()
	if tell != nil {
		tell()
	}
}

// announceAgain announces the addresses of a master again after another master was heard. The network was split, and one half
// of it still sends to the other master.
func (p *Process) announceAgain(id message.RouterID, s vrrp.Status) {
	if r, known := p.known[id]; known && s.State == vrrp.Master && !s.HandingOver {
		for _, at := range address.PlacementsOf(r.Config) {
			p.addressUnits[addressKeyOf(at)].announcer.Contest(addressesOf(at))
		}
	}
}

// A referral is a virtual router that this machine announces for its new master.
type referral struct {
	vrrp.Config
	began time.Time
}

// A succession is a hand-over of a router's addresses to a new master, while this machine still has them.
type succession struct {
	successor netip.Addr
	heard     time.Time
	// silent is the number of interfaces where the successor was not heard to announce all addresses.
	silent *atomic.Int32
}

func newSuccession(c vrrp.Config, successor netip.Addr, heard time.Time) succession {
	to := succession{successor, heard, &atomic.Int32{}}
	for _, at := range address.PlacementsOf(c) {
		if len(at.Addresses) > 0 {
			to.silent.Add(1)
		}
	}
	return to
}

// refer announces the addresses of a router that this machine was master of. It does so for the new master, unless the new
// master was heard to announce them. It begins when this machine removes them: until then the new master may not have them. If a
// router was cut off, it gave up its addresses without a successor: then refer does this when the router hears a master. A
// virtual MAC address is the same at both.
func (p *Process) refer(id message.RouterID, before, s vrrp.Status) {
	r, known := p.known[id]
	if !known || r.VirtualMAC {
		return
	}
	now := time.Now()
	to, handsOver := p.succeed(id, before, s)
	switch {
	case s.State == vrrp.Master && s.Holding:
		delete(p.givenUp, id)
		delete(p.succeeded, id)
	case handsOver && s.Holding:
	case handsOver:
		delete(p.succeeded, id)
		p.referred[id] = referral{r.Config, now}
		p.referOn(r.Config, to.heard, latest(to.heard, now.Add(-vrrp.Linger)), to.successor)
		p.giveUpAlone(id, before, s)
	case s.State == vrrp.Backup && s.Master.IsValid() && s.Master != before.Master:
		if _, gaveUp := p.givenUp[id]; gaveUp {
			p.referred[id] = referral{r.Config, now}
		}
		delete(p.givenUp, id)
		p.referOn(r.Config, now, p.referFrom(&r.Config, now), s.Master)
	default:
		p.giveUpAlone(id, before, s)
	}
}

// referFrom returns from when the addresses of a router are referred to a master that was heard now. An election that was killed knows no
// sequence numbers, so the next one may take repeated advertisements for those of the master, at first. Two intervals later the master
// itself was heard, and if its hardware address is another one, nothing is announced.
func (p *Process) referFrom(c *vrrp.Config, now time.Time) time.Time {
	if c.HMAC.On() && now.Sub(p.began) < c.Silence() {
		return now.Add(2 * c.AdvertInterval)
	}
	return now
}

// referOn refers the addresses of a router on each of their interfaces.
func (p *Process) referOn(c vrrp.Config, heard, since time.Time, successor netip.Addr) {
	for _, at := range address.PlacementsOf(c) {
		p.addressUnits[addressKeyOf(at)].watcher.Refer(heard, since, addressesOf(at), successor)
	}
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// succeed records the router that takes over from one of ours, and returns it if there is one.
func (p *Process) succeed(id message.RouterID, before, s vrrp.Status) (to succession, handsOver bool) {
	to, handsOver = p.succeeded[id]
	switch {
	case s.State == vrrp.Backup && handsOver && s.Master.IsValid():
		to.successor = s.Master
	case !handsOver && s.Successor.IsValid():
		to = newSuccession(p.known[id].Config, s.Successor, s.Since)
	case before.State == vrrp.Master && s.State != vrrp.Master && s.Cause.Peer.IsValid():
		to = newSuccession(p.known[id].Config, s.Cause.Peer, s.Since)
	default:
		return to, handsOver
	}
	p.succeeded[id] = to
	return to, true
}

// giveUpAlone records that a router gave up its addresses, if it knows no master.
func (p *Process) giveUpAlone(id message.RouterID, before, s vrrp.Status) {
	if !before.Holding || s.Holding || s.Master.IsValid() || s.Cause.Peer.IsValid() {
		return
	}
	p.givenUp[id] = p.known[id].Config
	if s.State != vrrp.Initialize { // otherwise the next election does it
		p.newlyGivenUp = append(p.newlyGivenUp, p.givenUp[id])
	}
}

// untold returns the routers for which neighbours may still have this machine's address: those without a known successor, and
// those whose new masters are still being announced. The next election continues with them.
func (p *Process) untold() (all []vrrp.Config) {
	for id, r := range p.referred {
		if time.Since(r.began) < garp.ReferralTime {
			p.givenUp[id] = r.Config
		}
	}
	for id := range p.succeeded {
		p.givenUp[id] = p.known[id].Config
	}
	for _, id := range slices.SortedFunc(maps.Keys(p.givenUp), message.RouterID.Compare) {
		all = append(all, p.givenUp[id])
	}
	return all
}

// giveUp records routers whose addresses a former election may have had, or has given up without a successor.
func (p *Process) giveUp(routers []vrrp.Config) {
	for _, c := range routers {
		p.givenUp[message.IDOf(c)] = c
	}
	p.newlyGivenUp = append(p.newlyGivenUp, routers...)
}

// awaitMasters waits for a master of the addresses that were given up without a successor, and announces the addresses for the
// first master that is heard.
func (p *Process) awaitMasters() {
	if !p.obeyed {
		return
	}
	for _, c := range p.newlyGivenUp {
		id := message.IDOf(c)
		switch r, known := p.known[id]; {
		case !known || r.VirtualMAC || !sameResources(r.Config, c):
			delete(p.givenUp, id)
		case !p.resumes(id) && !p.states[id].Holding:
			for _, at := range address.PlacementsOf(c) {
				p.addressUnits[addressKeyOf(at)].watcher.GiveUp(addressesOf(at))
			}
		}
	}
	p.newlyGivenUp = nil
}

func addressesOf(at address.Placement) (addrs []netip.Addr) {
	for _, a := range at.Addresses {
		addrs = append(addrs, a.Addr())
	}
	return addrs
}

// setAddresses gives each addressUnit its desired state.
func (p *Process) setAddresses() {
	all := make(map[addressKey]*desired)
	for key := range p.addressUnits {
		all[key] = &desired{announce: make(map[netip.Addr]garp.Config)}
	}
	for _, id := range slices.SortedFunc(maps.Keys(p.known), message.RouterID.Compare) {
		for _, at := range address.PlacementsOf(p.known[id].Config) {
			p.setPlacement(all[addressKeyOf(at)], id, at)
		}
	}
	for key, u := range p.addressUnits {
		u.apply(*all[key])
	}
}

// setPlacement adds what a router has on an interface to the desired state of this interface.
func (p *Process) setPlacement(d *desired, id message.RouterID, at address.Placement) {
	r, s := p.known[id], p.states[id]
	add(&d.managed, at.Resources)
	if !s.Holding && !p.resumes(id) {
		return
	}
	add(&d.want, at.Resources)
	loop := p.units[r.Interface].loop
	if r.VirtualMAC {
		d.allPlaced = func() { loop.Placed(r.Name) } // no other router has this interface
	}
	addrs := addressesOf(at)
	d.watch = append(d.watch, addrs...)
	if to, handsOver := p.succeeded[id]; handsOver && s.Successor.IsValid() && len(addrs) > 0 {
		d.leaving = append(d.leaving, garp.HandOver{
			Router: r.Interface + " " + r.Name, Heard: to.heard, Addrs: addrs, Announced: func() {
				if to.silent.Add(-1) == 0 {
					loop.Announced(r.Name)
				}
			},
		})
	}
	if s.HandingOver {
		return
	}
	for _, a := range addrs {
		d.announce[a] = announcement(r)
	}
}

// announcement returns how a router's addresses are announced. Switches send a virtual MAC address to the port where they saw
// it last. Until the former master has removed the addresses, its answers move the MAC address back to its own port. After
// that, packets to this port are lost. So the new master announces once more at that moment.
func announcement(r message.Router) garp.Config {
	c := r.Announce
	if !r.VirtualMAC {
		return c
	}
	c.Repeat = slices.Clone(c.Repeat)
	for _, later := range []time.Duration{0, 2, 4, 7, 12, 20, 50} { // it removes them within milliseconds, or tens of milliseconds on a busy machine
		c.Repeat = append(c.Repeat, vrrp.Linger+later*time.Millisecond)
	}
	slices.Sort(c.Repeat)
	c.Repeat = slices.Compact(c.Repeat)
	return c
}

// add appends in place. Resources.Append would copy the resources of a thousand routers for each of them.
func add(to *address.Resources, more address.Resources) {
	to.Addresses = append(to.Addresses, more.Addresses...)
	to.Routes = append(to.Routes, more.Routes...)
	to.Rules = append(to.Rules, more.Rules...)
}
