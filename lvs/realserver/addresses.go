// SPDX-License-Identifier: Apache-2.0

package realserver

import (
	"net/netip"
	"slices"
)

// with returns the addresses that are a VIP, whatever their interface and prefix length.
func (s State) with(vip netip.Addr) (all []Address) {
	for _, l := range s.Links {
		for _, a := range l.Addrs {
			if a.Prefix.Addr() == vip {
				all = append(all, a)
			}
		}
	}
	return all
}

// misplaced returns the VIPs that are on an interface, or with a prefix length, that they should not have.
func (s State) misplaced(c Config) (all []Address) {
	for _, vip := range c.carried() {
		for _, a := range s.with(vip) {
			if a.Interface != c.device(vip) || a.Prefix != whole(vip) {
				all = append(all, a)
			}
		}
	}
	return all
}

// claim adds the VIPs where they belong, and removes them from everywhere else.
func (p *planner) claim() {
	for _, name := range p.config.Devices() {
		l, there := p.state.link(name)
		if there {
			p.record.seeLink(l)
		}
		if !l.Up {
			p.add(Step{Action: LinkUp, Name: name})
		}
	}
	for _, vip := range p.config.carried() {
		want := Address{Interface: p.config.device(vip), Prefix: whole(vip)}
		if !p.record.knows(vip) {
			p.record.Former = append(p.record.Former, p.state.with(vip)...)
		}
		if !want.among(p.record.Former) && !want.among(p.record.Added) {
			p.record.Added = append(p.record.Added, want)
		}
		switch {
		case !p.state.holds(want):
			p.add(Step{Action: AddAddress, Address: want})
		case !slices.Contains(p.state.Local, Route{want.Interface, vip}):
			p.add(Step{Action: AddLocalRoute, Address: want})
		}
	}
	for _, a := range p.state.misplaced(p.config) {
		p.add(Step{Action: DeleteAddress, Address: a})
	}
}

// unclaim removes the VIPs that are no longer wanted from where they were not before, except where the machine depends on
// one by now. It takes down the interfaces that were down before.
func (p *planner) unclaim() {
	for _, vip := range p.unwanted() {
		var leaving []Address
		for _, a := range p.state.with(vip) {
			if !a.among(p.record.Former) && p.state.needs(a, p.config) == "" && !slices.Contains(p.state.Directed, vip) {
				leaving = append(leaving, a)
			}
		}
		if len(leaving) == len(p.state.with(vip)) && !slices.ContainsFunc(p.record.Former, func(a Address) bool { return a.Prefix.Addr() == vip }) {
			p.freeRoutes(vip)
		}
		for _, a := range leaving {
			p.add(Step{Action: DeleteAddress, Address: a})
		}
	}
	unwanted := func(name string) bool { return !slices.Contains(p.config.Devices(), name) }
	for _, name := range p.record.Up {
		if l, there := p.state.link(name); unwanted(name) && there && l.Up {
			p.add(Step{Action: LinkDown, Name: name})
		}
	}
	p.record.Up = slices.DeleteFunc(p.record.Up, unwanted)
}

// reclaim gives the VIPs that are no longer wanted back to where they were before, and brings up the interfaces that were
// up before.
func (p *planner) reclaim() {
	unwanted := func(name string) bool { return !slices.Contains(p.config.Devices(), name) }
	for _, name := range p.record.WasUp {
		if l, there := p.state.link(name); unwanted(name) && there && !l.Up {
			p.add(Step{Action: LinkUp, Name: name})
		}
	}
	p.record.WasUp = slices.DeleteFunc(p.record.WasUp, unwanted)
	gone := p.unwanted()
	for _, a := range p.record.Former {
		if _, there := p.state.link(a.Interface); there && slices.Contains(gone, a.Prefix.Addr()) && !p.state.holds(a) {
			p.add(Step{Action: AddAddress, Address: a})
		}
	}
	p.record.Former = slices.DeleteFunc(p.record.Former, func(a Address) bool { return slices.Contains(gone, a.Prefix.Addr()) })
	p.record.Added = slices.DeleteFunc(p.record.Added, func(a Address) bool {
		vip := a.Prefix.Addr()
		return slices.Contains(gone, vip) || p.config.device(vip) != a.Interface // taken off by claim
	})
}

// unwanted returns the VIPs of the record that the configuration does not have, each once.
func (p *planner) unwanted() (all []netip.Addr) {
	for _, a := range slices.Concat(p.record.Added, p.record.Former) {
		if vip := a.Prefix.Addr(); !p.config.carries(vip) && !slices.Contains(all, vip) {
			all = append(all, vip)
		}
	}
	return all
}
