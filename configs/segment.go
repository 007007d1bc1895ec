// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"cmp"
	"net/netip"

	"github.com/tandem-lvs/tandem/configs/internal/toml"
	"github.com/tandem-lvs/tandem/lvs"
	"github.com/tandem-lvs/tandem/vrrp"
)

// A routerID has what identifies a virtual router on a segment, where it must be unique.
type routerID struct {
	link   string
	vrid   uint8
	family lvs.Family
}

// A vipID has what identifies a VIP on this machine, where it must be unique. A link-local address is unique per interface
// only.
type vipID struct {
	addr netip.Addr
	link string // of a link-local address; else empty
}

// A segment records the ids and VIPs that virtual routers have taken, which no other virtual router may have.
type segment struct {
	names     firstUse[string]
	ids       firstUse[routerID]
	vips      firstUse[vipID]
	links     firstUse[string] // of the virtual MAC addresses
	followers followers
}

// checkRouters refuses what two virtual routers must not share. It ignores values that are mistakes already.
func checkRouters(at toml.Node, routers []virtualRouter) {
	s := segment{
		firstUse[string]{}, firstUse[routerID]{}, firstUse[vipID]{}, firstUse[string]{},
		followers{firstUse[routeID]{}, firstUse[vrrp.Rule]{}},
	}
	for i := range routers {
		s.check(at.Index(i), &routers[i])
	}
	for i := range routers {
		s.checkLinks(at.Index(i), &routers[i], routers)
	}
	checkHeartbeats(at, routers)
	checkGroups(at, routers)
}

func (s *segment) check(at toml.Node, r *virtualRouter) {
	unique := at.Sound("interface", "vrid", "vips")
	if unique {
		for _, f := range r.families() {
			earlier, ok := s.ids.add(routerID{r.Interface, r.VRID, f}, at)
			if !ok {
				at.Key("vrid").Mistake("each virtual router of an interface needs its own",
					"%d on %s is already used by %s", r.VRID, r.Interface, earlier.Describe())
				unique = false
				break
			}
		}
	}
	for _, name := range r.names() {
		if !checkName(s.names, name, unique, at) {
			break
		}
	}
	for _, key := range []string{"vips", "excluded_vips"} {
		addresses := r.VIPs
		if key == "excluded_vips" {
			addresses = r.ExcludedVIPs
		}
		for i, vip := range addresses {
			if !vip.IsValid() {
				continue
			}
			id, here := vipID{addr: vip.Addr()}, at.Key(key).Index(i)
			if id.addr.IsLinkLocalUnicast() {
				id.link = cmp.Or(r.VIPInterfaces[id.addr], r.Interface)
			}
			if earlier, ok := s.vips.add(id, here); !ok {
				here.Mistake("", "%s is already %s", vip.Addr(), earlier.Describe())
			}
		}
	}
	s.followers.check(at, r)
}

// checkLinks refuses an interface name for the virtual MAC address that is used already.
func (s *segment) checkLinks(at toml.Node, r *virtualRouter, all []virtualRouter) {
	if !at.Sound("interface", "vrid", "vips", "virtual_mac", "virtual_mac_interface") {
		return
	}
	for _, half := range r.split() {
		name := half.VirtualMACInterface
		if name == "" {
			continue
		}
		key := at.Key("virtual_mac_interface")
		if earlier, ok := s.links.add(name, at); !ok {
			key.Mistake("give it another name", "%s is already the interface of %s", name, earlier.Describe())
			return
		}
		for _, other := range all {
			if other.Interface == name {
				key.Mistake("give it another name", "%s is an interface that carries advertisements", name)
				return
			}
		}
	}
}

// checkVirtualMAC refuses an interface name that is too long for one of the families.
func checkVirtualMAC(at toml.Node, r *virtualRouter) {
	if !at.Sound("virtual_mac", "virtual_mac_interface", "vips") || !at.Has("virtual_mac_interface") {
		return
	}
	key := at.Key("virtual_mac_interface")
	switch most := maxInterface - len(macvlanSuffix); {
	case !r.VirtualMAC:
		key.Mistake("write virtual_mac = true, or remove it", "has no meaning without virtual_mac")
	case len(r.families()) > 1 && len(r.VirtualMACInterface) > most:
		key.Mistake("",
			"%q is longer than %d bytes: there is no room for the %s that IPv6 adds", r.VirtualMACInterface, most, macvlanSuffix)
	}
}
