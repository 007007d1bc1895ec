// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/tandem-lvs/tandem/configs/internal/toml"
	"github.com/tandem-lvs/tandem/lvs"
	"github.com/tandem-lvs/tandem/vrrp"
)

// refuseOwnServers refuses a VIP as the address of a real server: the director would send the packets to itself.
func refuseOwnServers(services toml.Node, c *Config) {
	vips := c.vips()
	for i, s := range c.Services {
		for j, server := range s.Servers {
			if who, is := vips[server.Addr]; is && server.Addr.IsValid() {
				services.Index(i).Key("server").Index(j).Key("address").Mistake("write the real server's own address",
					"%s is a virtual address, of %s", server.Addr, who)
			}
		}
	}
}

// vips returns the virtual addresses, with what they belong to.
func (c *Config) vips() map[netip.Addr]string {
	all := make(map[netip.Addr]string)
	for _, s := range c.Services {
		for _, v := range s.Virtuals {
			if v.Addr.IsValid() {
				all[v.Addr] = fmt.Sprintf("[[service]] %q", s.Name)
			}
		}
	}
	for _, r := range c.Routers {
		for _, vip := range slices.Concat(r.VIPs, r.ExcludedVIPs) {
			all[vip.Addr()] = fmt.Sprintf("[[vrrp]] %q", r.Name)
		}
	}
	return all
}

// Entries returns the IPVS table that the file describes, with the weights of healthy servers.
func (c *Config) Entries() (all []lvs.Entry) {
	for _, s := range c.Services {
		for _, v := range s.Virtuals {
			e := lvs.Entry{Service: v}
			for _, server := range s.Servers {
				e.Servers = append(e.Servers, server.In(v))
			}
			all = append(all, e)
		}
	}
	return all
}

// Notes returns what is right and could be better, in sentences.
func (c *Config) Notes() (notes []string) {
	add := func(format string, args ...any) {
		if note := fmt.Sprintf(format, args...); !slices.Contains(notes, note) {
			notes = append(notes, note)
		}
	}
	for _, note := range slices.Concat(c.signatureNotes(), c.hookNotes()) {
		add("%s", note)
	}
	for _, s := range c.Services {
		if s.onlyOwnAddress() {
			add("service %s: no check asks through the VIP: a real server without the VIP looks healthy; "+
				`set via = "vip" in [service.check] (methods dr and tunnel)`, s.Name)
		}
		for _, server := range s.Servers {
			if server.Method != lvs.NAT || len(c.Routers) == 0 || !server.Addr.IsValid() {
				continue
			}
			if len(c.routersAt(server.Addr)) == 0 {
				if slices.ContainsFunc(c.Routers, Router.hasHostVIP) {
					continue // nobody says which network that VIP is in
				}
				add("service %s: no [[vrrp]] has a VIP in the network of real server %s: with method nat, the server's default route "+
					"must lead to an address that is always on the master", s.Name, server.Addr)
			}
		}
	}
	for _, split := range c.NATSplits {
		for _, name := range split.Services {
			add("service %s: %s", name, split)
		}
	}
	return notes
}

// A NATSplit is a VIP and a gateway of real servers that services with method nat need on the same director, and whose virtual
// routers have no sync_group in common.
type NATSplit struct {
	Services        []string
	Outside, Inside string // names of virtual routers
}

func (n NATSplit) String() string {
	return fmt.Sprintf("the virtual routers %s and %s are not in one sync_group: with method nat, the answers of the real servers "+
		"are lost while different directors are their masters", n.Outside, n.Inside)
}

// splitNAT returns the virtual routers that method nat needs on the same director, and that may have different masters.
func (c *Config) splitNAT() (all []NATSplit) {
	for _, s := range c.Services {
		for _, server := range s.Servers {
			if server.Method != lvs.NAT {
				continue
			}
			inside := c.routersAt(server.Addr)
			if len(inside) == 0 {
				continue
			}
			for _, v := range s.Virtuals {
				if outside, ok := c.routerOf(v.Addr); ok && !slices.ContainsFunc(inside, outside.together) {
					all = splitOf(all, s.Name, outside.Name, names(inside))
				}
			}
		}
	}
	return all
}

// splitOf adds a service to those of its virtual routers.
func splitOf(all []NATSplit, service, outside, inside string) []NATSplit {
	i := slices.IndexFunc(all, func(n NATSplit) bool { return n.Outside == outside && n.Inside == inside })
	if i < 0 {
		return append(all, NATSplit{[]string{service}, outside, inside})
	}
	if !slices.Contains(all[i].Services, service) {
		all[i].Services = append(all[i].Services, service)
	}
	return all
}

// signatureNotes says which virtual routers anybody could disturb. Version 2 has no note: its password has a warning already.
func (c *Config) signatureNotes() (notes []string) {
	var unsigned []Router
	for _, r := range c.Routers {
		switch {
		case r.HMAC.Mode == vrrp.HMACReceiveOnly || r.HMAC.Mode == vrrp.HMACPermissive:
			notes = append(notes, fmt.Sprintf("virtual router %s: mode %s accepts unsigned advertisements from any machine: "+
				`when both directors sign, set mode = "enforce"`, r.Name, r.HMAC.Mode))
		case !r.HMAC.On() && r.Version == vrrp.Version3:
			unsigned = append(unsigned, r)
		}
	}
	if len(unsigned) > 0 {
		notes = append(notes, fmt.Sprintf("advertisements are not signed (%s): any machine that can send to this one can forge them, and take "+
			"the role of master from it, or make the backup master beside it; to prevent this, add [vrrp.hmac] with a key on both directors",
			names(unsigned)))
	}
	return notes
}

// onlyOwnAddress tells whether servers that have the VIP are checked, and none of their checks asks through it.
func (s Service) onlyOwnAddress() bool {
	checked := false
	for _, server := range s.Servers {
		for _, check := range server.Checks {
			if server.Method != lvs.DR && server.Method != lvs.Tunnel {
				continue
			}
			if checked = true; check.Via.IsValid() {
				return false
			}
		}
	}
	return checked
}

// routersAt returns the virtual routers with a VIP in the network of an address.
func (c *Config) routersAt(addr netip.Addr) (all []Router) {
	has := func(vip netip.Prefix) bool { return vip.Contains(addr) }
	for i := range c.Routers {
		if r := &c.Routers[i]; slices.ContainsFunc(r.VIPs, has) || slices.ContainsFunc(r.ExcludedVIPs, has) {
			all = append(all, *r)
		}
	}
	return all
}

// hasHostVIP tells whether a VIP has no network.
func (r Router) hasHostVIP() bool { return slices.ContainsFunc(r.VIPs, netip.Prefix.IsSingleIP) }

// routerOf returns the virtual router that has a VIP.
func (c *Config) routerOf(vip netip.Addr) (Router, bool) {
	i := slices.IndexFunc(c.Routers, func(r Router) bool {
		return slices.ContainsFunc(slices.Concat(r.VIPs, r.ExcludedVIPs), func(p netip.Prefix) bool { return p.Addr() == vip })
	})
	if i < 0 {
		return Router{}, false
	}
	return c.Routers[i], true
}

// together tells whether two virtual routers always have the same master.
func (r Router) together(o Router) bool {
	return r.Name == o.Name || r.SyncGroup != "" && r.SyncGroup == o.SyncGroup
}

func names(routers []Router) string {
	var all []string
	for _, r := range routers {
		all = append(all, r.Name)
	}
	return strings.Join(all, ", ")
}
