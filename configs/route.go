// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"math"
	"net/netip"

	"github.com/tandem-lvs/tandem/configs/internal/toml"
	"github.com/tandem-lvs/tandem/lvs"
	"github.com/tandem-lvs/tandem/vrrp"
)

// mainTable is the routing table that the kernel calls main.
const mainTable = 254

func routeTable() toml.SchemaType[vrrp.Route] {
	return toml.Table(checkRoute,
		toml.Required("to", destination(), "Where the route leads.",
			func(r *vrrp.Route, v netip.Prefix) { r.To = v }),
		toml.Derived("via", neighbour(), "The next router. On the link unless given.",
			func(r *vrrp.Route, v netip.Addr) { r.Via = v }),
		toml.Derived("dev", interfaceName(), "The interface; that of the VIPs unless given.",
			func(r *vrrp.Route, v string) { r.Device = v }),
		toml.Derived("src", neighbour(), "The source address of what this machine sends by the route; the kernel's choice unless given.",
			func(r *vrrp.Route, v netip.Addr) { r.Source = v }),
		toml.Optional("table", toml.Integer[uint32](1, math.MaxUint32), mainTable, "The routing table; 254 is main.",
			func(r *vrrp.Route, v uint32) { r.Table = v }),
		toml.Optional("metric", toml.Integer[uint32](0, math.MaxUint32), 0, "The metric: of several routes to one place the lowest is taken.",
			func(r *vrrp.Route, v uint32) { r.Metric = v }),
		toml.Optional("onlink", toml.Boolean(), false, "Takes the next router to be on the link, whatever the interface's prefixes say.",
			func(r *vrrp.Route, v bool) { r.OnLink = v }),
	)
}

func checkRoute(at toml.Node, r *vrrp.Route) {
	if r.OnLink && !at.Has("via") && at.Sound("onlink") {
		at.Key("onlink").Mistake("add via, or remove it", "has no meaning without via")
	}
	if !at.Sound("to", "via", "src") {
		return
	}
	family := routeFamily(*r, 0)
	for _, name := range []string{"via", "src"} {
		a := r.Via
		if name == "src" {
			a = r.Source
		}
		if a.IsValid() && familyOf(a) != family {
			at.Key(name).Mistake("", "%s is of another family than the route, %s", a, familyName(family))
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

func ruleTable() toml.SchemaType[vrrp.Rule] {
	return toml.Table(checkRule,
		toml.Derived("from", network(), "The source addresses that it is for. All unless given.",
			func(r *vrrp.Rule, v netip.Prefix) { r.From = v }),
		toml.Derived("to", network(), "The destination addresses that it is for. All unless given.",
			func(r *vrrp.Rule, v netip.Prefix) { r.To = v }),
		toml.Derived("fwmark", toml.Integer[uint32](1, math.MaxUint32), "The firewall mark that it is for. Any, or none, unless given.",
			func(r *vrrp.Rule, v uint32) { r.FWMark = v }),
		toml.Required("table", toml.Integer[uint32](1, math.MaxUint32), "The routing table that it leads to.",
			func(r *vrrp.Rule, v uint32) { r.Table = v }),
		toml.Required("priority", toml.Integer[uint32](1, math.MaxUint32), "Its place among the rules: the lowest is asked first.",
			func(r *vrrp.Rule, v uint32) { r.Priority = v }),
	)
}

func checkRule(at toml.Node, r *vrrp.Rule) {
	if r.From.IsValid() && r.To.IsValid() && familyOf(r.From.Addr()) != familyOf(r.To.Addr()) {
		at.Key("to").Mistake("", "%s is of another family than from, %s", r.To, r.From)
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
	routes firstUse[routeID]
	rules  firstUse[vrrp.Rule]
}

// check refuses what v shares with another virtual router, or has twice.
func (f followers) check(at toml.Node, v *virtualRouter) {
	families := v.families()
	for i, r := range v.Routes {
		here := at.Key("route").Index(i)
		for _, family := range either(routeFamily(r, 0), families) {
			id := routeID{r.To, r.Table, r.Metric}
			if !r.To.IsValid() {
				id.to = everything(family)
			}
			if !here.Sound("to", "via", "src", "table", "metric") {
				break
			}
			if earlier, ok := f.routes.add(id, here); !ok {
				here.Key("to").Mistake("give it another metric or table", "%s is already %s", id.to, earlier.Describe())
				break
			}
		}
	}
	for i, r := range v.Rules {
		here := at.Key("rule").Index(i)
		for _, family := range either(ruleFamily(r, 0), families) {
			r.Family = number(family)
			if !here.Sound("from", "to", "fwmark", "table", "priority") {
				break
			}
			if earlier, ok := f.rules.add(r, here); !ok {
				here.Mistake("", "is already %s", earlier.Describe())
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
