// SPDX-License-Identifier: Apache-2.0

package address

import (
	"maps"
	"net/netip"
	"slices"

	"github.com/tandem-lvs/tandem/vrrp"
)

// An Address is a VIP as it is put on an interface.
type Address struct {
	netip.Prefix
	// NoPrefixRoute keeps the kernel from adding a route for the prefix.
	NoPrefixRoute bool
	// Label is the label that the address gets; empty: the kernel's choice, which is the interface's name.
	Label string
	// Owned says that the virtual router owns its addresses. The only IPv4 address of an interface then stays: see
	// [Reconciler].
	Owned bool
}

// Resources are what virtual routers hold while they are master.
type Resources struct {
	Addresses []Address
	Routes    []vrrp.Route // without a Device: on the interface of the addresses
	Rules     []vrrp.Rule
}

// A Placement is what a virtual router holds on one interface as master.
type Placement struct {
	Interface string
	MAC       vrrp.VirtualMAC // of the interface; the zero value: its own
	Resources
}

// PlacementsOf returns what a virtual router holds as master. The first placement is on its AddressInterface. It also has the
// routes and rules, and may have no addresses. The others are on its VIPInterfaces, in the order of their names. Each has the
// VIPs before the excluded VIPs.
func PlacementsOf(c vrrp.Config) []Placement {
	all := []Placement{{c.AddressInterface(), c.MAC(), Resources{Routes: slices.Clone(c.Routes), Rules: slices.Clone(c.Rules)}}}
	for _, name := range slices.Compact(slices.Sorted(maps.Values(c.VIPInterfaces))) {
		all = append(all, Placement{Interface: name})
	}
	for _, vips := range [][]netip.Prefix{c.VIPs, c.ExcludedVIPs} {
		for _, p := range vips {
			name := c.InterfaceOf(p.Addr())
			i := slices.IndexFunc(all, func(at Placement) bool { return at.Interface == name })
			all[i].Addresses = append(all[i].Addresses,
				Address{Prefix: p, NoPrefixRoute: c.NoPrefixRoute, Label: c.VIPLabels[p.Addr()], Owned: c.Priority == vrrp.PriorityOwner})
		}
	}
	return all
}

// Append returns the resources of both.
func (a Resources) Append(b Resources) Resources {
	return Resources{
		Addresses: slices.Concat(a.Addresses, b.Addresses),
		Routes:    slices.Concat(a.Routes, b.Routes),
		Rules:     slices.Concat(a.Rules, b.Rules),
	}
}

func (a Resources) empty() bool { return len(a.Addresses)+len(a.Routes)+len(a.Rules) == 0 }

// Routes that are the same to the kernel have the same routeKey: it keeps one of them.
type routeKey struct {
	to            netip.Prefix
	table, metric uint32
}

// keys returns what identifies each of the resources: a netip.Prefix, a routeKey or a vrrp.Rule.
func (a Resources) keys() []any {
	var all []any
	for _, x := range a.Addresses {
		all = append(all, x.Prefix)
	}
	for _, r := range a.Routes {
		all = append(all, keyOf(r))
	}
	for _, r := range a.Rules {
		all = append(all, canonical(r))
	}
	return all
}

// without returns what is in a and not in b, each once.
func (a Resources) without(b Resources) Resources {
	drop := map[any]bool{}
	for _, key := range b.keys() {
		drop[key] = true
	}
	once := func(key any) bool {
		dropped := drop[key]
		drop[key] = true
		return !dropped
	}
	var rest Resources
	for _, x := range a.Addresses {
		if once(x.Prefix) {
			rest.Addresses = append(rest.Addresses, x)
		}
	}
	for _, r := range a.Routes {
		if once(keyOf(r)) {
			rest.Routes = append(rest.Routes, r)
		}
	}
	for _, r := range a.Rules {
		if once(canonical(r)) {
			rest.Rules = append(rest.Rules, r)
		}
	}
	return rest
}
