// SPDX-License-Identifier: Apache-2.0

package election

import (
	"context"
	"net"
	"slices"
	"time"

	"github.com/tandem-lvs/tandem/vrrp"
)

// orphan carries on without a director: it offers what it is master of to the peer, lets go of what the peer took, and
// stays master of the rest until its grace is over or an heir comes. True says that an heir has it all.
func (p *Process) orphan(ctx, work context.Context, seat *estate) bool {
	if p.order.OrphanGrace <= 0 {
		return false
	}
	for i := range p.order.Routers {
		p.order.Routers[i].Standby = true
	}
	p.settle()
	waiting, cancel := context.WithTimeout(work, p.order.OrphanGrace)
	defer cancel()
	heirs, err := seat.await(waiting)
	if err != nil {
		p.log.Error("no restarted director can take over from here", "error", err)
	}
	var heir net.Conn
	begun := make(map[string]bool)
	overdue := time.After(leaveTime(p.order))
	for {
		if !p.offering(begun) {
			p.retire()
			if len(p.order.Routers) == 0 {
				if heir != nil {
					_ = bequeath(heir, legacy{})
				}
				return false
			}
			if heir != nil {
				if p.handOn(heir) {
					return true
				}
				// It went away while it waited. The next may be luckier.
				heir = nil
				if heirs, err = seat.await(waiting); err != nil {
					p.log.Error("no restarted director can take over from here", "error", err)
				}
			}
		}
		select {
		case <-p.wake:
			p.settle()
		case conn, ok := <-heirs:
			heirs = nil
			if ok {
				heir = conn
			}
		case <-overdue: // a hand-over that came to nothing so quickly that it was not seen
			for _, r := range p.order.Routers {
				begun[r.Name] = true
			}
		case <-waiting.Done():
			p.log.Warn("no director came back in time: letting the addresses go", "orphan_grace", p.order.OrphanGrace)
			if heir != nil {
				_ = heir.Close()
			}
			return false
		case <-ctx.Done():
			return false
		}
	}
}

// offering reports whether a hand-over is still under way, or has yet to begin; begun are those that were seen under
// way.
func (p *Process) offering(begun map[string]bool) bool {
	under := false
	for _, r := range p.order.Routers {
		s := p.states[idOf(r.Config)]
		begun[r.Name] = begun[r.Name] || s.HandingOver
		if s.HandingOver || s.Holding && !begun[r.Name] {
			under = true
		}
	}
	return under
}

// retire drops the routers that are master no more: without a director they do not come back.
func (p *Process) retire() {
	perLink := make(map[string][]vrrp.Config)
	p.order.Routers = slices.DeleteFunc(p.order.Routers, func(r Router) bool { return !p.states[idOf(r.Config)].Holding })
	for _, r := range p.order.Routers {
		perLink[r.Interface] = append(perLink[r.Interface], r.Config)
	}
	for name, u := range p.units {
		u.loop.Configure(perLink[name])
	}
}

// handOn leaves everything as it is to the heir.
func (p *Process) handOn(heir net.Conn) bool {
	if err := bequeath(heir, legacy{Masters: p.order.Routers}); err != nil {
		p.log.Warn("hand on to the restarted director", "error", err)
		return false
	}
	p.log.Info("a restarted director takes over", "routers", len(p.order.Routers))
	for _, u := range p.units {
		u.loop.Abandon()
	}
	for _, h := range p.holders {
		h.keeper.Abandon()
	}
	return true
}
