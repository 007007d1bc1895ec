// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/vrrp"
)

// addresses adds the addresses, routes and rules that a router gets or loses.
func (p *planner) addresses(pair pairing) {
	var had, has map[string]vipOn
	holds := false
	if pair.was != nil {
		had, holds = vips(pair.was), p.stateOf(*pair.was).Holding
	}
	if pair.is != nil {
		has = vips(pair.is)
	}
	if pair.was != nil && pair.is != nil && holds && len(pair.is.UnicastPeers) == 0 && foreign(pair.was.VIPs, pair.is.VIPs) {
		l := api.PlanLine{
			Harm: api.Interrupts, Area: areaVRRP, Op: opChange, Object: routerName(pair.was), Change: "none of its VIPs stays",
			Cost: "until the peer has one of the new VIPs, it takes us for another pair, and both directors are master",
		}
		switch {
		case len(pair.was.VIPs) == 0:
			l.Change = "it had no VIP"
		case len(pair.is.VIPs) == 0:
			l.Change, l.Cost = "it has no VIP any more", "until the peer has none either, it takes us for another pair, and both directors are master"
		}
		p.add(l)
	}
	for _, key := range sortedKeys(had) {
		if _, stays := has[key]; !stays {
			p.add(p.removed(had[key], pair, holds))
		}
	}
	for _, key := range sortedKeys(has) {
		if _, stayed := had[key]; stayed {
			continue
		}
		v := has[key]
		l := api.PlanLine{
			Area: areaAddress, Op: opAdd, Object: v.prefix.String(), Change: "to " + v.link, Interface: v.link, Address: v.prefix.String(),
			Later: !holds || pair.was == nil,
		}
		if l.Later {
			l.Cost = "as soon as this director is master of " + pair.is.Name
		}
		p.add(l)
	}
	p.followers(pair, holds)
}

// removed returns the line of an address that a router loses.
func (p *planner) removed(v vipOn, pair pairing, holds bool) api.PlanLine {
	l := api.PlanLine{
		Area: areaAddress, Op: opRemove, Object: v.prefix.String(), Change: "from " + v.link, Interface: v.link, Address: v.prefix.String(),
		Later: !holds,
	}
	switch to := p.holder(v, pair); {
	case !holds:
		l.Cost = "this director is not master of " + pair.was.Name + ": it does not have the address now"
	case to != "":
		l.Cost = "stays on this machine: " + to
	case pair.is == nil:
		l.Harm, l.Cost = api.Moves, "leaves with "+routerName(pair.was)
	default:
		l.Harm, l.Cost = api.Interrupts, fmt.Sprintf("clients of %s get no answer", v.prefix.Addr())
	}
	return l
}

// A vipOn is an address and its interface.
type vipOn struct {
	prefix netip.Prefix
	link   string
}

func vips(r *configs.Router) map[string]vipOn {
	all := make(map[string]vipOn)
	for _, prefix := range slices.Concat(r.VIPs, r.ExcludedVIPs) {
		v := vipOn{prefix, r.InterfaceOf(prefix.Addr())}
		all[v.link+" "+prefix.String()] = v
	}
	return all
}

// foreign tells whether no VIP stays. The peer then takes our advertisements for another pair's.
func foreign(was, is []netip.Prefix) bool {
	return len(was)+len(is) > 0 && !slices.ContainsFunc(is, func(v netip.Prefix) bool {
		return slices.ContainsFunc(was, func(w netip.Prefix) bool { return w.Addr() == v.Addr() })
	})
}

// holder says where else on this machine the address is afterwards; empty: nowhere.
func (p *planner) holder(v vipOn, not pairing) string {
	for _, pair := range p.next[v.prefix.Addr()] {
		for _, other := range vips(pair.is) {
			switch {
			case other.prefix.Addr() != v.prefix.Addr() || pair == not && other == v:
			case other.link == v.link && pair == not:
				return fmt.Sprintf("it is added again as %s", other.prefix)
			case pair == not:
				return "it moves to " + other.link
			case pair.was != nil && p.stateOf(*pair.was).Holding:
				return "it belongs to " + routerName(pair.is)
			}
		}
	}
	return ""
}

// followers adds the routes and rules that a router gets or loses.
func (p *planner) followers(pair pairing, holds bool) {
	had, has := make(map[string]bool), make(map[string]bool)
	for _, half := range []struct {
		r   *configs.Router
		all map[string]bool
	}{{pair.was, had}, {pair.is, has}} {
		if half.r == nil {
			continue
		}
		for _, route := range half.r.Routes {
			half.all["route "+routeText(route)] = true
		}
		for _, rule := range half.r.Rules {
			half.all[fmt.Sprintf("rule %s (IPv%d)", rule, rule.Family)] = true
		}
	}
	for _, key := range sortedKeys(had) {
		if !has[key] {
			p.add(api.PlanLine{Area: areaAddress, Op: opRemove, Object: key, Later: !holds})
		}
	}
	for _, key := range sortedKeys(has) {
		if !had[key] {
			p.add(api.PlanLine{Area: areaAddress, Op: opAdd, Object: key, Later: !holds || pair.was == nil})
		}
	}
}

// routeText writes a route in the words of ip-route(8).
func routeText(r vrrp.Route) string {
	s := r.To.String()
	if r.Via.IsValid() {
		s += " via " + r.Via.String()
	}
	if r.Device != "" {
		s += " dev " + r.Device
	}
	if r.Source.IsValid() {
		s += " src " + r.Source.String()
	}
	if r.Table != 0 {
		s += fmt.Sprintf(" table %d", r.Table)
	}
	if r.Metric != 0 {
		s += fmt.Sprintf(" metric %d", r.Metric)
	}
	if r.OnLink {
		s += " onlink"
	}
	return s
}
