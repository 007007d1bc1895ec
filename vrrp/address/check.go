// SPDX-License-Identifier: Apache-2.0

package address

import (
	"errors"
	"net/netip"
	"slices"
	"sync/atomic"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/vrrp"
)

// dropRoutes deletes the rules and routes that are off.
func dropRoutes(kern *kernel, off Resources) error {
	var failures failures
	if len(off.Rules) > 0 {
		rules, err := kern.rules(off.Rules)
		failures.add(err)
		failures.add(kern.removeRules(rules, off.Rules))
	}
	if len(off.Routes) > 0 {
		routes, err := kern.routes(off.Routes)
		failures.add(err)
		failures.add(kern.removeRoutes(routes, off.Routes))
	}
	return failures.err()
}

// dropAddresses takes the addresses off the interface that are off, or wanted otherwise than they are, and returns
// those that are then present.
func (k *Reconciler) dropAddresses(
	kern *kernel, dev netlink.Link, present []netlink.Addr, want, off Resources,
) ([]netlink.Addr, error) {
	list := slices.Clone(off.Addresses)
	is := byPrefix(present)
	for _, a := range want.Addresses {
		if found, ok := is[a.Prefix]; ok && a.Addr().Is4() && differs(a, found) {
			list = append(list, a)
		}
	}
	removed, err := kern.removeAddresses(dev, present, list, want.Addresses)
	if removed == 0 {
		return present, err
	}
	k.log.Info("virtual addresses removed", "count", removed)
	k.changed = true
	present, listErr := kern.addresses(dev)
	if err == nil {
		err = listErr
	}
	is = byPrefix(present)
	for _, a := range want.Addresses {
		if _, ok := is[a.Prefix]; !ok {
			delete(k.held, a.Prefix) // it has gone with them
		}
	}
	return present, err
}

// byPrefix returns the addresses that may be VIPs.
func byPrefix(present []netlink.Addr) map[netip.Prefix]netlink.Addr {
	is := make(map[netip.Prefix]netlink.Addr, len(present))
	for _, a := range present {
		if p, ok := ours(a); ok {
			is[p] = a
		}
	}
	return is
}

// differs tells whether a VIP is on the interface in another way than it should be.
func differs(a Address, found netlink.Addr) bool {
	return a.NoPrefixRoute != (found.Flags&unix.IFA_F_NOPREFIXROUTE != 0)
}

// addAddresses puts the wanted addresses on the interface that are not there, and says so to placed a few at a time:
// the announcement of the first does not wait for the thousandth. Placed also hears of those that were found there.
func (k *Reconciler) addAddresses(kern *kernel, dev netlink.Link, present []netlink.Addr, want Resources) error {
	total := 0
	var failures failures
	found, missing := k.compare(present, want.Addresses)
	if len(found) > 0 {
		k.placed(found)
	}
	for len(missing) > 0 {
		few := missing[:min(portion, len(missing))]
		missing = missing[len(few):]
		added, err := kern.addAddresses(dev, few)
		failures.add(err)
		if len(added) == 0 {
			continue
		}
		prefixes := make([]netip.Prefix, len(added))
		for i, a := range added {
			prefixes[i] = a.Prefix
		}
		k.placed(prefixes)
		total += len(added)
		k.changed = true
		for _, p := range prefixes {
			if _, ok := k.held[p]; ok {
				k.log.Warn("virtual address was gone and is put back", "address", p)
			}
			k.held[p] = struct{}{}
		}
	}
	if total > 0 {
		k.log.Info("virtual addresses added", "count", total)
	}
	return failures.err()
}

// compare returns the wanted addresses that are there and were not known to be, and those that are to be added or
// changed. It warns of others' addresses in their place.
func (k *Reconciler) compare(present []netlink.Addr, want []Address) (found []netip.Prefix, missing []Address) {
	is := byPrefix(present)
	others := make(map[netip.Addr]netip.Prefix, len(is))
	for p := range is {
		others[p.Addr()] = p
	}
	hold := func(a Address) {
		if _, known := k.held[a.Prefix]; !known {
			k.held[a.Prefix] = struct{}{}
			found = append(found, a.Prefix)
		}
	}
	for _, a := range want {
		if it, ok := is[a.Prefix]; ok {
			delete(k.foreign, a.Prefix)
			if !differs(a, it) {
				hold(a)
				continue
			}
			delete(k.held, a.Prefix)
			missing = append(missing, a)
			continue
		}
		other, taken := others[a.Addr()]
		if !taken {
			delete(k.foreign, a.Prefix)
		} else {
			k.warnOf(a.Prefix, "virtual address is there with another prefix length and is not ours to remove",
				"address", a, "found", other)
		}
		if taken && a.Addr().Is6() {
			hold(a)
		} else {
			missing = append(missing, a)
		}
	}
	return found, missing
}

// warnOf warns once that another's is in the place of a claim.
func (k *Reconciler) warnOf(claim any, message string, args ...any) {
	if _, warned := k.foreign[claim]; !warned {
		k.foreign[claim] = struct{}{}
		k.log.Warn(message, args...)
	}
}

// addRoutes makes the kernel have the wanted routes, and the rules that may lead to them.
func (k *Reconciler) addRoutes(kern *kernel, dev netlink.Link, want Resources) error {
	var failures failures
	if len(want.Routes) > 0 {
		present, err := kern.routes(want.Routes)
		if err != nil {
			return err
		}
		for _, r := range want.Routes {
			added, err := kern.addRoute(present, r, dev)
			failures.add(k.logAdded(keyOf(r), "route", keyOf(r).String(), added, err))
		}
	}
	if len(want.Rules) > 0 {
		present, err := kern.rules(want.Rules)
		if err != nil {
			failures.add(err)
			return failures.err()
		}
		for _, r := range want.Rules {
			added, err := kern.addRule(present, r)
			failures.add(k.logAdded(canonical(r), "rule", canonical(r).String(), added, err))
		}
	}
	return failures.err()
}

// logAdded logs what came of adding a route or a rule. Another's in its place is no error.
func (k *Reconciler) logAdded(claim any, what, name string, added bool, err error) error {
	switch {
	case errors.Is(err, unix.EEXIST):
		k.warnOf(claim, what+" is there already and is not ours", what, name)
		return nil
	case err != nil:
		return err
	}
	delete(k.foreign, claim)
	k.changed = k.changed || added
	if _, ok := k.held[claim]; ok && added {
		k.log.Warn(what+" was gone or changed and is put back", what, name)
	} else if added {
		k.log.Info(what+" added", what, name)
	}
	k.held[claim] = struct{}{}
	return nil
}

// RemoveAssets takes off, once, what virtual routers that nobody runs any more may have left, and their virtual MAC
// interfaces. It looks once at each interface. A missing interface or asset is no error. It works in the network
// namespace of the calling thread.
func RemoveResources(routers []vrrp.Config) error {
	kern, err := openKernel(new(atomic.Uint64))
	if err != nil {
		return err
	}
	defer kern.close()
	var failures failures
	addresses := make(map[string][]Address)
	for i := range routers {
		c := &routers[i]
		assets := ResourcesOf(*c)
		if len(assets.Routes)+len(assets.Rules) > 0 {
			failures.add(dropRoutes(kern, assets))
		}
		if c.VirtualMAC {
			failures.add(kern.removeMacvlan(c.AddressInterface(), c.MAC()))
		} else {
			addresses[c.Interface] = append(addresses[c.Interface], assets.Addresses...)
		}
	}
	for iface, off := range addresses {
		failures.add(removeAll(kern, iface, off))
	}
	return failures.err()
}

func removeAll(kern *kernel, iface string, list []Address) error {
	dev, err := kern.link(iface)
	if err != nil || dev == nil {
		return err
	}
	present, err := kern.addresses(dev)
	if err != nil {
		return err
	}
	_, err = kern.removeAddresses(dev, present, list, nil)
	return err
}
