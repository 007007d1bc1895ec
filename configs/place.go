// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"net/netip"
	"slices"

	"github.com/tandem-lvs/tandem/configs/internal/toml"
	"github.com/tandem-lvs/tandem/lvs"
	"github.com/tandem-lvs/tandem/vrrp"
)

// A placedVIP is a VIP with its interface.
type placedVIP struct {
	prefix netip.Prefix
	link   string // empty: that of the virtual router
	label  string // empty: none
}

// placedAddresses returns the schema type of a list of VIPs. Each is a string, or a table with its interface.
func placedAddresses() toml.SchemaType[[]placedVIP] {
	plain, table := virtualAddress(), placedTable()
	one := toml.SchemaType[placedVIP]{
		Name: "string or table",
		Keys: table.Keys,
		Read: func(at toml.Node) placedVIP {
			if _, is := at.Value.(map[string]any); is {
				return table.Read(at)
			}
			return placedVIP{prefix: plain.Read(at)}
		},
		Show: func(v placedVIP) string { return plain.Show(v.prefix) },
	}
	all := toml.List(one, 0, toml.Unlimited)
	all.Name, all.Values = "array of strings or tables", plain.Values+` or { address = "192.0.2.100/24", interface = "eth1" }`
	return all
}

func placedTable() toml.SchemaType[placedVIP] {
	address := virtualAddress()
	return toml.Table(nil,
		toml.Required("address", address.Valued("an address with or without its prefix length"), `"192.0.2.100/24"`, "The virtual address.",
			func(p *placedVIP, v netip.Prefix) { p.prefix = v }),
		toml.Derived("interface", interfaceName(), "The interface that gets the address.",
			func(p *placedVIP, v string) { p.link = v }).Unset("the interface of the virtual router").Example(`"eth1"`),
		toml.Derived("label", toml.String("a label of at most 15 bytes", validLabel), "The label of the address, for programs that look for "+
			"one, such as ifconfig. It begins with the name of the interface that gets the address, and a colon. Only IPv4 addresses have labels.",
			func(p *placedVIP, v string) { p.label = v }).Unset("none").Example(`"eth0:web"`),
	)
}

// place records the interfaces of VIPs, and returns the VIPs.
func (v *virtualRouter) place(list []placedVIP) (vips []netip.Prefix) {
	for _, p := range list {
		vips = append(vips, p.prefix)
		if p.label != "" {
			if v.VIPLabels == nil {
				v.VIPLabels = make(map[netip.Addr]string)
			}
			v.VIPLabels[p.prefix.Addr()] = p.label
		}
		if p.link == "" {
			continue
		}
		if v.VIPInterfaces == nil {
			v.VIPInterfaces = make(map[netip.Addr]string)
		}
		v.VIPInterfaces[p.prefix.Addr()] = p.link
	}
	return vips
}

// checkPlaces refuses VIPs on another interface that have a virtual MAC address, and drops the places that are the virtual
// router's own interface.
func checkPlaces(at toml.Node, r *virtualRouter) {
	for _, key := range []string{"vips", "excluded_vips"} {
		n, _ := at.Key(key).Len()
		for i := range n {
			if here := at.Key(key).Index(i); r.VirtualMAC && here.Has("interface") && at.Sound("virtual_mac") {
				here.Key("interface").Mistake("remove it, or virtual_mac", "has no meaning with virtual_mac: the VIPs are on a macvlan of their own")
			}
		}
	}
	checkLabels(at, r)
	for vip, link := range r.VIPInterfaces {
		if link == r.Interface || !vip.IsValid() {
			delete(r.VIPInterfaces, vip)
		}
	}
	if len(r.VIPInterfaces) == 0 {
		r.VIPInterfaces = nil
	}
}

// checkSource refuses a source address that advertisements cannot be sent from.
func checkSource(at toml.Node, r *virtualRouter) {
	if !at.Has("source") || !at.Sound("source") {
		return
	}
	here, unicast := at.Key("source"), len(r.UnicastPeers) > 0
	if at.Has("unicast_source") {
		at.Key("unicast_source").Mistake("remove it", "has no meaning beside source")
		return
	}
	if !at.Sound("vips", "unicast_peers") {
		return
	}
	f := lvs.FamilyOf(r.Source)
	switch {
	case !r.has(f) && len(r.VIPs) > 0:
		here.Mistake("", "%s is an %s address, but no VIP is", r.Source, familyName(f))
	case !r.has(f):
		here.Mistake("", "%s is an %s address, but no address in unicast_peers is", r.Source, familyName(f))
	case f == lvs.IPv6 && !unicast && !r.Source.IsLinkLocalUnicast():
		here.Mistake("give a link-local address, or set unicast_peers",
			"%s is not a link-local address: multicast advertisements over IPv6 are sent from one (RFC 9568, section 5.1.2.1)", r.Source)
	case r.Priority != vrrp.PriorityOwner && r.isVIP(r.Source):
		here.Mistake("give an address that this director always has", "%s is a VIP: only the master has it", r.Source)
	}
}

// isVIP reports whether an address is a VIP or an excluded VIP.
func (v *virtualRouter) isVIP(a netip.Addr) bool {
	is := func(p netip.Prefix) bool { return p.Addr() == a }
	return slices.ContainsFunc(v.VIPs, is) || slices.ContainsFunc(v.ExcludedVIPs, is)
}

// checkUseful warns of a virtual router whose state has no effect: nothing follows it. A member of a sync group has an effect on
// the others.
func checkUseful(at toml.Node, f *file) {
	for i := range f.routers {
		r := &f.routers[i]
		here := at.Index(i)
		if len(r.VIPs)+len(r.ExcludedVIPs)+len(r.Routes)+len(r.Rules)+len(r.hooks) > 0 || r.SyncGroup != "" || !here.Sound("vips") {
			continue
		}
		if !slices.ContainsFunc(f.hooks, func(h Hook) bool { return h.Group == "" && h.hearsOf(routerEvents) }) {
			here.Warn("add vips, or a hook", "has no VIP and no hook: its election has no effect")
		}
	}
}
