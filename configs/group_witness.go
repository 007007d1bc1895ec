// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"net/netip"
	"slices"
	"time"

	"github.com/tandem-lvs/tandem/configs/internal/toml"
)

// A syncGroup is what the file says about a sync group as a whole.
type syncGroup struct {
	name string
	asks witnessing
}

// groupTable is a sync group as a whole.
func groupTable() toml.SchemaType[syncGroup] {
	return toml.Table(nil,
		toml.Required("name", identifier(), `"gateway"`, "The group's name: that of sync_group in its virtual routers.",
			func(g *syncGroup, v string) { g.name = v }),
		toml.Required("witness", toml.List(witnessForm(), 1, maxPeers), `["192.0.2.1"]`,
			"As in [[vrrp]], for the whole group: while one of its virtual routers hears no master, the group takes over only if one of these "+
				"machines answers. They are asked once for the group, not once for each virtual router. The virtual routers of the group have no "+
				"witness of their own then.",
			func(g *syncGroup, v []witness) { g.asks.witnesses = v }),
		toml.Optional("witness_release", toml.Duration(0, time.Hour, time.Nanosecond), 0,
			"As in [[vrrp]], for the whole group. 0s is for ever.",
			func(g *syncGroup, v time.Duration) { g.asks.release = v }),
		toml.Derived("witness_peer", toml.List(neighbour(), 0, maxPeers).Valued("0 to %d addresses", maxPeers),
			"As in [[vrrp]], for the whole group.",
			func(g *syncGroup, v []netip.Addr) { g.asks.peers = v }).Unset("those of unicast_peers").Example(`["192.0.2.3"]`),
	)
}

// checkSyncGroups applies the rules about sync groups as a whole, and gives their witnesses to their members.
func checkSyncGroups(at toml.Node, f *file) {
	names := firstUse[string]{}
	for i := range f.groups {
		g, here := &f.groups[i], at.Key("group").Index(i)
		if !here.Sound("name", "witness", "witness_peer") || !checkName(names, g.name, true, here) {
			continue
		}
		g.asks.group = g.name
		members := g.members(at.Key("vrrp"), here, f.routers)
		if len(members) == 0 {
			continue
		}
		g.checkMembers(here, members)
		g.asks.checkRelease(here)
		for _, r := range members {
			r.asks, r.Witnessed, r.WitnessRelease = g.asks, true, g.asks.release
		}
	}
}

// members returns the virtual routers of the group. A member must not have witnesses of its own.
func (g *syncGroup) members(at, here toml.Node, routers []virtualRouter) (all []*virtualRouter) {
	var names []string
	for i := range routers {
		r := &routers[i]
		if !at.Index(i).Sound("sync_group") {
			return nil // it could be a member
		}
		if r.SyncGroup != "" && !slices.Contains(names, r.SyncGroup) {
			names = append(names, r.SyncGroup)
		}
		if r.SyncGroup != g.name {
			continue
		}
		if len(r.asks.witnesses) > 0 {
			at.Index(i).Key("witness").Mistake("remove one of the two", "%s has the witnesses of the whole sync_group %s", here.Describe(), g.name)
		}
		all = append(all, r)
	}
	if len(all) == 0 && at.Sound() {
		here.Key("name").Mistake(toml.Suggest(g.name, names), "there is no [[vrrp]] with the sync_group %q", g.name)
	}
	return all
}

// checkMembers applies the rules about witnesses and the members of the group. The timeout of the questions is that of the member with the
// shortest interval.
func (g *syncGroup) checkMembers(here toml.Node, members []*virtualRouter) {
	w := &g.asks
	var vips []netip.Prefix
	var peers []netip.Addr
	for i, r := range members {
		vips = append(vips, r.VIPs...)
		peers = append(peers, onLinks(r.UnicastPeers, r.Interface)...)
		if t := witnessTimeout(r); i == 0 || t < w.timeout {
			w.timeout = t
		}
		if r.Priority == owner {
			here.Key("witness").Mistake("give it a priority below 255, or remove this table", "%s of the group "+ownerAsksNobody, r.names()[0])
		}
	}
	w.check(here, vips)
	const several = "%s is a link-local address, and the group has several interfaces"
	for i, is := range w.witnesses {
		switch at := here.Key("witness").Index(i); {
		case is.neighbour && is.link == "":
			at.Mistake("add interface", "does not say on which interface of the group the neighbour is asked")
		case !is.neighbour && needsLink(is.at.Addr()):
			at.Mistake("use neighbour with interface, or another address", several, is.at.Addr())
		}
	}
	for i, a := range w.peers {
		if needsLink(a) {
			here.Key("witness_peer").Index(i).Mistake("use another address", several, a)
		}
	}
	if len(w.peers) == 0 {
		slices.SortFunc(peers, netip.Addr.Compare)
		w.peers = slices.Compact(peers)
	}
}
