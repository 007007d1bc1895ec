// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"cmp"
	"fmt"
)

// A Join is the word of a sync group to one of its members, for Loop.Join on its interface.
type Join struct {
	Interface, Name string
	To              State // Master or Backup
	Cause           Cause
}

// Groups are the sync groups of a director, whose members change state together whatever interface they are on. It
// does no I/O and remembers nothing but who is a member.
//
// A member's fault is every member's, and what is added to the priority of one is added to all. No member becomes
// master before all of them could: else one that has lost sight of a living master would drag the others into
// preempting theirs, again and again. When one gives way, all do.
type Groups struct {
	routers []Config
	members map[string][]Config // by group
	names   []string            // of the groups, in the order of their first members
}

// NewGroups returns the sync groups of routers, which are all that the director runs; those without a group are
// members of none.
func NewGroups(routers []Config) *Groups {
	g := &Groups{routers: routers, members: make(map[string][]Config)}
	for _, c := range routers {
		if c.SyncGroup == "" {
			continue
		}
		if g.members[c.SyncGroup] == nil {
			g.names = append(g.names, c.SyncGroup)
		}
		g.members[c.SyncGroup] = append(g.members[c.SyncGroup], c)
	}
	return g
}

// Decide returns, from the latest status of each router by name and from what each tracks itself, what each router is
// to be told by Loop.SetTracking, and which are to be told by Loop.Join. It is to be called after each change of
// either; telling a router the same again does no harm.
func (g *Groups) Decide(states map[string]Status, own map[string]Tracking) (tracking map[string]Tracking, joins []Join) {
	tracking = make(map[string]Tracking, len(g.routers))
	for _, c := range g.routers {
		tracking[c.Name] = own[c.Name]
	}
	for _, name := range g.names {
		members := g.members[name]
		if share(name, members, states, own, tracking) {
			continue
		}
		joins = append(joins, move(name, members, states)...)
	}
	return tracking, joins
}

// share gives each member of a group what the others track and their faults, and reports whether there is one.
func share(group string, members []Config, states map[string]Status, own, tracking map[string]Tracking) (faulty bool) {
	delta, unclear := 0, false
	for _, c := range members {
		delta += own[c.Name].Delta
		unclear = unclear || own[c.Name].Unclear
	}
	words := make([]string, len(members))
	for i, c := range members {
		words[i] = ownFault(states[c.Name], own[c.Name])
		faulty = faulty || words[i] != ""
	}
	for i, c := range members {
		t := Tracking{Delta: delta, Unclear: unclear, Fault: own[c.Name].Fault}
		for j, other := range members {
			if i != j && t.Fault == "" && words[j] != "" {
				t.Fault, t.OfGroup = fmt.Sprintf("sync group %q: %s: %s", group, other.Name, words[j]), true
			}
		}
		tracking[c.Name] = t
	}
	return faulty
}

// ownFault says what is wrong with a member apart from what its group tells it, "" if nothing.
func ownFault(s Status, own Tracking) string {
	if own.Fault != "" || s.State != Fault || s.Cause.Kind == FaultGroup {
		return own.Fault
	}
	return cmp.Or(s.Cause.String(), "fault")
}

// move returns the words that bring the members of a group without fault together.
func move(group string, members []Config, states map[string]Status) (joins []Join) {
	all, down := true, ""
	for _, c := range members {
		s := states[c.Name]
		all = all && (s.Ready || s.State == Master)
		// One that has never been master did not give way: it has been added to a group that is master.
		if s.State == Backup && !s.Ready && s.Counters.BecameMaster > 0 {
			down = c.Name
		}
	}
	for _, c := range members {
		switch s := states[c.Name]; {
		case all && s.Ready:
			joins = append(joins, Join{c.Interface, c.Name, Master, Cause{Kind: CauseGroupReady, Group: group}})
		case down != "" && s.State == Master && !s.HandingOver:
			joins = append(joins, Join{c.Interface, c.Name, Backup, Cause{Kind: CauseGroupBackup, Group: group, Text: down}})
		}
	}
	return joins
}
