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

// dropRoutes deletes the routes and rules in off.
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

// dropAddresses removes the addresses of off, and those with a wrong setting. It returns the addresses that are then
// present.
func (rc *Reconciler) dropAddresses(
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
	rc.log.Info("virtual addresses removed", "count", removed)
	rc.changed = true
	present, listErr := kern.addresses(dev)
	if err == nil {
		err = listErr
	}
	is = byPrefix(present)
	for _, a := range want.Addresses {
		if _, ok := is[a.Prefix]; !ok {
			delete(rc.held, a.Prefix) // the kernel deleted it together with others
		}
	}
	return present, err
}

// byPrefix maps the addresses that can be VIPs.
func byPrefix(present []netlink.Addr) map[netip.Prefix]netlink.Addr {
	is := make(map[netip.Prefix]netlink.Addr, len(present))
	for _, a := range present {
		if p, ok := vipOf(a); ok {
			is[p] = a
		}
	}
	return is
}

// differs reports whether a VIP on the interface has a wrong setting.
func differs(a Address, found netlink.Addr) bool {
	return a.NoPrefixRoute != (found.Flags&unix.IFA_F_NOPREFIXROUTE != 0) || a.Label != "" && a.Label != found.Label
}

// addAddresses adds the wanted addresses that are missing, and passes them to placed a few at a time: the announcement of
// the first does not wait for the thousandth. First it passes on those that it found on the interface.
func (rc *Reconciler) addAddresses(kern *kernel, dev netlink.Link, present []netlink.Addr, want Resources) error {
	total := 0
	var failures failures
	found, missing := rc.compare(present, want.Addresses)
	if len(found) > 0 {
		rc.placed(found)
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
		rc.placed(prefixes)
		total += len(added)
		rc.changed = true
		for _, p := range prefixes {
			if _, ok := rc.held[p]; ok {
				rc.log.Warn("virtual address was gone and is put back", "address", p)
				rc.repaired(p.String())
			}
			rc.held[p] = struct{}{}
		}
	}
	if len(found)+total > 0 && failures.first == nil {
		rc.all()
	}
	if total > 0 {
		rc.log.Info("virtual addresses added", "count", total)
	}
	return failures.err()
}

// compare returns the wanted addresses that were found for the first time, and those that must be added or changed. It warns
// if another program's address is in the place of one.
func (rc *Reconciler) compare(present []netlink.Addr, want []Address) (found []netip.Prefix, missing []Address) {
	is := byPrefix(present)
	others := make(map[netip.Addr]netip.Prefix, len(is))
	for p := range is {
		others[p.Addr()] = p
	}
	hold := func(a Address) {
		if _, known := rc.held[a.Prefix]; !known {
			rc.held[a.Prefix] = struct{}{}
			found = append(found, a.Prefix)
		}
	}
	for _, a := range want {
		if it, ok := is[a.Prefix]; ok {
			delete(rc.foreign, a.Prefix)
			if !differs(a, it) {
				hold(a)
				continue
			}
			delete(rc.held, a.Prefix)
			missing = append(missing, a)
			continue
		}
		other, taken := others[a.Addr()]
		if !taken {
			delete(rc.foreign, a.Prefix)
		} else {
			rc.warnOnce(a.Prefix, "virtual address is on the interface with another prefix length; it is not ours and stays",
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

// warnOnce logs once that another program's resource is in the place of ours.
func (rc *Reconciler) warnOnce(key any, message string, args ...any) {
	if _, warned := rc.foreign[key]; !warned {
		rc.foreign[key] = struct{}{}
		rc.log.Warn(message, args...)
	}
}

// addRoutes adds the wanted routes and rules.
func (rc *Reconciler) addRoutes(kern *kernel, dev netlink.Link, want Resources) error {
	var failures failures
	if len(want.Routes) > 0 {
		present, err := kern.routes(want.Routes)
		if err != nil {
			return err
		}
		for _, r := range want.Routes {
			added, err := kern.addRoute(present, r, dev)
			failures.add(rc.logAdded(keyOf(r), "route", keyOf(r).String(), added, err))
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
			failures.add(rc.logAdded(canonical(r), "rule", canonical(r).String(), added, err))
		}
	}
	return failures.err()
}

// logAdded logs an added route or rule. If another program's is in its place, it logs this; it is not an error.
func (rc *Reconciler) logAdded(key any, what, name string, added bool, err error) error {
	switch {
	case errors.Is(err, unix.EEXIST):
		rc.warnOnce(key, what+" exists already and is not ours", what, name)
		return nil
	case err != nil:
		return err
	}
	delete(rc.foreign, key)
	rc.changed = rc.changed || added
	if _, ok := rc.held[key]; ok && added {
		rc.log.Warn(what+" was gone or changed and is put back", what, name)
		rc.repaired(what + " " + name)
	} else if added {
		rc.log.Info(what+" added", what, name)
	}
	rc.held[key] = struct{}{}
	return nil
}

// RemoveResources removes, once, what virtual routers that no longer run have left: their resources and virtual MAC
// interfaces. A missing interface or resource is not an error. It works in the network namespace of the calling thread.
func RemoveResources(routers []vrrp.Config) error {
	kern, err := openKernel(new(atomic.Uint64))
	if err != nil {
		return err
	}
	defer kern.close()
	var failures failures
	addresses := make(map[string][]Address)
	for i := range routers {
		for _, at := range PlacementsOf(routers[i]) {
			if len(at.Routes)+len(at.Rules) > 0 {
				failures.add(dropRoutes(kern, at.Resources))
			}
			if at.MAC != (vrrp.VirtualMAC{}) {
				failures.add(kern.removeMacvlan(at.Interface, at.MAC))
			} else {
				addresses[at.Interface] = append(addresses[at.Interface], at.Addresses...)
			}
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
