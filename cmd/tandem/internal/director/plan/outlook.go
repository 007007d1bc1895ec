// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/peer/message"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/lvs"
	"github.com/tandem-lvs/tandem/vrrp"
)

// A counterpart is the same virtual router on the other director, as that one tells it.
type counterpart struct {
	message.Router
	director string // its name
	waits    bool   // preempt is false there
}

// is reports whether it is in that state.
func (c counterpart) is(s vrrp.State) bool { return c.State == s.String() }

// counterpart returns the same virtual router on the other director. ok is false if that is not known: there is no channel, it is
// lost, or the other director tells no virtual router of this name.
func (p *planner) counterpart(r *configs.Router) (c counterpart, ok bool) {
	if p.Peer == nil || p.Peer.View == nil || p.Peer.Lost != "" {
		return c, false
	}
	i := slices.IndexFunc(p.Peer.View.Routers, func(o message.Router) bool { return o.Name == r.Name && o.Family == r.Family() })
	if i < 0 {
		return c, false
	}
	preempts, told := p.Peer.Preempts[r.Name]
	return counterpart{p.Peer.View.Routers[i], p.Peer.Channel.Name, !preempts}, told
}

// An outlook says whether the VIPs of a virtual router move to the other director, or from it, once its priority has changed.
type outlook struct {
	known, moves bool
	why          string // "lb2 has priority 80"
}

// outlook is that of a router, by what the other director tells. The members of a sync group move together, or not at all.
func (p *planner) outlook(pair pairing) outlook {
	own := p.ownOutlook(pair)
	if !own.moves || pair.is.SyncGroup == "" {
		return own
	}
	for _, member := range p.pairs {
		switch {
		case member == pair || member.is == nil || member.is.SyncGroup != pair.is.SyncGroup:
			continue
		case member.was == nil:
			return outlook{}
		}
		if o := p.ownOutlook(member); !o.known {
			return outlook{}
		} else if !o.moves {
			return outlook{known: true, why: fmt.Sprintf("sync group %s moves as one, and for %s %s", pair.is.SyncGroup, member.is.Name, o.why)}
		}
	}
	return own
}

// ownOutlook is that of a router without its sync group. While the election uses another priority than the one that follows from the
// configuration, or both directors are master, nothing is known.
func (p *planner) ownOutlook(pair pairing) outlook {
	state, now, then := p.priorities(pair)
	other, ok := p.counterpart(pair.is)
	split := len(signing(pair.was.HMAC, pair.is.HMAC)) > 0 || slices.ContainsFunc(differing(pair.was.Config, pair.is.Config, "HMAC"),
		func(f field) bool { return splits(f, pair.is) })
	if !ok || split || state.EffectivePriority != 0 && state.EffectivePriority != now {
		return outlook{}
	}
	has := fmt.Sprintf("%s has priority %d", other.director, other.Priority)
	switch {
	case state.State == vrrp.Master && (other.is(vrrp.Fault) || other.is(vrrp.Initialize)):
		return outlook{known: true, why: fmt.Sprintf("%s is in state %s", other.director, other.State)}
	case state.State == vrrp.Master && other.is(vrrp.Backup) && other.Priority > then && other.waits && other.Priority != vrrp.PriorityOwner:
		return outlook{known: true, why: other.director + " has preempt = false"}
	case state.State == vrrp.Master && other.is(vrrp.Backup):
		return outlook{known: true, moves: other.Priority > then, why: has}
	case state.State == vrrp.Backup && other.is(vrrp.Master):
		why := fmt.Sprintf("%s is master with priority %d", other.director, other.Priority)
		return outlook{known: true, moves: then > other.Priority, why: why}
	}
	return outlook{}
}

// falls returns the cost of a lower priority at the master.
func (p *planner) falls(pair pairing, then uint8) (api.Harm, string) {
	switch is := p.outlook(pair); {
	case !is.known:
		return api.Moves, fmt.Sprintf("moves VIP if the peer's priority is above %d: hand-over", then)
	case !is.moves:
		return api.Harmless, "stays master: " + is.why
	default:
		return p.handOver(pair.is, "moves VIP, because "+is.why)
	}
}

// rises returns the cost of a higher priority, or of preemption, at a backup that preempts.
func (p *planner) rises(pair pairing, then uint8) (api.Harm, string) {
	is := p.outlook(pair)
	why := "moves VIP to this director, because " + is.why
	if d := pair.is.PreemptDelay; d > 0 {
		why += fmt.Sprintf(", after %s (preempt_delay)", short(d))
	}
	if d := pair.is.PreemptSyncLimit; d > 0 {
		why += fmt.Sprintf(", when it has the connections of the other director, or after %s (preempt_sync_limit)", short(d))
	}
	switch {
	case is.known && !is.moves:
		return api.Harmless, "stays backup: " + is.why
	case is.known:
		return p.handOver(pair.is, why)
	case then == vrrp.PriorityOwner:
		return api.Moves, "moves VIP: priority 255 is for the owner of the addresses, which is always master"
	}
	return api.Moves, fmt.Sprintf("moves VIP if %d is above the master's priority: this director takes over", then)
}

// faults returns the cost of a new fault at the master.
func (p *planner) faults(pair pairing, is vrrp.Tracking) (api.Harm, string) {
	other, ok := p.counterpart(pair.is)
	switch {
	case !ok || other.is(vrrp.Master):
		return api.Moves, "moves VIP: hand-over, because " + is.Fault
	case other.is(vrrp.Backup):
		return p.handOver(pair.is, fmt.Sprintf("moves VIP to %s, because %s", other.director, is.Fault))
	case is.LastResort:
		return api.Harmless, fmt.Sprintf("stays master at priority 1: %s; %s is in state %s", is.Fault, other.director, other.State)
	}
	return api.Interrupts, fmt.Sprintf("clients of its VIPs get no answer: %s, and %s is in state %s", is.Fault, other.director, other.State)
}

// departs returns the cost of a master that leaves, and starts anew if again.
func (p *planner) departs(was *configs.Router, again bool) (api.Harm, string) {
	other, ok := p.counterpart(was)
	switch {
	case ok && was.SyncGroup == "" && other.is(vrrp.Backup):
		harm, cost := p.handOver(was, "moves VIP to "+other.director)
		if again {
			return harm, cost + "; it starts anew here"
		}
		return harm, cost + "; this director is no longer a standby for it"
	case ok && (other.is(vrrp.Fault) || other.is(vrrp.Initialize)):
		cost := fmt.Sprintf("clients of its VIPs get no answer: %s is in state %s", other.director, other.State)
		if again {
			cost += ", until this director has started it anew"
		}
		return api.Interrupts, cost
	case again:
		return api.Moves, "moves VIP: it hands over to the peer and starts anew"
	}
	return api.Moves, "moves VIP: it hands over to the peer; without a peer that has it, clients of its VIPs get no answer"
}

// handOver returns the cost of a hand-over between two directors that hear each other. The new master has the VIPs before the former one
// lets go. Connections go on if the new master has copies of them.
func (p *planner) handOver(r *configs.Router, what string) (api.Harm, string) {
	vips := slices.Concat(r.VIPs, r.ExcludedVIPs)
	balanced := slices.ContainsFunc(p.Before.Config.Services, func(svc configs.Service) bool {
		return slices.ContainsFunc(svc.Virtuals, func(v lvs.Service) bool {
			return v.FWMark != 0 || slices.ContainsFunc(vips, func(vip netip.Prefix) bool { return vip.Addr() == v.Addr })
		})
	})
	if balanced && p.Before.Config.LVS.Sync.Roles == 0 {
		return api.Interrupts, what + ": hand-over, 0 ms; established connections end, because there is no connection sync"
	}
	return api.Moves, what + ": hand-over, 0 ms"
}
