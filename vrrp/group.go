// SPDX-License-Identifier: Apache-2.0

package vrrp

// A Join is the word of a sync group to one of its members, for Loop.Join on its interface.
type Join struct {
	Interface, Name string
	To              State // Master or Backup
	Reason          string
}

// Groups are the sync groups of a director, whose members change state together whatever interface they are on. It
// does no I/O and remembers nothing but who is a member.
type Groups struct {
	members map[string][]Config // by group
	all     []Config
}

// NewGroups returns the sync groups of routers, which are all that the director runs; those without a group are no
// member of any.
func NewGroups(routers []Config) *Groups {
	g := &Groups{members: make(map[string][]Config), all: routers}
	for _, c := range routers {
		if c.SyncGroup != "" {
			g.members[c.SyncGroup] = append(g.members[c.SyncGroup], c)
		}
	}
	return g
}

// Decide returns, from the latest status of each router by name and from what each tracks itself, what each router is
// to be told by Loop.SetTracking, and which are to be told by Loop.Join. It is called after each change of either.
func (g *Groups) Decide(states map[string]Status, own map[string]Tracking) (tracking map[string]Tracking, joins []Join) {
	tracking = make(map[string]Tracking, len(g.all))
	for _, c := range g.all {
		tracking[c.Name] = own[c.Name]
	}
	return tracking, nil
}
