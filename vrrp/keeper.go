// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/vishvananda/netlink"
)

const (
	// keepInterval is the pause between two checks of addresses of which nothing was heard.
	keepInterval = time.Second
	// keepRetry is the pause before what failed is tried again.
	keepRetry = 100 * time.Millisecond
)

// A Keeper holds the VIPs of one interface: it puts them there, takes them off, and puts back what somebody removed.
//
// An address is ours when the caller says so, whoever put it there: same address, same prefix length. The same
// address with another prefix length is somebody else's and stays, also when the VIP comes off. A VIP of IPv4 is
// then added beside it; IPv6 has no room for both, so there the VIP counts as held.
//
// VIPs of IPv6 skip duplicate detection, which would keep them useless for a second, and are deprecated from the
// start, so that the machine does not choose them as source of its own connections (RFC 6724, section 5, rule 3).
type Keeper struct {
	iface  string
	log    hclog.Logger
	placed func([]netip.Prefix)
	wake   chan struct{}
	writes atomic.Uint64

	mu      sync.Mutex
	managed []netip.Prefix
	want    []netip.Prefix
	leaving map[netip.Prefix]struct{} // were managed and come off

	// The rest belongs to Run.
	index   int                       // of the interface that was last seen
	held    map[netip.Prefix]struct{} // were there after the last check
	foreign map[netip.Prefix]struct{} // of others, in a VIP's place, and warned of
	trouble string                    // the last error that was logged
}

// NewKeeper returns the Keeper of an interface. Run's goroutine calls placed with addresses that it has just added,
// in the order of want and a few at a time, so that they can be announced; placed must not block.
func NewKeeper(iface string, log hclog.Logger, placed func(added []netip.Prefix)) *Keeper {
	return &Keeper{
		iface: iface, log: log.With("interface", iface), placed: placed, wake: make(chan struct{}, 1),
		leaving: map[netip.Prefix]struct{}{}, held: map[netip.Prefix]struct{}{}, foreign: map[netip.Prefix]struct{}{},
	}
}

// Set says which addresses are ours on the interface and which of them are to be there; the others of ours come
// off, and so do those that were ours until now. What is wanted is ours. The latest call counts. It never blocks.
func (k *Keeper) Set(managed, want []netip.Prefix) {
	managed = slices.Concat(managed, want)
	k.mu.Lock()
	for _, p := range k.managed {
		k.leaving[p] = struct{}{}
	}
	for _, p := range managed {
		delete(k.leaving, p)
	}
	k.managed, k.want = managed, slices.Clone(want)
	k.mu.Unlock()
	k.kick()
}

// Link tells what a Watcher saw. What is amiss there is mended at once. It never blocks.
func (k *Keeper) Link(l Link) {
	there := make(map[netip.Prefix]struct{}, len(l.Addrs))
	for _, p := range l.Addrs {
		there[p] = struct{}{}
	}
	want, off := k.orders()
	present := func(p netip.Prefix) bool { _, ok := there[p]; return ok }
	absent := func(p netip.Prefix) bool { return !present(p) }
	if slices.ContainsFunc(want, absent) || slices.ContainsFunc(off, present) {
		k.kick()
	}
}

// Writes counts the requests to the kernel to add or delete an address.
func (k *Keeper) Writes() uint64 { return k.writes.Load() }

func (k *Keeper) kick() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// orders returns the addresses that are to be on the interface and those of ours that are not.
func (k *Keeper) orders() (want, off []netip.Prefix) {
	k.mu.Lock()
	defer k.mu.Unlock()
	wanted := make(map[netip.Prefix]struct{}, len(k.want))
	for _, p := range k.want {
		wanted[p] = struct{}{}
	}
	for _, p := range k.managed {
		if _, ok := wanted[p]; !ok {
			off = append(off, p)
		}
	}
	for p := range k.leaving {
		off = append(off, p)
	}
	return slices.Clone(k.want), off
}

// Run keeps the addresses until ctx ends; then it takes all of ours off and returns an error only if that fails.
// An interface that is missing is waited for. What fails is logged once and tried again.
//
// Run's own goroutine opens the netlink socket: where threads differ in their network namespace, it must be locked
// to one.
func (k *Keeper) Run(ctx context.Context) error {
	handle, err := openNetlink()
	if err != nil {
		return err
	}
	defer handle.Close()
	t := addressTable{handle: handle, writes: &k.writes}
	timer := time.NewTimer(keepInterval)
	defer timer.Stop()
	for {
		want, off := k.orders()
		err := k.check(t, want, off)
		k.report(err)
		switch {
		case err != nil:
			timer.Reset(keepRetry)
		case len(want)+len(off) > 0:
			timer.Reset(keepInterval)
		}
		select {
		case <-ctx.Done():
			want, off := k.orders()
			return k.check(t, nil, append(off, want...))
		case <-k.wake:
		case <-timer.C:
		}
	}
}

func (k *Keeper) report(err error) {
	switch {
	case err == nil && k.trouble != "":
		k.trouble = ""
		k.log.Info("virtual addresses in order again")
	case err != nil && err.Error() != k.trouble:
		k.trouble = err.Error()
		k.log.Warn("virtual addresses not in order, trying again", "error", err)
	}
}

// check makes the interface have the wanted addresses and none of those that are off, and writes nothing where that
// is so already.
func (k *Keeper) check(t addressTable, want, off []netip.Prefix) error {
	dev, err := t.link(k.iface)
	if err != nil {
		return err
	}
	if err := k.follow(t, dev, want, off); err != nil || dev == nil {
		return err
	}
	present, err := t.list(dev)
	if err != nil {
		return err
	}
	removed, removeErr := t.remove(dev, present, off, want)
	if removed > 0 {
		k.log.Info("virtual addresses removed", "count", removed)
		clear(k.held) // others may have gone with them
		if present, err = t.list(dev); err != nil {
			return err
		}
	}
	if removeErr == nil {
		k.forget(off)
	}
	addErr := k.add(t, dev, present, want)
	if removeErr != nil {
		return removeErr
	}
	return addErr
}

// follow notices that the interface is another one than last time. Our addresses come off the old one if it lives
// on under another name.
func (k *Keeper) follow(t addressTable, dev netlink.Link, want, off []netip.Prefix) error {
	index := 0
	if dev != nil {
		index = dev.Attrs().Index
	}
	if index == k.index {
		return nil
	}
	if k.index != 0 {
		old := &netlink.Device{LinkAttrs: netlink.LinkAttrs{Index: k.index}}
		present, err := t.list(old)
		if err != nil {
			return err
		}
		if _, err := t.remove(old, present, append(off, want...), nil); err != nil {
			return err
		}
	}
	k.index = index
	clear(k.held)
	return nil
}

// forget drops addresses that have come off from those that are to.
func (k *Keeper) forget(off []netip.Prefix) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, p := range off {
		delete(k.leaving, p)
	}
}

// add puts the wanted addresses on the interface that are not there, and says so to placed a few at a time: the
// announcement of the first does not wait for the thousandth.
func (k *Keeper) add(t addressTable, dev netlink.Link, present []netlink.Addr, want []netip.Prefix) error {
	const few = 16
	var (
		added    []netip.Prefix
		total    int
		failures failures
	)
	tell := func(least int) {
		if len(added) >= least {
			k.placed(added)
			total += len(added)
			added = nil
		}
	}
	for _, p := range k.missing(present, want) {
		if err := t.add(dev, p); err != nil {
			failures.note(fmt.Errorf("add %s to %s: %w", p, k.iface, err))
			continue
		}
		if _, ok := k.held[p]; ok {
			k.log.Warn("virtual address was gone and is put back", "address", p)
		}
		k.held[p] = struct{}{}
		added = append(added, p)
		tell(few)
	}
	tell(1)
	if total > 0 {
		k.log.Info("virtual addresses added", "count", total)
	}
	return failures.err()
}

// missing returns the wanted addresses that are to be added, and warns of others' addresses in their place.
func (k *Keeper) missing(present []netlink.Addr, want []netip.Prefix) []netip.Prefix {
	there := make(map[netip.Prefix]struct{}, len(present))
	others := make(map[netip.Addr]netip.Prefix, len(present))
	for _, a := range present {
		p, ok := ours(a)
		if !ok {
			continue
		}
		there[p] = struct{}{}
		others[p.Addr()] = p
	}
	var missing []netip.Prefix
	for _, p := range want {
		if _, ok := there[p]; ok {
			delete(k.foreign, p)
			k.held[p] = struct{}{}
			continue
		}
		other, taken := others[p.Addr()]
		if !taken {
			delete(k.foreign, p)
		} else if _, warned := k.foreign[p]; !warned {
			k.foreign[p] = struct{}{}
			k.log.Warn("virtual address is there with another prefix length and is not ours to remove",
				"address", p, "found", other)
		}
		if !taken || p.Addr().Is4() {
			there[p] = struct{}{}
			missing = append(missing, p)
		}
	}
	return missing
}

// RemoveAddresses takes addresses off an interface, once. An interface or address that is missing is no error. It
// works in the network namespace of the calling thread.
func RemoveAddresses(iface string, vips []netip.Prefix) error {
	handle, err := openNetlink()
	if err != nil {
		return err
	}
	defer handle.Close()
	t := addressTable{handle: handle, writes: new(atomic.Uint64)}
	dev, err := t.link(iface)
	if err != nil || dev == nil {
		return err
	}
	present, err := t.list(dev)
	if err != nil {
		return err
	}
	_, err = t.remove(dev, present, vips, nil)
	return err
}
