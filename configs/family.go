// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/tandem-lvs/tandem/lvs"
	"github.com/tandem-lvs/tandem/vrrp"
)

// families returns the families of the VIPs. A virtual router has one family (RFC 9568, section 5.2.1). Without VIPs the unicast
// peers decide, without these the source, and without that it is IPv4.
func (v *virtualRouter) families() []lvs.Family {
	var addrs []netip.Addr
	for _, p := range v.VIPs {
		addrs = append(addrs, p.Addr())
	}
	switch {
	case len(v.VIPs) > 0:
	case len(v.UnicastPeers) > 0:
		addrs = v.UnicastPeers
	case v.Source.IsValid():
		addrs = []netip.Addr{v.Source}
	default:
		return []lvs.Family{lvs.IPv4}
	}
	return slices.DeleteFunc([]lvs.Family{lvs.IPv4, lvs.IPv6}, func(f lvs.Family) bool {
		return !slices.ContainsFunc(addrs, func(a netip.Addr) bool { return lvs.FamilyOf(a) == f })
	})
}

// has reports whether a virtual router of v is of the family.
func (v *virtualRouter) has(f lvs.Family) bool { return slices.Contains(v.families(), f) }

// split returns the virtual routers of v: one for each family of its VIPs. A single one also gets the excluded VIPs, routes
// and rules of the other family.
func (v *virtualRouter) split() []Router {
	families := v.families()
	routers := make([]Router, len(families))
	for i, f := range families {
		routers[i] = v.half(f, len(families) == 1)
	}
	return routers
}

// half returns the virtual router of one family. The flag only says that there is no other. It shares no memory with v.
func (v *virtualRouter) half(f lvs.Family, only bool) Router {
	r := v.Router
	r.Name, r.VirtualMACInterface = v.nameOf(f, only), v.macvlanOf(f, only)
	if f == lvs.IPv6 && r.Checksum != 0 {
		r.Checksum = vrrp.ChecksumPseudoHeader
	}
	if lvs.FamilyOf(r.Source) != f {
		r.Source = netip.Addr{}
	}
	r.VIPs = keep(v.VIPs, func(p netip.Prefix) bool { return lvs.FamilyOf(p.Addr()) == f })
	r.UnicastPeers = keep(v.UnicastPeers, func(a netip.Addr) bool { return lvs.FamilyOf(a) == f })
	r.ExcludedVIPs = keep(v.ExcludedVIPs, func(p netip.Prefix) bool { return only || lvs.FamilyOf(p.Addr()) == f })
	r.VIPInterfaces, r.VIPLabels = nil, nil
	for _, p := range slices.Concat(r.VIPs, r.ExcludedVIPs) {
		if label, labelled := v.VIPLabels[p.Addr()]; labelled {
			if r.VIPLabels == nil {
				r.VIPLabels = make(map[netip.Addr]string)
			}
			r.VIPLabels[p.Addr()] = label
		}
		if link, elsewhere := v.VIPInterfaces[p.Addr()]; elsewhere {
			if r.VIPInterfaces == nil {
				r.VIPInterfaces = make(map[netip.Addr]string)
			}
			r.VIPInterfaces[p.Addr()] = link
		}
	}
	r.Heartbeat = keep(v.Heartbeat, func(p vrrp.Path) bool { return !p.Peer.IsValid() || lvs.FamilyOf(p.Peer) == f })
	r.TrackInterfaces = slices.Clone(v.TrackInterfaces)
	r.Announce.Repeat = slices.Clone(v.Announce.Repeat)
	r.Routes, r.Rules = nil, nil
	for _, route := range v.Routes {
		if family := routeFamily(route, f); only || family == f {
			if !route.To.IsValid() {
				route.To = everything(family)
			}
			r.Routes = append(r.Routes, route)
		}
	}
	for _, rule := range v.Rules {
		if family := ruleFamily(rule, f); only || family == f {
			rule.Family = number(family)
			r.Rules = append(r.Rules, rule)
		}
	}
	return r
}

// nameOf returns the name of the virtual router of one family.
func (v *virtualRouter) nameOf(f lvs.Family, only bool) string {
	name := v.Name
	if !v.named {
		name = fmt.Sprintf("%s-%d", v.Interface, v.VRID)
	}
	// The suffix also makes different names for two unnamed [[vrrp]] of one VRID and different families.
	if f == lvs.IPv6 && (!v.named || !only) {
		name += "-ipv6"
	}
	return name
}

// names returns the names of the virtual routers of v. Without valid VIPs it is the given name, if there is one.
func (v *virtualRouter) names() (names []string) {
	families := v.families()
	for _, f := range families {
		names = append(names, v.nameOf(f, len(families) == 1))
	}
	if names == nil && v.named {
		names = []string{v.Name}
	}
	return names
}

// macvlanSuffix is added to the name of the IPv6 interface if the file gives one name for both families.
const macvlanSuffix = "-6"

// macvlanOf returns the name of the interface with the virtual MAC address, if there is one.
func (v *virtualRouter) macvlanOf(f lvs.Family, only bool) string {
	switch name := v.VirtualMACInterface; {
	case !v.VirtualMAC:
		return ""
	case name != "" && f == lvs.IPv6 && !only:
		return name + macvlanSuffix
	case name != "":
		return name
	case f == lvs.IPv6:
		return fmt.Sprintf("vrrp6.%d", v.VRID)
	}
	return fmt.Sprintf("vrrp.%d", v.VRID)
}

// keep returns the wanted values in a new slice; nil if there are none.
func keep[T any](values []T, wanted func(T) bool) (kept []T) {
	for _, v := range values {
		if wanted(v) {
			kept = append(kept, v)
		}
	}
	return kept
}

// number returns 4 or 6.
func number(f lvs.Family) uint8 {
	if f == lvs.IPv6 {
		return 6
	}
	return 4
}

// everything returns the prefix of all addresses of the family.
func everything(f lvs.Family) netip.Prefix {
	if f == lvs.IPv6 {
		return netip.PrefixFrom(netip.IPv6Unspecified(), 0)
	}
	return netip.PrefixFrom(netip.IPv4Unspecified(), 0)
}

// familyName returns the family in words.
func familyName(f lvs.Family) string {
	if f == lvs.IPv6 {
		return "IPv6"
	}
	return "IPv4"
}
