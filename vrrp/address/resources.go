// SPDX-License-Identifier: Apache-2.0

package address

import (
	"net/netip"
	"slices"

	"github.com/tandem-lvs/tandem/vrrp"
)

// An Address is a VIP as it is put on an interface.
type Address struct {
	netip.Prefix
	// NoPrefixRoute keeps the kernel from adding a route for the prefix.
	NoPrefixRoute bool
	// Owned tells that the virtual router owns its addresses. One that is the only address of its family on the interface
	// has been there before, and stays: see [Keeper].
	Owned bool
}

// Assets are what comes and goes with the mastership of virtual routers.
type Resources struct {
	Addresses []Address
	Routes    []vrrp.Route // without a Device: on the interface of the addresses
	Rules     []vrrp.Rule
}

// ResourcesOf returns what the master of the virtual router holds on its AddressInterface: the VIPs first, then those that
// are not advertised, and the routes and rules.
func ResourcesOf(c vrrp.Config) Resources {
	a := Resources{Routes: slices.Clone(c.Routes), Rules: slices.Clone(c.Rules)}
	for _, vips := range [][]netip.Prefix{c.VIPs, c.ExcludedVIPs} {
		for _, p := range vips {
			a.Addresses = append(a.Addresses, Address{Prefix: p, NoPrefixRoute: c.NoPrefixRoute, Owned: c.Priority == vrrp.PriorityOwner})
		}
	}
	return a
}

// Append returns the assets of both.
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

// claims returns what tells each of the assets from others: a netip.Prefix, a routeKey or a Rule.
func (a Resources) claims() []any {
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

// without returns what of a is not claimed by b, each once.
func (a Resources) without(b Resources) Resources {
	drop := map[any]bool{}
	for _, c := range b.claims() {
		drop[c] = true
	}
	once := func(c any) bool {
		seen := drop[c]
		drop[c] = true
		return !seen
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
