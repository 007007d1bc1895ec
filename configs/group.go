// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"fmt"
	"slices"

	"github.com/tandem-lvs/tandem/configs/internal/toml"
)

// A group is a synchronization group with the members that were read so far.
type group struct {
	first   *virtualRouter
	node    toml.Node // of first
	members int       // a [[vrrp]] with VIPs of both families makes two
}

// checkGroups warns of a synchronization group with only one member, or with members that would not agree on the master.
func checkGroups(at toml.Node, routers []virtualRouter) {
	byName := make(map[string]*group)
	var groups []*group
	for i := range routers {
		r, here := &routers[i], at.Index(i)
		if r.SyncGroup == "" || !here.Sound("vips", "priority", "advert_interval", "track") {
			continue
		}
		g, known := byName[r.SyncGroup]
		if !known {
			g = &group{first: r, node: here}
			byName[r.SyncGroup] = g
			groups = append(groups, g)
		}
		g.members += len(r.families())
		g.compare(here, r)
	}
	for _, g := range groups {
		if g.members == 1 {
			g.node.Key("sync_group").Warn("", "%s has no other member", g.first.SyncGroup)
		}
	}
}

// compare warns of settings of another member, r, that differ from the first member's.
func (g *group) compare(at toml.Node, r *virtualRouter) {
	const hint = "make them equal, so that the members of the group agree on the master"
	if r.Priority != g.first.Priority {
		at.Key("priority").Warn(hint, "is %d, but %d in %s of the same sync_group", r.Priority, g.first.Priority, g.node.Describe())
	}
	if r.AdvertInterval != g.first.AdvertInterval {
		at.Key("advert_interval").Warn(hint, "is %s, but %s in %s of the same sync_group",
			toml.ShowDuration(r.AdvertInterval), toml.ShowDuration(g.first.AdvertInterval), g.node.Describe())
	}
	if !slices.Equal(r.weights(), g.first.weights()) {
		at.Key("track").Warn(hint, "has other weights than %s of the same sync_group", g.node.Describe())
	}
}

// weights returns the tracks that change the priority, sorted.
func (v *virtualRouter) weights() (weights []string) {
	for _, t := range v.tracks {
		if t.weight != 0 {
			weights = append(weights, fmt.Sprintf("%s %d", t, t.weight))
		}
	}
	slices.Sort(weights)
	return weights
}
