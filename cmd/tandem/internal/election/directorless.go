// SPDX-License-Identifier: Apache-2.0

package election

import (
	"context"
	"net"
	"slices"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/election/message"
	"github.com/tandem-lvs/tandem/vrrp"
)

// orphan carries on without a director: it offers what it is master of to the peer, lets go of what the peer took, and
// stays master of the rest until its grace is over or a successor comes. True says that a successor has it all.
func (p *Process) directorless(ctx, work context.Context, lock *instanceLock) bool {
	if p.order.OrphanGrace <= 0 {
		return false
	}
	for i := range p.order.Routers {
		p.order.Routers[i].Standby = true
	}
	p.settle()
	waiting, cancel := context.WithTimeout(work, p.order.OrphanGrace)
	defer cancel()
	successors, err := lock.listen(waiting)
	if err != nil {
		p.log.Error("no restarted director can take over from here", "error", err)
	}
	var successor net.Conn
	begun := make(map[string]bool)
	overdue := time.After(p.order.HandOverTime())
	for {
		if !p.offering(begun) {
			p.retire()
			if len(p.order.Routers) == 0 {
				if successor != nil {
					_ = sendState(successor, handoffState{})
				}
				return false
			}
			if successor != nil {
				if p.handOff(successor) {
					return true
				}
				// It went away while it waited. The next may be luckier.
				successor = nil
				if successors, err = lock.listen(waiting); err != nil {
					p.log.Error("no restarted director can take over from here", "error", err)
				}
			}
		}
		select {
		case <-p.wake:
			p.settle()
		case conn, ok := <-successors:
			successors = nil
			if ok {
				successor = conn
			}
		case <-overdue: // a hand-over that came to nothing so quickly that it was not seen
			for _, r := range p.order.Routers {
				begun[r.Name] = true
			}
		case <-waiting.Done():
			p.log.Warn("no director came back in time: letting the addresses go", "orphan_grace", p.order.OrphanGrace)
			if successor != nil {
				_ = successor.Close()
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
		s := p.states[message.IDOf(r.Config)]
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
	p.order.Routers = slices.DeleteFunc(p.order.Routers, func(r message.Router) bool { return !p.states[message.IDOf(r.Config)].Holding })
	for _, r := range p.order.Routers {
		perLink[r.Interface] = append(perLink[r.Interface], r.Config)
	}
	for name, u := range p.units {
		u.loop.Configure(perLink[name])
	}
}

// handOff leaves everything as it is to the successor.
func (p *Process) handOff(successor net.Conn) bool {
	if err := sendState(successor, handoffState{Masters: p.order.Routers}); err != nil {
		p.log.Warn("hand on to the restarted director", "error", err)
		return false
	}
	p.log.Info("a restarted director takes over", "routers", len(p.order.Routers))
	for _, u := range p.units {
		u.loop.Abandon()
	}
	for _, h := range p.addressUnits {
		h.keeper.Abandon()
	}
	return true
}
