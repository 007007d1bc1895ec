// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/vrrp"
)

// A pairing is a virtual router before and after. One of them is nil if it is new or removed.
type pairing struct{ was, is *configs.Router }

// pairings pairs the virtual routers as the election does: a router goes on if its name, VRID, family and interface stay, or if
// only its name changes. Any other change of these makes it leave, and another one start.
func (p *planner) pairings() (all []pairing) {
	before, after := p.Before.Config.Routers, p.After.Config.Routers
	taken := make(map[int]bool)
	find := func(same func(c *configs.Router) bool) *configs.Router {
		for i := range after {
			if !taken[i] && same(&after[i]) {
				taken[i] = true
				return &after[i]
			}
		}
		return nil
	}
	named := func(routers []configs.Router, name string) bool {
		return slices.ContainsFunc(routers, func(r configs.Router) bool { return r.Name == name })
	}
	for i := range before {
		was := &before[i]
		is := find(func(c *configs.Router) bool { return c.Interface == was.Interface && c.SameRouter(&was.Config) })
		if is == nil {
			is = find(func(c *configs.Router) bool {
				return c.Interface == was.Interface && c.VRID == was.VRID && c.Family() == was.Family() && !named(before, c.Name)
			})
		}
		all = append(all, pairing{was, is})
	}
	for i := range after {
		if !taken[i] {
			all = append(all, pairing{nil, &after[i]})
		}
	}
	return all
}

// routers adds the lines about virtual routers, their addresses and their tracks.
func (p *planner) routers() {
	p.pairs = p.pairings()
	p.next = make(map[netip.Addr][]pairing)
	for _, pair := range p.pairs {
		if pair.is != nil {
			for _, vip := range slices.Concat(pair.is.VIPs, pair.is.ExcludedVIPs) {
				p.next[vip.Addr()] = append(p.next[vip.Addr()], pair)
			}
		}
	}
	for _, pair := range p.pairs {
		switch {
		case pair.is == nil:
			p.leaves(pair.was)
		case pair.was == nil:
			p.joins(pair.is)
		default:
			p.continues(pair)
		}
		p.addresses(pair)
	}
	p.tracks()
}

func routerName(r *configs.Router) string { return "virtual router " + r.Name }

// replacement returns the new virtual router that has the name of one that leaves.
func replacement(routers []configs.Router, name string) *configs.Router {
	i := slices.IndexFunc(routers, func(r configs.Router) bool { return r.Name == name })
	if i < 0 {
		return nil
	}
	return &routers[i]
}

func (p *planner) leaves(was *configs.Router) {
	l := api.PlanLine{Area: areaVRRP, Op: opRemove, Object: routerName(was), Interface: was.Interface}
	is := replacement(p.After.Config.Routers, was.Name)
	if is != nil {
		l.Op, l.Change = opChange, written(append(differing(was.Config, is.Config, "Priority", "Preempt", "VIPs", "ExcludedVIPs", "VIPInterfaces", "HMAC"), signing(was.HMAC, is.HMAC)...))
	}
	switch holds := p.stateOf(*was).Holding; {
	case is != nil && is.Interface == was.Interface && is.VRID != was.VRID:
		l.Harm = api.Interrupts
		l.Cost = "starts anew with another VRID: until the peer has the same, both directors are master and have the VIPs"
	case holds:
		l.Harm, l.Cost = p.departs(was, is != nil)
	}
	p.add(l)
}

func (p *planner) joins(is *configs.Router) {
	if was := replacement(p.Before.Config.Routers, is.Name); was != nil {
		return // the line of the one that leaves says it
	}
	l := api.PlanLine{
		Area: areaVRRP, Op: opAdd, Object: routerName(is), Interface: is.Interface,
		Change: fmt.Sprintf("vrid %d on %s, priority %d", is.VRID, is.Interface, is.Priority),
		Cost:   "starts as backup, and becomes master if it hears no master of a higher priority",
	}
	if p.Interfaces != nil && !p.Interfaces[is.Interface] {
		l.Cost = fmt.Sprintf("there is no interface %s: the router is in state FAULT until there is one", is.Interface)
	}
	p.add(l)
}

// splitting are the settings that must be the same on both directors. While they differ, each drops the other's
// advertisements.
var splitting = []string{"version", "auth_pass", "unicast_peers"}

// splits tells whether a changed setting makes the peer drop our advertisements until it has the same.
func splits(f field, is *configs.Router) bool {
	switch f.key {
	case "unicast_peers":
		return f.was == "[]" || f.is == "[]"
	case "source":
		return len(is.UnicastPeers) > 0
	case "advert_interval":
		return is.Version == 2
	}
	return slices.Contains(splitting, f.key) || secret(f.key)
}

// continues adds the lines of a router that keeps its role: one for its priority, and one for all other settings.
func (p *planner) continues(pair pairing) {
	p.priority(pair)
	was, is := pair.was, pair.is
	skip := []string{"Priority", "Preempt", "VIPs", "ExcludedVIPs", "VIPInterfaces", "Routes", "Rules", "HMAC"}
	fields := slices.Concat(differing(was.Config, is.Config, skip...), differing(was.Announce, is.Announce), differing(*was, *is, "Config", "Announce", "PreemptSyncLimit"),
		preemption(was, is), signing(was.HMAC, is.HMAC))
	if len(fields) == 0 {
		return
	}
	l := api.PlanLine{Area: areaVRRP, Op: opChange, Object: routerName(was), Change: written(fields)}
	if was.Name != is.Name {
		l.Cost = "keeps its role"
	}
	master := p.stateOf(*was).State == vrrp.Master
	for _, f := range fields {
		switch {
		case splits(f, is):
			l.Harm = api.Interrupts
			l.Cost = "until the peer has the same, it drops our advertisements, and both directors are master"
		case l.Harm == api.Interrupts:
		case f.key == "virtual_mac" && master:
			l.Harm, l.Cost = api.Moves, fmt.Sprintf("moves VIP on this machine: from %s to %s", was.AddressInterface(), is.AddressInterface())
		case f.key == "advert_interval":
			l.Cost = "the peer follows the master's interval; give it the same"
		case f.key == "down_adverts":
			l.Cost = sentence(l.Cost, fmt.Sprintf("a silent master counts as gone after %s; give the peer the same", short(is.DownTime(is.Priority).Round(time.Millisecond))))
		case f.key == "label" && master:
			l.Cost = sentence(l.Cost, "an address that gets another label is removed and added again at once")
		case f.key == "heartbeat" && len(is.Heartbeat) > 0:
			l.Cost = sentence(l.Cost, "a path is heard when the peer has it too; give the peer the same")
		case f.key == "carrier" && is.Carrier == vrrp.CarrierIgnore:
			l.Cost = sentence(l.Cost, fmt.Sprintf("if %s loses its carrier, this director becomes or stays master", is.Interface))
		case f.key == "preempt" && is.PreemptSyncLimit > 0 && was.Preempt:
			l.Cost = sentence(l.Cost, fmt.Sprintf("it takes over from a master when it has its connections, or after %s", short(is.PreemptSyncLimit)))
		case f.key == "preempt" && is.Preempt && was.Preempt:
			l.Cost = sentence(l.Cost, "it takes over from a master without waiting for its connections")
		case f.key == "preempt" && is.Preempt && p.stateOf(*was).State == vrrp.Backup && l.Harm == "":
			_, _, then := p.priorities(pair)
			l.Harm, l.Cost = p.rises(pair, then)
		}
	}
	if harm, cost := signingCost(was.HMAC, is.HMAC); l.Harm != api.Interrupts && cost != "" {
		l.Harm, l.Cost = cmp.Or(harm, l.Harm), sentence(l.Cost, cost)
	}
	p.add(l)
}

// preemption returns what differs in when two routers preempt.
func preemption(was, is *configs.Router) []field {
	word := func(r *configs.Router) string {
		if r.Preempt && r.PreemptSyncLimit > 0 {
			return text("synced")
		}
		return text(r.Preempt)
	}
	switch before, after := word(was), word(is); {
	case before != after:
		return []field{{"preempt", before, after}}
	case was.PreemptSyncLimit != is.PreemptSyncLimit:
		return []field{{"preempt_sync_limit", text(was.PreemptSyncLimit), text(is.PreemptSyncLimit)}}
	}
	return nil
}

// priority adds the line of a router whose effective priority changes, by its setting or by its tracks.
func (p *planner) priority(pair pairing) {
	was, is := pair.was, pair.is
	before, after := p.Before.Tracking[was.Name], p.After.Tracking[is.Name]
	state, now, then := p.priorities(pair)
	if was.Priority == is.Priority && now == then && before.Fault == after.Fault {
		return
	}
	l := api.PlanLine{Area: areaVRRP, Op: opChange, Object: routerName(was)}
	if l.Change = fmt.Sprintf("priority %d → %d", was.Priority, is.Priority); now != was.Priority || then != is.Priority {
		l.Change = sentence(l.Change, fmt.Sprintf("with tracks %d → %d", now, then))
	}
	master := state.State == vrrp.Master
	switch {
	case state.Standby:
		l.Cost = "no effect while it stands by: see tandem release"
	case after.Fault != "" && after.Fault != before.Fault && master:
		l.Harm, l.Cost = p.faults(pair, after)
	case master && then < now:
		l.Harm, l.Cost = p.falls(pair, then)
	case state.State == vrrp.Backup && then > now && (is.Preempt || then == vrrp.PriorityOwner):
		l.Harm, l.Cost = p.rises(pair, then)
	case state.State == vrrp.Backup && then > now:
		l.Cost = "no effect while there is a master: preempt is false"
	}
	p.add(l)
}

// priorities returns the state of a router that continues, and the priorities that the election uses before and after.
func (p *planner) priorities(pair pairing) (state vrrp.Status, now, then uint8) {
	state = p.stateOf(*pair.was)
	before, after := p.Before.Tracking[pair.was.Name], p.After.Tracking[pair.is.Name]
	others := 0 // what the interfaces add, which the election tracks
	if state.Name != "" {
		others = state.Tracking.Delta - before.Delta
	}
	return state, effective(pair.was, before, others, state), effective(pair.is, after, others, state)
}

// effective returns the priority that the election uses, as far as it follows from the configuration and the tracks.
func effective(r *configs.Router, t vrrp.Tracking, others int, state vrrp.Status) uint8 {
	switch {
	case r.Priority == vrrp.PriorityOwner:
		return r.Priority
	case t.Unclear && state.State != vrrp.Master:
		return 1
	}
	return uint8(min(max(int(r.Priority)+t.Delta+others, 1), vrrp.PriorityOwner-1))
}

// tracks adds the tracks that are new, changed or removed. What they do to a priority is in its own line.
func (p *planner) tracks() {
	type trackOf struct{ owner, name string }
	of := func(t configs.Track) trackOf { return trackOf{trackOwner(t), t.Name} }
	had := make(map[trackOf]configs.Track)
	for _, t := range p.Before.Config.Tracks {
		had[of(t)] = t
	}
	seen := make(map[trackOf]configs.Track)
	for _, t := range p.After.Config.Tracks {
		key := of(t)
		if first, again := seen[key]; again && len(changedTrack(first, t)) == 0 {
			continue // the witness of a sync group is told once
		}
		seen[key] = t
		was, stays := had[key]
		l := api.PlanLine{Area: areaVRRP, Object: trackName(t)}
		if !stays {
			l.Op, l.Change = opAdd, fmt.Sprintf("weight %d", t.Weight)
			switch {
			case isWitness(t):
				l.Change = "asked every " + short(t.Check.Interval)
			case t.Probed() && !p.leads(t.Router):
				l.Cost = "a backup runs at priority 1 until the first result"
			}
			p.add(l)
			continue
		}
		if fields := changedTrack(was, t); len(fields) > 0 {
			l.Op, l.Change = opChange, written(fields)
			p.add(l)
		}
	}
	for _, t := range p.Before.Config.Tracks {
		if _, there := seen[of(t)]; !there {
			seen[of(t)] = t
			p.add(api.PlanLine{Area: areaVRRP, Op: opRemove, Object: trackName(t)})
		}
	}
}

// leads reports whether a router of the configuration in force is master here.
func (p *planner) leads(router string) bool {
	return slices.ContainsFunc(p.Before.Config.Routers, func(r configs.Router) bool {
		return r.Name == router && p.stateOf(r).State == vrrp.Master
	})
}

// changedTrack returns what differs between two tracks, other than whose they are.
func changedTrack(was, is configs.Track) []field {
	fields := differing(was, is, "Check", "Router")
	if was.Check != nil && is.Check != nil {
		fields = append(fields, differing(*was.Check, *is.Check)...)
	}
	return fields
}

// isWitness reports whether a track is a witness, or the peer that is asked beside it. By itself it changes nothing.
func isWitness(t configs.Track) bool {
	return t.Kind == configs.TrackWitness || t.Kind == configs.TrackPeer
}

// trackOwner returns whose track it is.
func trackOwner(t configs.Track) string {
	if t.Group != "" {
		return "sync group " + t.Group
	}
	return t.Router
}

func trackName(t configs.Track) string {
	if isWitness(t) {
		return t.Name + " of " + trackOwner(t)
	}
	return "track " + t.Name + " of " + t.Router
}
