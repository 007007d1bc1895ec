// SPDX-License-Identifier: Apache-2.0

package realserver

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// mainTable is the kernel's number of the routing table with the default routes.
const mainTable = 254

// A Path is a route to other machines.
type Path struct {
	To        netip.Prefix `json:"to"`
	Gateway   netip.Addr   `json:"gateway,omitzero"` // the zero Addr: To is on the interface, or there are several next hops
	Interface string       `json:"interface"`
	Source    netip.Addr   `json:"source,omitzero"` // the zero Addr: the kernel chooses
	Metric    int          `json:"metric,omitempty"`
	Table     int          `json:"table"`
	Protocol  int          `json:"protocol,omitempty"` // the program that made it, as the kernel numbers them
	Several   bool         `json:"-"`                  // it has several next hops
}

// command returns a shell command about the route.
func (p Path) command(verb string) string {
	var b strings.Builder
	b.WriteString("ip ")
	if p.To.Addr().Is6() {
		b.WriteString("-6 ")
	}
	fmt.Fprintf(&b, "route %s ", verb)
	if p.To.Bits() == 0 {
		b.WriteString("default")
	} else {
		b.WriteString(p.To.String())
	}
	if p.Gateway.IsValid() {
		fmt.Fprintf(&b, " via %s", p.Gateway)
	}
	fmt.Fprintf(&b, " dev %s", p.Interface)
	if p.Source.IsValid() {
		fmt.Fprintf(&b, " src %s", p.Source)
	}
	if p.Metric != 0 {
		fmt.Fprintf(&b, " metric %d", p.Metric)
	}
	if p.Table != mainTable {
		fmt.Fprintf(&b, " table %d", p.Table)
	}
	return b.String()
}

// sameSlot reports whether one route replaces the other in the kernel.
func (p Path) sameSlot(q Path) bool {
	return p.To == q.To && p.Table == q.Table && p.Metric == q.Metric
}

func everywhere(is4 bool) netip.Prefix {
	if is4 {
		return netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	}
	return netip.PrefixFrom(netip.IPv6Unspecified(), 0)
}

// defaults returns the default routes of a family, the one that the kernel prefers first.
func (s State) defaults(is4 bool) []Path {
	list := slices.DeleteFunc(slices.Clone(s.Paths), func(p Path) bool { return p.To != everywhere(is4) || p.Table != mainTable })
	slices.SortStableFunc(list, func(a, b Path) int { return a.Metric - b.Metric })
	return list
}

// routeTo returns the default route of a real server with NAT. The kernel prefers it to every other one.
func (s State) routeTo(vip netip.Addr) (Path, bool) {
	metric := 0
	if vip.Is6() {
		metric = 1 // 0 stands for 1024
	}
	for _, l := range s.Links {
		for _, a := range l.Addrs {
			if !a.Prefix.IsSingleIP() && a.Prefix.Contains(vip) {
				return Path{To: everywhere(vip.Is4()), Gateway: vip, Interface: l.Name, Metric: metric, Table: mainTable}, true
			}
		}
	}
	return Path{}, false
}

// route makes the default routes lead to the VIPs, for NAT.
func (p *planner) route() {
	if p.config.Mode != NAT {
		return
	}
	for _, vip := range p.config.VIPs {
		now := p.state.defaults(vip.Is4())
		if !p.record.hasRouted(vip.Is4()) {
			p.record.FormerRoutes = append(p.record.FormerRoutes, now...)
		}
		want, _ := p.state.routeTo(vip)
		if len(now) > 0 && now[0].Gateway == vip {
			continue
		}
		if !slices.Contains(p.record.Routed, want) && !slices.ContainsFunc(p.record.FormerRoutes, want.reaches) {
			p.record.Routed = append(p.record.Routed, want)
		}
		p.add(Step{Action: SetRoute, Path: want})
	}
}

// reaches reports whether two default routes have the same next hop and rank.
func (p Path) reaches(q Path) bool {
	return p.sameSlot(q) && p.Gateway == q.Gateway && p.Interface == q.Interface
}

// unroute restores the default routes of the families that are no longer wanted. If there was none before and another program
// has made one since, it stays.
func (p *planner) unroute() {
	wanted := func(q Path) bool {
		return p.config.Mode == NAT && slices.ContainsFunc(p.config.VIPs, func(vip netip.Addr) bool { return vip.Is4() == q.To.Addr().Is4() })
	}
	for _, ours := range p.record.Routed {
		former := slices.ContainsFunc(p.record.FormerRoutes, ours.sameSlot)
		if !wanted(ours) && !former && slices.ContainsFunc(p.state.Paths, ours.reaches) {
			p.add(Step{Action: DeleteRoute, Path: ours})
		}
	}
	for _, former := range p.record.FormerRoutes {
		if !wanted(former) && !slices.ContainsFunc(p.state.Paths, func(q Path) bool { return former.reaches(q) && former.Source == q.Source }) {
			p.add(Step{Action: SetRoute, Path: former})
		}
	}
	p.record.Routed = slices.DeleteFunc(p.record.Routed, func(q Path) bool { return !wanted(q) })
	p.record.FormerRoutes = slices.DeleteFunc(p.record.FormerRoutes, func(q Path) bool { return !wanted(q) })
}

// hasRouted reports whether the record has the default routes of a family.
func (r Record) hasRouted(is4 bool) bool {
	of := func(p Path) bool { return p.To.Addr().Is4() == is4 }
	return slices.ContainsFunc(r.Routed, of) || slices.ContainsFunc(r.FormerRoutes, of)
}

// freeRoutes removes the VIP from the routes that have it as their source: the kernel deletes such a route with the address.
func (p *planner) freeRoutes(vip netip.Addr) {
	for _, path := range p.state.Paths {
		if path.Source == vip && vip.Is4() {
			path.Source = netip.Addr{}
			p.add(Step{Action: SetRoute, Path: path})
		}
	}
}
