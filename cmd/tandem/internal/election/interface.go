// SPDX-License-Identifier: Apache-2.0

package election

import (
	"bytes"
	"context"
	"maps"
	"net/netip"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/tandem-lvs/tandem/garp"
	"github.com/tandem-lvs/tandem/vrrp"
)

// A unit is the election on one interface.
type unit struct {
	loop *vrrp.Loop
	left chan struct{} // closed when the loop has ended
}

func newUnit(iface string, o Options, notify func(vrrp.Status)) *unit {
	return &unit{
		loop: vrrp.NewLoop(iface, vrrp.LoopOptions{Log: o.Log, Notify: notify, Realtime: o.Realtime}),
		left: make(chan struct{}),
	}
}

// start runs the unit in g until ctx ends or the loop is shut down.
func (u *unit) start(ctx context.Context, g *errgroup.Group) {
	g.Go(func() error {
		defer close(u.left)
		return u.loop.Run(ctx)
	})
}

// An addressKey is where a virtual router has its addresses. Routers with the same place share it.
type addressKey struct {
	iface string
	mac   vrrp.VirtualMAC
}

func addressKeyOf(c vrrp.Config) addressKey { return addressKey{c.AddressInterface(), c.MAC()} }

// link returns the interface that the place is reached by.
func (p addressKey) link() string {
	if p.mac.Parent != "" {
		return p.mac.Parent
	}
	return p.iface
}

// A desired is what a place should be like.
type desired struct {
	managed, want vrrp.Assets
	// announce says how the addresses that are ours to announce are announced. One that is being handed over is on
	// the interface still, and no longer announced.
	announce map[netip.Addr]garp.Config
}

// A holder puts what a master has on an interface, announces it, and looks out for others that claim it. It works beside
// the loops, which must not wait.
type addressUnit struct {
	keeper    *vrrp.Keeper
	announcer *garp.Announcer
	watcher   *garp.Watcher

	mu       sync.Mutex
	announce map[netip.Addr]garp.Config // as last claimed
	want     vrrp.Assets                // likewise
}

// newAddressUnit returns the holder of a place; it calls changed, which must not block, when a rival turns up.
func newAddressUnit(p addressKey, o Options, changed func()) *addressUnit {
	h := &addressUnit{announcer: garp.New(p.iface, o.Log)}
	h.watcher = garp.NewWatcher(p.iface, o.Log, func(r garp.Rival) {
		o.Log.Warn("another machine claims a virtual address: announcing it anew", "interface", p.iface,
			"address", r.Address, "hardware", r.Hardware, "neighbours", r.Neighbours, "by", r.How)
		h.announcer.Reannounce(r.Address)
		changed()
	})
	h.keeper = vrrp.NewKeeper(p.iface, vrrp.KeeperOptions{Log: o.Log, Placed: h.placed, MAC: p.mac})
	return h
}

// start runs the holder in g until ctx ends.
func (h *addressUnit) start(ctx context.Context, g *errgroup.Group) {
	g.Go(func() error { return h.keeper.Run(ctx) })
	g.Go(func() error { return h.announcer.Run(ctx) })
	g.Go(func() error { return h.watcher.Run(ctx) })
}

// hold makes the interface what c says.
func (h *addressUnit) hold(c desired) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var lost []netip.Addr
	for addr := range h.announce {
		if _, still := c.announce[addr]; !still {
			lost = append(lost, addr)
		}
	}
	// What was offered to a peer that did not take it has been there all the time, and the keeper will not tell of it.
	for _, a := range h.want.Addresses {
		_, before := h.announce[a.Addr()]
		if announce, now := c.announce[a.Addr()]; now && !before {
			h.announcer.Announce(announce, []netip.Addr{a.Addr()})
		}
	}
	h.announce, h.want = c.announce, c.want
	// First the silence, then the removal: an announcement after it would call traffic to a machine that refuses it.
	if len(lost) > 0 {
		h.announcer.Withdraw(lost)
	}
	h.keeper.Set(c.managed, c.want)
	h.watcher.Set(slices.SortedFunc(maps.Keys(c.announce), netip.Addr.Compare))
}

// see tells what became of the interface that the place is reached by. Neighbours have missed what was announced while
// it could not carry it, and know the addresses at a MAC address that may be its former one.
func (h *addressUnit) see(before, now vrrp.Link) {
	if now.Fault() == "" && (before.Fault() != "" || before.Index != now.Index || !bytes.Equal(before.Hardware, now.Hardware)) {
		h.announcer.Reannounce()
	}
}

// placed announces addresses that the keeper put on the interface or found there, unless they have been given up meanwhile.
func (h *addressUnit) placed(added []netip.Prefix) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, vip := range added {
		if announce, ours := h.announce[vip.Addr()]; ours {
			h.announcer.Announce(announce, []netip.Addr{vip.Addr()})
		}
	}
}
