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
	// checkInterval is the interval of checks without a cause, for what no link.Watcher reports.
	checkInterval = time.Second
	// watchedInterval is that interval for what a link.Watcher reports. The check finds what an event has missed.
	watchedInterval = 30 * time.Second
	// settleInterval is the pause before the first check after a change. If another program undoes the change at once, a
	// link.Watcher may see no difference. More checks follow. Each comes as long after the one before as that one came after
	// the change.
	settleInterval = 20 * time.Millisecond
	// retryInterval is the interval of checks after a failure.
	retryInterval = 100 * time.Millisecond
)

// Options are what a Reconciler needs besides the name of its interface.
type Options struct {
	Log hclog.Logger
	// Placed gets the wanted addresses that are on the interface, so that they can be announced: first those that were
	// there before, then those that Run has just added, a few at a time, in the order in which they are wanted. Run's
	// goroutine calls it. It must not block. It may be nil.
	Placed func(added []netip.Prefix)
	// AllPlaced is called after the last call of Placed of those that follow a change, when every wanted address is on the
	// interface. Run's goroutine calls it. It must not block. It may be nil.
	AllPlaced func()
	// Repaired is called after Repairs has changed. Run's goroutine calls it. It must not block. It may be nil.
	Repaired func()
	// MAC makes the interface a macvlan with a virtual MAC address, which the Reconciler makes and deletes. The interface
	// exists while there are resources to manage, and is up while some are wanted. An interface that a killed instance left
	// behind is used.
	MAC vrrp.VirtualMAC
	// Prepare is the maximum time that another process gets to make ParentSysctls on the parent of a virtual MAC interface, and to
	// remember their former values. After that the Reconciler makes them. 0: it makes them at once.
	Prepare time.Duration
}

// A Reconciler maintains resources on one interface: it adds them, removes them, and adds them again if another program
// deletes them. Addresses are added first and removed last.
//
// An address is ours if the caller says so, even if another program added it: same address, same prefix length. The same
// address with another prefix length belongs to another program. It stays, also when the VIP is removed. In IPv4 the VIP is
// added beside it. IPv6 does not allow both, so the VIP counts as held. If a VIP has a prefix route but should have none, or
// lacks one, it is changed. In IPv4 it is deleted and added again.
//
// The VIP of an owner (priority 255) stays if it is the last IPv4 address of the interface: it is the machine's own
// address then. Without it the machine cannot be reached, and cannot take part again.
//
// VIPs of IPv6 skip duplicate address detection, during which they would not work for a second. They are deprecated from
// the start, so that the machine does not choose them as source of its own connections (RFC 6724, section 5, rule 3).
//
// A route or rule is ours if it has protocol number 112. A route of another program in its place stays, and ours counts as
// held.
type Reconciler struct {
	iface   string
	mac     vrrp.VirtualMAC
	prepare time.Duration
	log     hclog.Logger
	placed  func([]netip.Prefix)
	all     func()
	mended  func()
	wake    chan struct{}
	writes  atomic.Uint64

	abandoned atomic.Bool
	watched   atomic.Bool // Link was called for the interface: its addresses are watched

	mu      sync.Mutex
	managed Resources
	want    Resources
	leaving Resources // were managed and must be removed
	trouble string    // the last error that was logged
	repairs uint64
	last    string // that was repaired

	// The fields below belong to Run.
	changed  bool             // the last check changed something
	index    int              // of the interface at the last check
	held     map[any]struct{} // keys of resources that were present after the last check
	foreign  map[any]struct{} // keys of resources whose place another program's resource has; a warning was logged
	prepared bool             // the parent has had the right settings
	ending   <-chan struct{}  // closed at the end of Run
}

// New returns the Reconciler of an interface.
func New(iface string, o Options) *Reconciler {
	rc := &Reconciler{
		iface: iface, mac: o.MAC, prepare: o.Prepare, log: o.Log.With("interface", iface), placed: o.Placed, all: o.AllPlaced, mended: o.Repaired,
		wake: make(chan struct{}, 1),
		held: map[any]struct{}{}, foreign: map[any]struct{}{},
	}
	if rc.placed == nil {
		rc.placed = func([]netip.Prefix) {}
	}
	if rc.all == nil {
		rc.all = func() {}
	}
	if rc.mended == nil {
		rc.mended = func() {}
	}
	return rc
}

// Set says which resources are ours (managed and wanted), and which of them are wanted. Our other resources are removed, also
// those of earlier calls. The latest call wins. It never blocks.
func (rc *Reconciler) Set(managed, want Resources) {
	want = want.without(Resources{})
	managed = managed.Append(want).without(Resources{})
	rc.mu.Lock()
	rc.leaving = rc.leaving.Append(rc.managed).without(managed)
	rc.managed, rc.want = managed, want
	rc.mu.Unlock()
	rc.kick()
}

// Link passes on a report of a link.Watcher about the interface, or about the parent of a virtual MAC interface. A difference
// is repaired at once. It never blocks.
func (rc *Reconciler) Link(l vrrp.Link) {
	if l.Name == rc.iface {
		rc.watched.Store(true)
	}
	virtual := rc.mac != vrrp.VirtualMAC{}
	switch {
	case virtual && (l.Name == rc.mac.Parent || l.Name == rc.iface):
		rc.kick()
		return
	case l.Name != rc.iface:
		return
	}
	want, off := rc.desired()
	there := make(map[netip.Prefix]struct{}, len(l.Addrs))
	for _, p := range l.Addrs {
		there[p] = struct{}{}
	}
	present := func(a Address) bool { _, ok := there[a.Prefix]; return ok }
	absent := func(a Address) bool { return !present(a) }
	// Routes vanish with their interface and with addresses, which a Link does not show.
	if len(want.Routes) > 0 || slices.ContainsFunc(want.Addresses, absent) || slices.ContainsFunc(off.Addresses, present) {
		rc.kick()
	}
}

// Writes counts the requests to the kernel to change something.
func (rc *Reconciler) Writes() uint64 { return rc.writes.Load() }

// Trouble returns the present error in words, "" if there is none.
func (rc *Reconciler) Trouble() string {
	rc.mu.Lock()
	defer rc.mu.Unlock()
	return rc.trouble
}

// Repairs counts the resources that another program had removed or changed and that were put back. last is the last of them.
func (rc *Reconciler) Repairs() (n uint64, last string) {
	rc.mu.Lock()
	defer rc.mu.Unlock()
	return rc.repairs, rc.last
}

// repaired counts a resource that was put back.
func (rc *Reconciler) repaired(what string) {
	rc.mu.Lock()
	rc.repairs, rc.last = rc.repairs+1, what
	rc.mu.Unlock()
	rc.mended()
}

func (rc *Reconciler) kick() {
	select {
	case rc.wake <- struct{}{}:
	default:
	}
}

// desired returns the resources that are wanted, and those of ours that are not.
func (rc *Reconciler) desired() (want, off Resources) {
	rc.mu.Lock()
	defer rc.mu.Unlock()
	return rc.want, rc.managed.Append(rc.leaving).without(rc.want)
}

// Abandon makes Run leave everything in place when its ctx ends: another process continues with it.
func (rc *Reconciler) Abandon() { rc.abandoned.Store(true) }

// Run maintains the resources until ctx ends. Then it removes all of ours, and returns an error only if this fails. It waits
// for a missing interface. A failure is logged once and tried again.
//
// Run's own goroutine opens the netlink sockets and sets sysctls. If threads have different network namespaces, lock the
// goroutine to a thread.
func (rc *Reconciler) Run(ctx context.Context) error {
	kern, err := openKernel(&rc.writes)
	if err != nil {
		return err
	}
	defer kern.close()
	rc.ending = ctx.Done()
	timer := time.NewTimer(checkInterval)
	defer timer.Stop()
	lastChange := time.Now()
	for {
		want, off := rc.desired()
		rc.changed = false
		err := rc.check(kern, want, off)
		rc.report(err)
		now := time.Now()
		if rc.changed {
			lastChange = now
		}
		if timer.Stop(); err != nil || !want.empty() || !off.empty() {
			timer.Reset(rc.pause(want, err, now.Sub(lastChange)))
		}
		select {
		case <-ctx.Done():
			if rc.abandoned.Load() {
				return nil
			}
			rc.Set(Resources{}, Resources{})
			want, off := rc.desired()
			return rc.check(kern, want, off)
		case <-rc.wake:
		case <-timer.C:
		}
	}
}

// pause returns the time until the next check, if nothing causes one before. It grows with the time since the last change.
func (rc *Reconciler) pause(want Resources, err error, unchanged time.Duration) time.Duration {
	longest := watchedInterval
	switch {
	case err != nil:
		longest = retryInterval
	case !rc.watched.Load() || len(want.Routes)+len(want.Rules) > 0: // a link.Watcher does not report routes and rules
		longest = checkInterval
	}
	return min(max(unchanged, settleInterval), longest)
}

func (rc *Reconciler) report(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	rc.mu.Lock()
	before := rc.trouble
	rc.trouble = text
	rc.mu.Unlock()
	switch {
	case text == before:
	case text == "":
		rc.log.Info("virtual addresses are as they should be again")
	default:
		rc.log.Warn("failed to keep virtual addresses, trying again", "error", err)
	}
}

// check adds the wanted resources that are missing and removes those that are off. It writes nothing if all is well.
func (rc *Reconciler) check(kern *kernel, want, off Resources) error {
	var failures failures
	failures.add(dropRoutes(kern, off)) // works without an interface
	dev, err := rc.device(kern, want, off)
	if err == nil {
		err = rc.leaveFormer(kern, dev, want, off)
	}
	var present []netlink.Addr
	if err == nil && dev != nil {
		present, err = kern.addresses(dev)
	}
	failures.add(err)
	if err != nil || dev == nil {
		return failures.err()
	}
	present, err = rc.dropAddresses(kern, dev, present, want, off)
	failures.add(err)
	if failures.first == nil {
		rc.forgetRemoved(off)
	}
	failures.add(rc.addAddresses(kern, dev, present, want))
	failures.add(rc.addRoutes(kern, dev, want))
	if failures.first == nil {
		failures.add(rc.putAway(kern, dev, want))
	}
	return failures.err()
}

// forgetRemoved updates the lists after resources were removed.
func (rc *Reconciler) forgetRemoved(off Resources) {
	for _, key := range off.keys() {
		delete(rc.held, key)
		delete(rc.foreign, key)
	}
	rc.mu.Lock()
	defer rc.mu.Unlock()
	rc.leaving = rc.leaving.without(off)
}

// device returns the interface, nil if it is missing. It makes a virtual MAC interface if there are resources to manage, and
// brings it up if some are wanted.
func (rc *Reconciler) device(kern *kernel, want, off Resources) (netlink.Link, error) {
	if rc.mac == (vrrp.VirtualMAC{}) {
		return kern.link(rc.iface)
	}
	if want.empty() && off.empty() {
		return nil, nil
	}
	dev, err := kern.macvlan(rc.iface, rc.mac, rc.isNeeded())
	if err != nil || dev == nil {
		return nil, err
	}
	wake := !want.empty() && dev.Attrs().RawFlags&unix.IFF_UP == 0
	if wake || dev.Attrs().Index != rc.index {
		if err := rc.prepareParent(wake); err != nil {
			return nil, err
		}
		if err := applySysctls(rc.log, rc.iface, macvlanSysctls); err != nil {
			return nil, err
		}
	}
	if wake {
		err = kern.setUp(dev, true)
	}
	return dev, err
}

// isNeeded reports whether there are resources to manage.
func (rc *Reconciler) isNeeded() bool {
	rc.mu.Lock()
	defer rc.mu.Unlock()
	return !rc.managed.empty()
}

// putAway brings a virtual MAC interface down if it holds nothing. It deletes the interface if there is nothing to manage.
func (rc *Reconciler) putAway(kern *kernel, dev netlink.Link, want Resources) error {
	if rc.mac == (vrrp.VirtualMAC{}) || !want.empty() {
		return nil
	}
	if rc.isNeeded() {
		return kern.setUp(dev, false)
	}
	return kern.removeMacvlan(rc.iface, rc.mac)
}

// leaveFormer handles an interface that was replaced by another of its name. If the former one still exists under another
// name, our addresses are removed from it.
func (rc *Reconciler) leaveFormer(kern *kernel, dev netlink.Link, want, off Resources) error {
	index := 0
	if dev != nil {
		index = dev.Attrs().Index
	}
	if index == rc.index {
		return nil
	}
	if rc.index != 0 {
		old := &netlink.Device{LinkAttrs: netlink.LinkAttrs{Index: rc.index}}
		present, err := kern.addresses(old)
		if err != nil {
			return err
		}
		if _, err := kern.removeAddresses(old, present, slices.Concat(off.Addresses, want.Addresses), nil); err != nil {
			return err
		}
	}
	rc.index = index
	clear(rc.held)
	return nil
}
