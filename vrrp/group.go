// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"cmp"
	"fmt"
)

// A Join is the decision of a sync group about one of its members, for Loop.Join of its interface.
type Join struct {
	Interface, Name string
	To              State // Master or Backup
	Cause           Cause
}

// Groups are the sync groups of a director. The members of a group change state together, on whatever interfaces they are.
// Groups stores only the list of members.
//
// A fault of one member is a fault of all members, and an addition to the priority of one is added to all. No member becomes
// master before all members can. Otherwise a member that no longer hears a living master would make the others preempt their
// masters, again and again. When one member becomes backup, all members do.
type Groups struct {
	routers []Config
	members map[string][]Config // by group
	names   []string            // of the groups, in the order of their first members
}

// NewGroups returns the sync groups of all the routers of a director.
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

// Decide takes the latest status of each router, by name, and the tracking results of each router itself. It returns the
// tracking for Loop.SetTracking of each router, and the decisions for Loop.Join. Call it after each change; repeating a
// decision does no harm.
func (g *Groups) Decide(states map[string]Status, own map[string]Tracking) (tracking map[string]Tracking, joins []Join) {
	tracking = make(map[string]Tracking, len(g.routers))
	for _, c := range g.routers {
		tracking[c.Name] = own[c.Name]
	}
	for _, name := range g.names {
		members := g.members[name]
		if faulty, lastResort := share(name, members, states, own, tracking); faulty && !lastResort {
			continue
		}
		joins = append(joins, move(name, members, states)...)
	}
	return tracking, joins
}

// share gives each member the tracking results and faults of the other members. It reports whether there is a fault, and
// whether every fault allows a router to be master as the last resort. If a member hears no master, its VIPs are nowhere: then the group
// waits for no connections. Nor does it once a member is master, because the others follow.
func share(group string, members []Config, states map[string]Status, own, tracking map[string]Tracking) (faulty, lastResort bool) {
	delta, unclear, noWitness, unsynced, moves := 0, false, false, false, false
	for _, c := range members {
		delta += own[c.Name].Delta
		unclear = unclear || own[c.Name].Unclear
		noWitness = noWitness || own[c.Name].NoWitness
		unsynced = unsynced || own[c.Name].Unsynced
		is := states[c.Name]
		moves = moves || is.Ready && !is.Preempts || is.State == Master && !is.HandingOver
	}
	words := make([]string, len(members))
	for i, c := range members {
		words[i] = ownFault(states[c.Name], own[c.Name])
		faulty = faulty || words[i] != ""
	}
	lastResort = faulty
	for i, c := range members {
		lastResort = lastResort && (words[i] == "" || own[c.Name].LastResort && !hard(states[c.Name]))
	}
	for i, c := range members {
		t := Tracking{Delta: delta, Unclear: unclear, Fault: own[c.Name].Fault, LastResort: lastResort, NoWitness: noWitness, Granted: own[c.Name].Granted,
			Unsynced: unsynced && !moves}
		for j, other := range members {
			if i != j && t.Fault == "" && words[j] != "" {
				t.Fault, t.OfGroup = fmt.Sprintf("sync group %q: %s: %s", group, other.Name, words[j]), true
			}
		}
		tracking[c.Name] = t
	}
	return faulty, lastResort
}

// hard reports whether a member is in Fault for a reason other than its tracks.
func hard(s Status) bool {
	return s.State == Fault && s.Cause.Kind != FaultTracked && s.Cause.Kind != FaultGroup
}

// ownFault returns a member's own fault in words. If it has none, it returns "".
func ownFault(s Status, own Tracking) string {
	if own.Fault != "" || s.State != Fault || s.Cause.Kind == FaultGroup {
		return own.Fault
	}
	return cmp.Or(s.Cause.String(), "fault")
}

// move returns the decisions that bring the members of a group to the same state. The group has no fault, or only faults that
// allow it to be master as the last resort.
func move(group string, members []Config, states map[string]Status) (joins []Join) {
	all, down := true, ""
	for _, c := range members {
		s := states[c.Name]
		// A member that offers its place will be backup soon: the others wait for it.
		all = all && (s.Ready || s.State == Master && !s.HandingOver)
		// A member that has never been master did not give way: it is new in a group whose members are master.
		if (s.State == Backup || s.State == Fault && s.Master.IsValid()) && !s.Ready && s.Counters.BecameMaster > 0 {
			down = c.Name
		}
	}
	for _, c := range members {
		switch s := states[c.Name]; {
		case all && s.Ready:
			joins = append(joins, Join{c.Interface, c.Name, Master, Cause{Kind: CauseGroupReady, Group: group}})
		case down != "" && s.State == Master && !(s.HandingOver && s.Cause.Kind == CauseGroupBackup):
			// This is also for a member that offers its place for another reason: if nobody takes over, it must not take it back.
			joins = append(joins, Join{c.Interface, c.Name, Backup, Cause{Kind: CauseGroupBackup, Group: group, Text: down}})
		}
	}
	return joins
}
