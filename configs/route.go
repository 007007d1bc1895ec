// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"math"
	"net/netip"

	"github.com/tandem-lvs/tandem/lvs"
	"github.com/tandem-lvs/tandem/vrrp"
)

// mainTable is the routing table that the kernel calls main.
const mainTable = 254

func routeTable() kind[vrrp.Route] {
	return tableOf(checkRoute,
		required("to", destination(), "Where the route leads.",
			func(r *vrrp.Route, v netip.Prefix) { r.To = v }),
		derived("via", neighbour(), "The next router. On the link unless given.",
			func(r *vrrp.Route, v netip.Addr) { r.Via = v }),
		derived("dev", interfaceName(), "The interface; that of the VIPs unless given.",
			func(r *vrrp.Route, v string) { r.Device = v }),
		derived("src", neighbour(), "The source address of what this machine sends by the route; the kernel's choice unless given.",
			func(r *vrrp.Route, v netip.Addr) { r.Source = v }),
		optional("table", integer[uint32](1, math.MaxUint32), mainTable, "The routing table; 254 is main.",
			func(r *vrrp.Route, v uint32) { r.Table = v }),
		optional("metric", integer[uint32](0, math.MaxUint32), 0, "The metric: of several routes to one place the lowest is taken.",
			func(r *vrrp.Route, v uint32) { r.Metric = v }),
		optional("onlink", boolean(), false, "Takes the next router to be on the link, whatever the interface's prefixes say.",
			func(r *vrrp.Route, v bool) { r.OnLink = v }),
	)
}

func checkRoute(at place, r *vrrp.Route) {
	if r.OnLink && !at.given("via") && at.sound("onlink") {
		at.key("onlink").mistake("add via, or remove it", "has no meaning without via")
	}
	if !at.sound("to", "via", "src") {
		return
	}
	family := routeFamily(*r, 0)
	for _, name := range []string{"via", "src"} {
		a := r.Via
		if name == "src" {
			a = r.Source
		}
		if a.IsValid() && familyOf(a) != family {
			at.key(name).mistake("", "%s is of another family than the route, %s", a, familyName(family))
		}
	}
}

// routeFamily is the family of a route, or unless if it names no address: a default route by an interface alone.
func routeFamily(r vrrp.Route, unless lvs.Family) lvs.Family {
	for _, a := range []netip.Addr{r.To.Addr(), r.Via, r.Source} {
		if a.IsValid() {
			return familyOf(a)
		}
	}
	return unless
}

func ruleTable() kind[vrrp.Rule] {
	return tableOf(checkRule,
		derived("from", network(), "The source addresses that it is for. All unless given.",
			func(r *vrrp.Rule, v netip.Prefix) { r.From = v }),
		derived("to", network(), "The destination addresses that it is for. All unless given.",
			func(r *vrrp.Rule, v netip.Prefix) { r.To = v }),
		derived("fwmark", integer[uint32](1, math.MaxUint32), "The firewall mark that it is for. Any, or none, unless given.",
			func(r *vrrp.Rule, v uint32) { r.FWMark = v }),
		required("table", integer[uint32](1, math.MaxUint32), "The routing table that it leads to.",
			func(r *vrrp.Rule, v uint32) { r.Table = v }),
		required("priority", integer[uint32](1, math.MaxUint32), "Its place among the rules: the lowest is asked first.",
			func(r *vrrp.Rule, v uint32) { r.Priority = v }),
	)
}

func checkRule(at place, r *vrrp.Rule) {
	if r.From.IsValid() && r.To.IsValid() && familyOf(r.From.Addr()) != familyOf(r.To.Addr()) {
		at.key("to").mistake("", "%s is of another family than from, %s", r.To, r.From)
	}
}

// ruleFamily is the family of a rule, or unless if it names no address.
func ruleFamily(r vrrp.Rule, unless lvs.Family) lvs.Family {
	for _, p := range []netip.Prefix{r.From, r.To} {
		if p.IsValid() {
			return familyOf(p.Addr())
		}
	}
	return unless
}

// A routeID is what the kernel takes one route for.
type routeID struct {
	to            netip.Prefix
	table, metric uint32
}

// A followers are the routes and rules of all virtual routers. Two that hold the same one would take it from each other.
type followers struct {
	routes seen[routeID]
	rules  seen[vrrp.Rule]
}

// check refuses what v shares with another virtual router, or has twice.
func (f followers) check(at place, v *virtualRouter) {
	families := v.families()
	for i, r := range v.Routes {
		here := at.key("route").index(i)
		for _, family := range either(routeFamily(r, 0), families) {
			id := routeID{r.To, r.Table, r.Metric}
			if !r.To.IsValid() {
				id.to = everything(family)
			}
			if !here.sound("to", "via", "src", "table", "metric") {
				break
			}
			if earlier, ok := f.routes.first(id, here); !ok {
				here.key("to").mistake("give it another metric or table", "%s is already %s", id.to, earlier.describe())
				break
			}
		}
	}
	for i, r := range v.Rules {
		here := at.key("rule").index(i)
		for _, family := range either(ruleFamily(r, 0), families) {
			r.Family = number(family)
			if !here.sound("from", "to", "fwmark", "table", "priority") {
				break
			}
			if earlier, ok := f.rules.first(r, here); !ok {
				here.mistake("", "is already %s", earlier.describe())
				break
			}
		}
	}
}

// either is the one family, or those of the virtual router if it is none.
func either(f lvs.Family, families []lvs.Family) []lvs.Family {
	if f == 0 {
		return families
	}
	return []lvs.Family{f}
}
