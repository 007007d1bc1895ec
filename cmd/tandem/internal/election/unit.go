// SPDX-License-Identifier: Apache-2.0

package election

import (
	"context"
	"net/netip"
	"sync"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sync/errgroup"

	"github.com/tandem-lvs/tandem/garp"
	"github.com/tandem-lvs/tandem/vrrp"
)

// A unit is all that runs for one interface: the election loop and, beside it, what it must never wait for.
type unit struct {
	loop      *vrrp.Loop
	keeper    *vrrp.Keeper
	announcer *garp.Announcer
	left      chan struct{} // closed when the loop has ended

	mu   sync.Mutex
	held map[netip.Addr]garp.Config // what is ours at the moment and how it is announced
}

func newUnit(iface string, log hclog.Logger, notify func(vrrp.Status)) *unit {
	u := &unit{
		loop:      vrrp.NewLoop(iface, vrrp.LoopOptions{Log: log, Notify: notify}),
		announcer: garp.New(iface, log),
		left:      make(chan struct{}),
	}
	u.keeper = vrrp.NewKeeper(iface, vrrp.KeeperOptions{Log: log, Placed: u.placed})
	return u
}

// start runs the unit in g until ctx ends; the loop alone may end earlier, by Shutdown.
func (u *unit) start(ctx context.Context, g *errgroup.Group) {
	g.Go(func() error { return u.keeper.Run(ctx) })
	g.Go(func() error { return u.announcer.Run(ctx) })
	g.Go(func() error {
		defer close(u.left)
		return u.loop.Run(ctx)
	})
}

// hold makes want the addresses that are on the interface, out of managed.
func (u *unit) hold(managed []netip.Prefix, want map[netip.Prefix]garp.Config) {
	held := make(map[netip.Addr]garp.Config, len(want))
	prefixes := make([]netip.Prefix, 0, len(want))
	for vip, announce := range want {
		held[vip.Addr()] = announce
		prefixes = append(prefixes, vip)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	var lost []netip.Addr
	for addr := range u.held {
		if _, still := held[addr]; !still {
			lost = append(lost, addr)
		}
	}
	u.held = held
	// First the silence, then the removal: an announcement after it would call traffic to a machine that refuses it.
	if len(lost) > 0 {
		u.announcer.Withdraw(lost)
	}
	u.keeper.Set(assets(managed), assets(prefixes))
}

func assets(vips []netip.Prefix) (a vrrp.Assets) {
	for _, p := range vips {
		a.Addresses = append(a.Addresses, vrrp.Address{Prefix: p})
	}
	return a
}

// placed announces addresses that the keeper put on the interface, unless they have been given up meanwhile.
func (u *unit) placed(added []netip.Prefix) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, vip := range added {
		if announce, ours := u.held[vip.Addr()]; ours {
			u.announcer.Announce(announce, []netip.Addr{vip.Addr()})
		}
	}
}
