// SPDX-License-Identifier: Apache-2.0

package realserver

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// A Refusal says why a plan was not made: it would hurt the machine, or cut a connection.
type Refusal struct {
	VIP    netip.Addr // invalid if the reason is not about a VIP
	Reason string
}

func (r *Refusal) Error() string {
	if !r.VIP.IsValid() {
		return "refused: " + r.Reason
	}
	return fmt.Sprintf("refused: %s %s", r.VIP, r.Reason)
}

// refuse finds what would hurt the machine, cut off the operator, or remove other addresses.
func refuse(c Config, s State, r Record) error {
	for _, name := range c.Interfaces {
		if _, there := s.link(name); !there && !slices.Contains(r.Config.Interfaces, name) {
			return &Refusal{Reason: fmt.Sprintf("there is no interface %s: write one of %s", name, strings.Join(s.ethernets(), ", "))}
		}
	}
	if err := refuseCut(c, s, r); err != nil {
		return err
	}
	for _, a := range s.misplaced(c) {
		if err := s.losing(a, c); err != nil {
			return err
		}
	}
	for _, vip := range c.VIPs {
		if reason := s.used(vip, c, r); reason != "" {
			return &Refusal{vip, reason}
		}
	}
	for _, a := range s.misplaced(c) {
		if reason := s.needs(a, c); reason != "" {
			return &Refusal{a.Prefix.Addr(), reason}
		}
	}
	return nil
}

// used returns why an address cannot be a VIP: the machine uses it itself.
func (s State) used(vip netip.Addr, c Config, r Record) string {
	held := s.with(vip)
	switch {
	case slices.Contains(s.Directed, vip):
		return "is a virtual address of the director on this machine: a machine cannot be both the director and a real server of an address"
	case c.Mode == NAT:
		return s.unroutable(vip, held)
	case r.knows(vip):
		return ""
	case slices.ContainsFunc(s.Paths, func(p Path) bool { return p.Source == vip && p.To.Bits() == 0 }):
		return "is the source of this machine's default route: give that route another source first (ip route replace default … src ADDRESS)"
	}
	for _, a := range held {
		if a.Interface == c.device(vip) {
			continue
		}
		switch {
		case s.sendsFrom(a):
			return fmt.Sprintf("is this machine's own address on %s, and the source of its default route: write the virtual address", a.Interface)
		case a.Dynamic:
			return fmt.Sprintf("is this machine's own address on %s, which it was leased: write the virtual address", a.Interface)
		case s.last(a, c):
			return fmt.Sprintf("is the only address on %s, so this machine's own: write the virtual address; "+
				"if it is the virtual address, remove it first (ip address del %s dev %[1]s)", a.Interface, a.Prefix)
		}
	}
	return ""
}

// unroutable returns why an address cannot be the gateway of a real server of NAT.
func (s State) unroutable(vip netip.Addr, held []Address) string {
	if len(held) > 0 {
		return fmt.Sprintf("is on %s of this machine: mode nat needs the address that the directors have; "+
			"if tandem has added it, remove it first (tandem realserver remove)", held[0].Interface)
	}
	if _, ok := s.routeTo(vip); !ok {
		return "is in none of this machine's networks: mode nat needs the virtual address that the directors have in this machine's network"
	}
	routes := s.defaults(vip.Is4())
	if len(routes) == 0 || routes[0].Gateway == vip {
		return ""
	}
	switch {
	case routes[0].Several:
		return "cannot replace a default route with several next hops: remove that route first"
	case s.Operator.Gateway.IsValid() && s.Operator.Gateway == routes[0].Gateway:
		return fmt.Sprintf("would become the gateway on your way to this machine, and cut you off: give your network a route of its own first "+
			"(ip route add %s via %s)", s.Operator.Remote, s.Operator.Gateway)
	}
	return ""
}

// needs returns why an address must not be deleted: the machine depends on it by now.
func (s State) needs(a Address, c Config) string {
	if _, tunnel := tunnels[a.Interface]; tunnel || a.Interface == loopback {
		return ""
	}
	switch {
	case s.sendsFrom(a):
		return fmt.Sprintf("is on %s too, as the source of the default route: give %[1]s an address of its own, and the route that source", a.Interface)
	case s.last(a, c) && s.leads(a.Interface, a.Prefix.Addr().Is4()):
		return fmt.Sprintf("is the only address on %s, and the default route leads there: give %[1]s an address of its own", a.Interface)
	}
	return ""
}

// leads reports whether a default route leads to an interface.
func (s State) leads(iface string, is4 bool) bool {
	return slices.ContainsFunc(s.Paths, func(p Path) bool { return p.Interface == iface && p.To == everywhere(is4) })
}

// sendsFrom reports whether a default route sends from an address on its interface.
func (s State) sendsFrom(a Address) bool {
	return slices.Contains(s.Sources, a.Prefix.Addr()) && s.leads(a.Interface, a.Prefix.Addr().Is4())
}

// last reports whether an interface has no other address of the family than VIPs.
func (s State) last(a Address, c Config) bool {
	l, _ := s.link(a.Interface)
	return !slices.ContainsFunc(l.Addrs, func(o Address) bool {
		other := o.Prefix.Addr()
		return other != a.Prefix.Addr() && other.Is4() == a.Prefix.Addr().Is4() && !other.IsLinkLocalUnicast() && !c.carries(other)
	})
}

// ethernets returns the names of the Ethernet interfaces.
func (s State) ethernets() (names []string) {
	for _, l := range s.Links {
		if l.Ethernet {
			names = append(names, l.Name)
		}
	}
	return names
}

// refuseCut finds what would cut off the operator.
func refuseCut(c Config, s State, r Record) error {
	op := s.Operator
	for _, vip := range c.carried() {
		want := Address{Interface: c.device(vip), Prefix: whole(vip)}
		switch {
		case s.holds(want):
			continue
		case vip == op.Remote:
			return &Refusal{vip, "is the address that you come from: the machine would answer itself instead of you"}
		case vip == op.Gateway:
			return &Refusal{vip, "is the gateway on your way to this machine: it would be cut"}
		case vip == op.Local:
			return &Refusal{vip, "is the address that you reached this machine by: come by another one"}
		}
	}
	for _, a := range r.Added {
		if vip := a.Prefix.Addr(); vip == op.Local && !c.carries(vip) {
			return &Refusal{vip, "is the address that you reached this machine by: come by another one"}
		}
	}
	return nil
}

// losing refuses to delete an address that others depend on.
func (s State) losing(a Address, c Config) error {
	l, _ := s.link(a.Interface)
	onLink := func(hop netip.Addr) bool {
		return slices.ContainsFunc(l.Addrs, func(o Address) bool {
			return !c.carries(o.Prefix.Addr()) && o.Prefix.Contains(hop)
		})
	}
	for _, hop := range []netip.Addr{s.Operator.Gateway, s.Operator.Remote} {
		if hop.IsValid() && a.Prefix.Bits() < a.Prefix.Addr().BitLen() && a.Prefix.Contains(hop) && !onLink(hop) {
			return &Refusal{a.Prefix.Addr(), fmt.Sprintf(
				"is misplaced on %s, and its prefix %s alone leads back to you: give %[1]s an address of its own",
				a.Interface, a.Prefix.Masked())}
		}
	}
	promotes := s.value(sysctl("all", "promote_secondaries")) == "1" || s.value(sysctl(a.Interface, "promote_secondaries")) == "1"
	if a.Secondary || promotes || a.Prefix.Addr().Is6() {
		return nil
	}
	for _, o := range l.Addrs {
		if o.Secondary && o.Prefix.Masked() == a.Prefix.Masked() {
			return &Refusal{a.Prefix.Addr(), fmt.Sprintf(
				"is misplaced on %s as the first address of its network: the kernel would delete %s with it; "+
					"set sysctl net.ipv4.conf.all.promote_secondaries=1 first",
				a.Interface, o.Prefix)}
		}
	}
	return nil
}
