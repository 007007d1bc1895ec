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
	pairs := p.pairings()
	p.next = make(map[netip.Addr][]pairing)
	for _, pair := range pairs {
		if pair.is != nil {
			for _, vip := range slices.Concat(pair.is.VIPs, pair.is.ExcludedVIPs) {
				p.next[vip.Addr()] = append(p.next[vip.Addr()], pair)
			}
		}
	}
	for _, pair := range pairs {
		switch {
		case pair.is == nil:
			p.leaves(pair.was)
		case pair.was == nil:
			p.joins(pair.is)
		default:
			p.continues(pair.was, pair.is)
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
	case is != nil && holds:
		l.Harm, l.Cost = api.Moves, "moves VIP: it hands over to the peer and starts anew"
	case holds:
		l.Harm = api.Moves
		l.Cost = "moves VIP: it hands over to the peer; without a peer that has it, clients of its VIPs get no answer"
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
func (p *planner) continues(was, is *configs.Router) {
	p.priority(was, is)
	skip := []string{"Priority", "VIPs", "ExcludedVIPs", "VIPInterfaces", "Routes", "Rules", "HMAC"}
	fields := slices.Concat(differing(was.Config, is.Config, skip...), differing(was.Announce, is.Announce), differing(*was, *is, "Config", "Announce"), signing(was.HMAC, is.HMAC))
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
		case f.key == "preempt" && is.Preempt && !master && l.Harm == "":
			l.Harm, l.Cost = api.Moves, fmt.Sprintf("moves VIP if %d is above the master's priority: this director takes over", is.Priority)
		}
	}
	if harm, cost := signingCost(was.HMAC, is.HMAC); l.Harm != api.Interrupts && cost != "" {
		l.Harm, l.Cost = cmp.Or(harm, l.Harm), sentence(l.Cost, cost)
	}
	p.add(l)
}

// priority adds the line of a router whose effective priority changes, by its setting or by its tracks.
func (p *planner) priority(was, is *configs.Router) {
	state := p.stateOf(*was)
	before, after := p.Before.Tracking[was.Name], p.After.Tracking[is.Name]
	others := 0 // what the interfaces add, which the election tracks
	if state.Name != "" {
		others = state.Tracking.Delta - before.Delta
	}
	now := effective(was, before, others, state)
	then := effective(is, after, others, state)
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
		l.Harm, l.Cost = api.Moves, "moves VIP: hand-over, because "+after.Fault
	case is.Priority == vrrp.PriorityOwner != (was.Priority == vrrp.PriorityOwner):
		l.Harm, l.Cost = api.Moves, "moves VIP: priority 255 is for the owner of the addresses, which is always master"
	case master && then < now:
		l.Harm, l.Cost = api.Moves, fmt.Sprintf("moves VIP if the peer's priority is above %d: hand-over", then)
	case state.State == vrrp.Backup && then > now && is.Preempt:
		l.Harm, l.Cost = api.Moves, fmt.Sprintf("moves VIP if %d is above the master's priority: this director takes over", then)
	case state.State == vrrp.Backup && then > now:
		l.Cost = "no effect while there is a master: preempt is false"
	}
	p.add(l)
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
	type trackOf struct{ router, name string }
	had := make(map[trackOf]configs.Track)
	for _, t := range p.Before.Config.Tracks {
		had[trackOf{t.Router, t.Name}] = t
	}
	seen := make(map[trackOf]bool)
	for _, t := range p.After.Config.Tracks {
		key := trackOf{t.Router, t.Name}
		seen[key] = true
		was, stays := had[key]
		l := api.PlanLine{Area: areaVRRP, Object: trackName(t)}
		if !stays {
			l.Op, l.Change = opAdd, fmt.Sprintf("weight %d", t.Weight)
			switch {
			case isWitness(t):
				l.Change = "asked every " + short(t.Check.Interval)
			case t.Probed():
				l.Cost = "a backup runs at priority 1 until the first result"
			}
			p.add(l)
			continue
		}
		fields := differing(was, t, "Check")
		if was.Check != nil && t.Check != nil {
			fields = append(fields, differing(*was.Check, *t.Check)...)
		}
		if len(fields) > 0 {
			l.Op, l.Change = opChange, written(fields)
			p.add(l)
		}
	}
	for _, t := range p.Before.Config.Tracks {
		if !seen[trackOf{t.Router, t.Name}] {
			p.add(api.PlanLine{Area: areaVRRP, Op: opRemove, Object: trackName(t)})
		}
	}
}

// isWitness reports whether a track is a witness, or the peer that is asked beside it. By itself it changes nothing.
func isWitness(t configs.Track) bool {
	return t.Kind == configs.TrackWitness || t.Kind == configs.TrackPeer
}

func trackName(t configs.Track) string {
	if isWitness(t) {
		return t.Name + " of " + t.Router
	}
	return "track " + t.Name + " of " + t.Router
}
