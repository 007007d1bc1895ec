// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"fmt"
	"net/netip"
	"slices"
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
type Assets struct {
	Addresses []Address
	Routes    []Route // without a Device: on the interface of the addresses
	Rules     []Rule
}

// Assets returns what the master of the virtual router holds on its AddressInterface: the VIPs first, then those that
// are not advertised, and the routes and rules.
func (c *Config) Assets() Assets {
	a := Assets{Routes: slices.Clone(c.Routes), Rules: slices.Clone(c.Rules)}
	for _, vips := range [][]netip.Prefix{c.VIPs, c.ExcludedVIPs} {
		for _, p := range vips {
			a.Addresses = append(a.Addresses, Address{Prefix: p, NoPrefixRoute: c.NoPrefixRoute, Owned: c.Priority == priorityOwner})
		}
	}
	return a
}

// Append returns the assets of both.
func (a Assets) Append(b Assets) Assets {
	return Assets{
		Addresses: slices.Concat(a.Addresses, b.Addresses),
		Routes:    slices.Concat(a.Routes, b.Routes),
		Rules:     slices.Concat(a.Rules, b.Rules),
	}
}

func (a Assets) empty() bool { return len(a.Addresses)+len(a.Routes)+len(a.Rules) == 0 }

// AddressInterface returns the interface that holds the VIPs: with VirtualMAC the virtual router's own, by default
// called vrrp.VRID or, for IPv6, vrrp6.VRID.
func (c *Config) AddressInterface() string {
	switch {
	case !c.VirtualMAC:
		return c.Interface
	case c.VirtualMACInterface != "":
		return c.VirtualMACInterface
	case c.isIPv6():
		return fmt.Sprintf("vrrp6.%d", c.VRID)
	}
	return fmt.Sprintf("vrrp.%d", c.VRID)
}

// MAC returns the virtual MAC address that the AddressInterface is to have; the zero VirtualMAC without.
func (c *Config) MAC() VirtualMAC {
	if !c.VirtualMAC {
		return VirtualMAC{}
	}
	return VirtualMAC{Parent: c.Interface, VRID: c.VRID, IPv6: c.isIPv6()}
}

func (c *Config) isIPv6() bool { return len(c.VIPs) > 0 && c.VIPs[0].Addr().Is6() }

// Routes that are the same to the kernel have the same routeKey: it keeps one of them.
type routeKey struct {
	to            netip.Prefix
	table, metric uint32
}

// claims returns what tells each of the assets from others: a netip.Prefix, a routeKey or a Rule.
func (a Assets) claims() []any {
	var all []any
	for _, x := range a.Addresses {
		all = append(all, x.Prefix)
	}
	for _, r := range a.Routes {
		all = append(all, r.key())
	}
	for _, r := range a.Rules {
		all = append(all, r.plain())
	}
	return all
}

// without returns what of a is not claimed by b, each once.
func (a Assets) without(b Assets) Assets {
	drop := map[any]bool{}
	for _, c := range b.claims() {
		drop[c] = true
	}
	once := func(c any) bool {
		seen := drop[c]
		drop[c] = true
		return !seen
	}
	var rest Assets
	for _, x := range a.Addresses {
		if once(x.Prefix) {
			rest.Addresses = append(rest.Addresses, x)
		}
	}
	for _, r := range a.Routes {
		if once(r.key()) {
			rest.Routes = append(rest.Routes, r)
		}
	}
	for _, r := range a.Rules {
		if once(r.plain()) {
			rest.Rules = append(rest.Rules, r)
		}
	}
	return rest
}
