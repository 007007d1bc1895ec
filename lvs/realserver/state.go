// SPDX-License-Identifier: Apache-2.0

package realserver

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// A State is the present state of the machine.
type State struct {
	// Sysctls are the contents of files below /proc/sys, byte for byte, by their paths from there. A file that is not in
	// Sysctls does not exist.
	Sysctls map[string]string
	Links   []Link
	// Local is the kernel's local routing table.
	Local []Route
	// Filter are the rules of our ARP filter in order; nil if the table does not exist.
	Filter []Rule
	// DropIn is the text of the file Config.DropIn; empty if there is none.
	DropIn string
	// Loaded are the loaded modules of tunnels. Unused are those in the record that no other program uses.
	Loaded, Unused []string
	// Paths are the default routes, and the routes whose source is a VIP of the configuration or the record.
	Paths []Path
	// Sources are the addresses that the default routes send from.
	Sources []netip.Addr
	// Directed are the addresses that this machine, as a director, balances or has for its virtual routers.
	Directed []netip.Addr
	// Quiet says that rules of other programs hide the VIPs.
	Quiet bool
	// Operator must not lose the connection to the machine.
	Operator Operator
}

// A Link is an interface with its addresses.
type Link struct {
	Name     string
	Up       bool
	Ethernet bool // it uses ARP
	Addrs    []Address
}

// An Address is an address on an interface, with all that is needed to add it again.
type Address struct {
	Interface string       `json:"interface"`
	Prefix    netip.Prefix `json:"prefix"`
	Label     string       `json:"label,omitempty"`
	Scope     int          `json:"scope,omitempty"`
	Broadcast netip.Addr   `json:"broadcast,omitzero"`
	Secondary bool         `json:"secondary,omitempty"`
	// Preferred says that the kernel may choose it as the source of new connections. This is true for every IPv4 address.
	Preferred bool `json:"preferred,omitempty"`
	// Dynamic says that a lease or a router's advertisement gave it, and that it expires.
	Dynamic bool `json:"dynamic,omitempty"`
	// Routeless says that the kernel makes no route to its network.
	Routeless bool `json:"routeless,omitempty"`
}

// same reports whether two addresses are the same on the same interface.
func (a Address) same(b Address) bool { return a.Interface == b.Interface && a.Prefix == b.Prefix }

// among reports whether a list has the address.
func (a Address) among(list []Address) bool { return slices.ContainsFunc(list, a.same) }

// A Route is an address whose packets the machine accepts, with its interface.
type Route struct {
	Interface string
	Addr      netip.Addr
}

// An Operator is a login session from another machine. The zero value is no session.
type Operator struct {
	Remote, Local netip.Addr // the two ends of the session
	// Gateway is the next hop to Remote; the zero Addr if Remote is a neighbour.
	Gateway netip.Addr
}

func (s State) link(name string) (Link, bool) {
	i := slices.IndexFunc(s.Links, func(l Link) bool { return l.Name == name })
	if i < 0 {
		return Link{Name: name}, false
	}
	return s.Links[i], true
}

// has reports whether an interface has an address with its prefix length.
func (l Link) has(p netip.Prefix) bool {
	return slices.ContainsFunc(l.Addrs, func(a Address) bool { return a.Prefix == p })
}

// mayBeQuiet reports whether rules of other programs may hide the VIPs: there are such rules, and neither our settings nor our
// filter hide the VIPs.
func (s State) mayBeQuiet(c Config, r Record) bool {
	if !c.has4() || r.Filter || len(s.silent(c)) == 0 {
		return false
	}
	for _, vip := range c.carried() {
		if vip.Is4() && !s.holds(Address{Interface: c.device(vip), Prefix: whole(vip)}) {
			return false
		}
	}
	needed := len(wantedRules(c, s)) > 0 && !slices.Equal(wantedRules(c, s), s.Filter)
	for _, file := range silenceSysctls(c, s) {
		if _, ours := r.Sysctls[file]; ours {
			return false
		}
		needed = needed || !settled(file, s)
	}
	return needed
}

// silent returns the interfaces that must hide the VIPs.
func (s State) silent(c Config) []string {
	var names []string
	for _, l := range s.Links {
		listed := slices.Contains(c.Interfaces, l.Name)
		if len(c.Interfaces) == 0 {
			listed = l.Ethernet && l.own(c).IsValid()
		}
		if listed {
			names = append(names, l.Name)
		}
	}
	return names
}

// own returns the interface's first IPv4 address that is not a VIP.
func (l Link) own(c Config) netip.Addr {
	for _, a := range l.Addrs {
		if a.Prefix.Addr().Is4() && !c.carries(a.Prefix.Addr()) {
			return a.Prefix.Addr()
		}
	}
	return netip.Addr{}
}

// sysctl returns the path of a setting of IPv4 for an interface, or for "all".
func sysctl(iface, name string) string { return "net/ipv4/conf/" + iface + "/" + name }

// value returns a setting without the line end.
func (s State) value(path string) string { return strings.TrimSpace(s.Sysctls[path]) }

// number returns a setting as a number. If the setting does not exist, it is 0, the kernel's default of all these settings.
func (s State) number(path string) int {
	n, err := strconv.Atoi(s.value(path))
	if err != nil {
		return 0
	}
	return n
}
