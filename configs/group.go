// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"fmt"
	"slices"
)

// A group is a synchronization group as far as its members are known.
type group struct {
	first   *virtualRouter
	place   place // of first
	members int   // a [[vrrp]] with VIPs of both families makes two
}

// checkGroups warns of synchronization groups whose members would disagree on who is master, or have nobody to agree with.
func checkGroups(at place, routers []virtualRouter) {
	byName := make(map[string]*group)
	var groups []*group
	for i := range routers {
		r, here := &routers[i], at.index(i)
		if r.SyncGroup == "" || !here.sound("vips", "priority", "advert_interval", "track") {
			continue
		}
		g, known := byName[r.SyncGroup]
		if !known {
			g = &group{first: r, place: here}
			byName[r.SyncGroup] = g
			groups = append(groups, g)
		}
		g.members += len(r.families())
		g.compare(here, r)
	}
	for _, g := range groups {
		if g.members == 1 {
			g.place.key("sync_group").warn("", "%s has no other member", g.first.SyncGroup)
		}
	}
}

// compare warns of what r, another member, has unlike the first.
func (g *group) compare(at place, r *virtualRouter) {
	const hint = "the members of a group should agree on who is master"
	if r.Priority != g.first.Priority {
		at.key("priority").warn(hint, "is %d, and %d in %s of the same sync_group", r.Priority, g.first.Priority, g.place.describe())
	}
	if r.AdvertInterval != g.first.AdvertInterval {
		at.key("advert_interval").warn(hint, "is %s, and %s in %s of the same sync_group",
			showDuration(r.AdvertInterval), showDuration(g.first.AdvertInterval), g.place.describe())
	}
	if !slices.Equal(r.weights(), g.first.weights()) {
		at.key("track").warn(hint, "changes the priority by other things than in %s of the same sync_group", g.place.describe())
	}
}

// weights are the tracks that change the priority, in an order of their own.
func (v *virtualRouter) weights() (weights []string) {
	for _, t := range v.tracks {
		if t.weight != 0 {
			weights = append(weights, fmt.Sprintf("%s %d", t, t.weight))
		}
	}
	slices.Sort(weights)
	return weights
}
