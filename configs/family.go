// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/tandem-lvs/tandem/lvs"
	"github.com/tandem-lvs/tandem/vrrp"
)

// families are those of the VIPs: a virtual router speaks one of them (RFC 9568, section 5.2.1).
func (v *virtualRouter) families() []lvs.Family {
	return slices.DeleteFunc([]lvs.Family{lvs.IPv4, lvs.IPv6}, func(f lvs.Family) bool { return !v.has(f) })
}

// has tells whether a VIP is of the family.
func (v *virtualRouter) has(f lvs.Family) bool {
	return slices.ContainsFunc(v.VIPs, func(p netip.Prefix) bool { return p.IsValid() && familyOf(p.Addr()) == f })
}

// split returns the virtual routers that v stands for: one a family of its VIPs. If it is but one, that gets also what
// v says of the other family, for its excluded VIPs, routes and rules may be of either.
func (v *virtualRouter) split() []Router {
	families := v.families()
	routers := make([]Router, len(families))
	for i, f := range families {
		routers[i] = v.half(f, len(families) == 1)
	}
	return routers
}

// half returns the virtual router of one family, which is the only one or one of two. It shares no memory with v.
func (v *virtualRouter) half(f lvs.Family, only bool) Router {
	r := v.Router
	r.Name, r.VirtualMACInterface = v.nameOf(f, only), v.macvlanOf(f, only)
	if f == lvs.IPv6 && r.Checksum != 0 {
		r.Checksum = vrrp.ChecksumPseudoHeader
	}
	if !of(f, r.UnicastSource) {
		r.UnicastSource = netip.Addr{}
	}
	r.VIPs = keep(v.VIPs, func(p netip.Prefix) bool { return of(f, p.Addr()) })
	r.UnicastPeers = keep(v.UnicastPeers, func(a netip.Addr) bool { return of(f, a) })
	r.ExcludedVIPs = keep(v.ExcludedVIPs, func(p netip.Prefix) bool { return only || of(f, p.Addr()) })
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

// nameOf is the name of the virtual router of one family.
func (v *virtualRouter) nameOf(f lvs.Family, only bool) string {
	name := v.Name
	if !v.named {
		name = fmt.Sprintf("%s-%d", v.Interface, v.VRID)
	}
	// Two [[vrrp]] of one VRID, each of its own family, need no names given either.
	if f == lvs.IPv6 && (!v.named || !only) {
		name += "-ipv6"
	}
	return name
}

// names are those of all the virtual routers that v stands for. While its VIPs are in doubt that is the given one, if any.
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

// macvlanSuffix tells the IPv6 interface from the IPv4 one where the file names both at once.
const macvlanSuffix = "-6"

// macvlanOf is the name of the interface with the virtual MAC address, if there is one.
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

// of tells whether an address is one, and of the family.
func of(f lvs.Family, a netip.Addr) bool {
	return a.IsValid() && familyOf(a) == f
}

// keep returns the values that are wanted in a slice of their own, nil if there are none.
func keep[T any](values []T, wanted func(T) bool) (kept []T) {
	for _, v := range values {
		if wanted(v) {
			kept = append(kept, v)
		}
	}
	return kept
}

// number is the family's number as people say it: 4 or 6.
func number(f lvs.Family) uint8 {
	if f == lvs.IPv6 {
		return 6
	}
	return 4
}

// everything is the prefix that all addresses of the family have.
func everything(f lvs.Family) netip.Prefix {
	if f == lvs.IPv6 {
		return netip.PrefixFrom(netip.IPv6Unspecified(), 0)
	}
	return netip.PrefixFrom(netip.IPv4Unspecified(), 0)
}

// familyName is the family in words.
func familyName(f lvs.Family) string {
	if f == lvs.IPv6 {
		return "IPv6"
	}
	return "IPv4"
}
