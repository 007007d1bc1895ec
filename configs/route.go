// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"math"
	"net/netip"

	"github.com/tandem-lvs/tandem/configs/internal/toml"
	"github.com/tandem-lvs/tandem/lvs"
	"github.com/tandem-lvs/tandem/vrrp"
)

// mainTable is the number of the main routing table.
const mainTable = 254

func routeTable() toml.SchemaType[vrrp.Route] {
	return toml.Table(checkRoute,
		toml.Required("to", destination(), `"198.51.100.0/24"`, "The destination of the route.",
			func(r *vrrp.Route, v netip.Prefix) { r.To = v }),
		toml.Derived("via", neighbour(), "The next router.",
			func(r *vrrp.Route, v netip.Addr) { r.Via = v }).Unset("none, the destination is on the link").Example(`"192.0.2.1"`),
		toml.Derived("dev", interfaceName(), "The interface of the route.",
			func(r *vrrp.Route, v string) { r.Device = v }).Unset("the interface of the VIPs").Example(`"eth0"`),
		toml.Derived("src", neighbour(), "The source address of packets that this machine sends by the route.",
			func(r *vrrp.Route, v netip.Addr) { r.Source = v }).Unset("the kernel's choice").Example(`"192.0.2.100"`),
		toml.Optional("table", toml.Integer[uint32](1, math.MaxUint32), mainTable, "The routing table. 254 is the main table.",
			func(r *vrrp.Route, v uint32) { r.Table = v }),
		toml.Optional("metric", toml.Integer[uint32](0, math.MaxUint32), 0,
			"The metric. Of several routes to one destination, the kernel uses the one with the lowest metric.",
			func(r *vrrp.Route, v uint32) { r.Metric = v }),
		toml.Optional("onlink", toml.Boolean(), false,
			"If true, the next router is directly reachable, even if no prefix of the interface contains it.",
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
		if a.IsValid() && lvs.FamilyOf(a) != family {
			at.Key(name).Mistake("", "%s is of another family than the route, %s", a, familyName(family))
		}
	}
}

// routeFamily returns the family of a route. It is unless for a route without an address: a default route by an interface
// alone.
func routeFamily(r vrrp.Route, unless lvs.Family) lvs.Family {
	for _, a := range []netip.Addr{r.To.Addr(), r.Via, r.Source} {
		if a.IsValid() {
			return lvs.FamilyOf(a)
		}
	}
	return unless
}

func ruleTable() toml.SchemaType[vrrp.Rule] {
	return toml.Table(checkRule,
		toml.Derived("from", network(), "The source addresses that the rule is for.",
			func(r *vrrp.Rule, v netip.Prefix) { r.From = v }).Unset("all").Example(`"192.0.2.100"`),
		toml.Derived("to", network(), "The destination addresses that the rule is for.",
			func(r *vrrp.Rule, v netip.Prefix) { r.To = v }).Unset("all").Example(`"203.0.113.0/24"`),
		toml.Derived("fwmark", toml.Integer[uint32](1, math.MaxUint32), "The firewall mark of the packets that the rule is for.",
			func(r *vrrp.Rule, v uint32) { r.FWMark = v }).Unset("any mark, or none").Example("7"),
		toml.Required("table", toml.Integer[uint32](1, math.MaxUint32), "100", "The routing table that the rule leads to.",
			func(r *vrrp.Rule, v uint32) { r.Table = v }),
		toml.Required("priority", toml.Integer[uint32](1, math.MaxUint32), "1000",
			"The position of the rule. The kernel tries the rule with the lowest number first.",
			func(r *vrrp.Rule, v uint32) { r.Priority = v }),
	)
}

func checkRule(at toml.Node, r *vrrp.Rule) {
	if r.From.IsValid() && r.To.IsValid() && lvs.FamilyOf(r.From.Addr()) != lvs.FamilyOf(r.To.Addr()) {
		at.Key("to").Mistake("", "%s is of another family than from, %s", r.To, r.From)
	}
}

// ruleFamily returns the family of a rule. It is unless for a rule without an address.
func ruleFamily(r vrrp.Rule, unless lvs.Family) lvs.Family {
	for _, p := range []netip.Prefix{r.From, r.To} {
		if p.IsValid() {
			return lvs.FamilyOf(p.Addr())
		}
	}
	return unless
}

// A routeID is what identifies a route to the kernel.
type routeID struct {
	to            netip.Prefix
	table, metric uint32
}

// A followers holds the routes and rules of all virtual routers. Two virtual routers must not have the same one, because
// each would remove it from the other.
type followers struct {
	routes firstUse[routeID]
	rules  firstUse[vrrp.Rule]
}

// check refuses a route or rule that v shares with another virtual router, or has twice.
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

// either returns the family, or the families of the virtual router if f is none.
func either(f lvs.Family, families []lvs.Family) []lvs.Family {
	if f == 0 {
		return families
	}
	return []lvs.Family{f}
}
