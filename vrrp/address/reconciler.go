// SPDX-License-Identifier: Apache-2.0

package address

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/vrrp"
)

const (
	// keepInterval is the pause between two checks of assets of which nothing was heard.
	keepInterval = time.Second
	// keepSettle is the pause before another look at what was just changed: what somebody undid at once may have
	// come and gone between two looks of a Watcher, which then has nothing to tell.
	keepSettle = 20 * time.Millisecond
	// keepRetry is the pause before what failed is tried again.
	keepRetry = 100 * time.Millisecond
)

// KeeperOptions are what a Keeper needs beside the name of its interface.
type Options struct {
	Log hclog.Logger
	// Placed is called by Run's goroutine with wanted addresses that it has just added, in the order in which they are
	// wanted and a few at a time, so that they can be announced; and, before that, with those that were there already
	// when it was first to hold them. It must not block. It may be nil.
	Placed func(added []netip.Prefix)
	// MAC makes the interface one of the Keeper's own, with a virtual MAC address. It is there while there are
	// assets to manage, and up while one is wanted. One that a killed instance left behind is taken over.
	MAC vrrp.VirtualMAC
}

// A Keeper holds the assets on one interface: it puts them there, takes them off, and puts back what somebody removed.
// Addresses come first and go last.
//
// An address is ours when the caller says so, whoever put it there: same address, same prefix length. The same
// address with another prefix length is somebody else's and stays, also when the VIP comes off. A VIP of IPv4 is
// then added beside it; IPv6 has no room for both, so there the VIP counts as held. A VIP that is there with and
// should be there without a prefix route, or the other way round, is changed; in IPv4 that means deleted and added.
//
// The VIP of an owner (priority 255) is never the last address of IPv4 that comes off an interface: it is that of the
// machine itself then, which would not be reached without, nor take part again.
//
// VIPs of IPv6 skip duplicate detection, which would keep them useless for a second, and are deprecated from the
// start, so that the machine does not choose them as source of its own connections (RFC 6724, section 5, rule 3).
//
// A route or rule is ours when it carries protocol number 112. Another's route in its place stays, and ours counts as
// held.
type Reconciler struct {
	iface  string
	mac    vrrp.VirtualMAC
	log    hclog.Logger
	placed func([]netip.Prefix)
	wake   chan struct{}
	writes atomic.Uint64

	abandoned atomic.Bool

	mu      sync.Mutex
	managed Resources
	want    Resources
	leaving Resources // were managed and come off
	trouble string    // the last error that was logged

	// The rest belongs to Run.
	changed bool             // something, by the last check
	index   int              // of the interface that was last seen
	held    map[any]struct{} // claims that were there after the last check
	foreign map[any]struct{} // claims in whose place is another's, which was warned of
}

// NewKeeper returns the Keeper of an interface.
func New(iface string, o Options) *Reconciler {
	k := &Reconciler{
		iface: iface, mac: o.MAC, log: o.Log.With("interface", iface), placed: o.Placed, wake: make(chan struct{}, 1),
		held: map[any]struct{}{}, foreign: map[any]struct{}{},
	}
	if k.placed == nil {
		k.placed = func([]netip.Prefix) {}
	}
	return k
}

// Set says which assets are ours and which of them are to be there; the others of ours come off, and so do those
// that were ours until now. What is wanted is ours. The latest call counts. It never blocks.
func (k *Reconciler) Set(managed, want Resources) {
	want = want.without(Resources{})
	managed = managed.Append(want).without(Resources{})
	k.mu.Lock()
	k.leaving = k.leaving.Append(k.managed).without(managed)
	k.managed, k.want = managed, want
	k.mu.Unlock()
	k.kick()
}

// Link tells what a Watcher saw, of the interface or of the parent of one with a virtual MAC address. What is amiss
// is mended at once. It never blocks.
func (k *Reconciler) Link(l vrrp.Link) {
	virtual := k.mac != vrrp.VirtualMAC{}
	switch {
	case virtual && (l.Name == k.mac.Parent || l.Name == k.iface):
		k.kick()
		return
	case l.Name != k.iface:
		return
	}
	want, off := k.orders()
	there := make(map[netip.Prefix]struct{}, len(l.Addrs))
	for _, p := range l.Addrs {
		there[p] = struct{}{}
	}
	present := func(a Address) bool { _, ok := there[a.Prefix]; return ok }
	absent := func(a Address) bool { return !present(a) }
	// Routes vanish with their interface and with addresses, and the Link does not tell.
	if len(want.Routes) > 0 || slices.ContainsFunc(want.Addresses, absent) || slices.ContainsFunc(off.Addresses, present) {
		k.kick()
	}
}

// Writes counts the requests to the kernel to change something.
func (k *Reconciler) Writes() uint64 { return k.writes.Load() }

// Trouble says in words what keeps the assets from being as they should; empty when nothing does.
func (k *Reconciler) Trouble() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.trouble
}

func (k *Reconciler) kick() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// orders returns the assets that are to be there and those of ours that are not.
func (k *Reconciler) orders() (want, off Resources) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.want, k.managed.Append(k.leaving).without(k.want)
}

// Abandon makes Run, when its ctx ends, leave everything where it is: to another process that takes it over.
func (k *Reconciler) Abandon() { k.abandoned.Store(true) }

// Run keeps the assets until ctx ends; then it takes all of ours off and returns an error only if that fails.
// An interface that is missing is waited for. What fails is logged once and tried again.
//
// Run's own goroutine opens the netlink sockets and sets sysctls: where threads differ in their network namespace, it
// must be locked to one.
func (k *Reconciler) Run(ctx context.Context) error {
	kern, err := openKernel(&k.writes)
	if err != nil {
		return err
	}
	defer kern.close()
	timer := time.NewTimer(keepInterval)
	defer timer.Stop()
	var settled time.Time
	for {
		want, off := k.orders()
		k.changed = false
		err := k.check(kern, want, off)
		k.report(err)
		if k.changed {
			settled = time.Now().Add(keepSettle)
		}
		switch settling := time.Until(settled); {
		case settling > 0:
			timer.Reset(settling)
		case err != nil:
			timer.Reset(keepRetry)
		case !want.empty() || !off.empty():
			timer.Reset(keepInterval)
		}
		select {
		case <-ctx.Done():
			if k.abandoned.Load() {
				return nil
			}
			k.Set(Resources{}, Resources{})
			want, off := k.orders()
			return k.check(kern, want, off)
		case <-k.wake:
		case <-timer.C:
		}
	}
}

func (k *Reconciler) report(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	k.mu.Lock()
	before := k.trouble
	k.trouble = text
	k.mu.Unlock()
	switch {
	case text == before:
	case text == "":
		k.log.Info("virtual addresses in order again")
	default:
		k.log.Warn("virtual addresses not in order, trying again", "error", err)
	}
}

// check makes it so that the wanted assets are there and none of those that are off, and writes nothing where that
// is so already.
func (k *Reconciler) check(kern *kernel, want, off Resources) error {
	var failures failures
	failures.add(dropRoutes(kern, off)) // that needs no interface
	dev, err := k.device(kern, want, off)
	if err == nil {
		err = k.leaveFormer(kern, dev, want, off)
	}
	var present []netlink.Addr
	if err == nil && dev != nil {
		present, err = kern.addresses(dev)
	}
	failures.add(err)
	if err != nil || dev == nil {
		return failures.err()
	}
	present, err = k.dropAddresses(kern, dev, present, want, off)
	failures.add(err)
	if failures.first == nil {
		k.forgetRemoved(off)
	}
	failures.add(k.addAddresses(kern, dev, present, want))
	failures.add(k.addRoutes(kern, dev, want))
	if failures.first == nil {
		failures.add(k.putAway(kern, dev, want))
	}
	return failures.err()
}

// forgetRemoved drops assets that have come off from those that are to.
func (k *Reconciler) forgetRemoved(off Resources) {
	for _, claim := range off.claims() {
		delete(k.held, claim)
		delete(k.foreign, claim)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.leaving = k.leaving.without(off)
}

// device returns the interface, or nil if it is missing. One of our own is made if there is use for it, and up if
// it is to hold something.
func (k *Reconciler) device(kern *kernel, want, off Resources) (netlink.Link, error) {
	if k.mac == (vrrp.VirtualMAC{}) {
		return kern.link(k.iface)
	}
	if want.empty() && off.empty() {
		return nil, nil
	}
	dev, err := kern.macvlan(k.iface, k.mac, k.useful())
	if err != nil || dev == nil {
		return nil, err
	}
	wake := !want.empty() && dev.Attrs().RawFlags&unix.IFF_UP == 0
	if wake || dev.Attrs().Index != k.index {
		if err := applySysctls(k.log, k.mac.Parent, parentSysctls); err != nil {
			return nil, err
		}
		if err := applySysctls(k.log, k.iface, macvlanSysctls); err != nil {
			return nil, err
		}
	}
	if wake {
		err = kern.setUp(dev, true)
	}
	return dev, err
}

// useful tells whether there are assets to manage.
func (k *Reconciler) useful() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return !k.managed.empty()
}

// putAway puts an interface of our own at rest when it holds nothing, and removes it when there is no more use for it.
func (k *Reconciler) putAway(kern *kernel, dev netlink.Link, want Resources) error {
	if k.mac == (vrrp.VirtualMAC{}) || !want.empty() {
		return nil
	}
	if k.useful() {
		return kern.setUp(dev, false)
	}
	return kern.removeMacvlan(k.iface, k.mac)
}

// leaveFormer notices that the interface is another one than last time. Our addresses come off the old one if it lives
// on under another name.
func (k *Reconciler) leaveFormer(kern *kernel, dev netlink.Link, want, off Resources) error {
	index := 0
	if dev != nil {
		index = dev.Attrs().Index
	}
	if index == k.index {
		return nil
	}
	if k.index != 0 {
		old := &netlink.Device{LinkAttrs: netlink.LinkAttrs{Index: k.index}}
		present, err := kern.addresses(old)
		if err != nil {
			return err
		}
		if _, err := kern.removeAddresses(old, present, slices.Concat(off.Addresses, want.Addresses), nil); err != nil {
			return err
		}
	}
	k.index = index
	clear(k.held)
	return nil
}
