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

// directorless runs the election without a director. It offers the routers of which it is master to the peer. It removes the
// addresses that the peer has taken over. It stays master of the other routers until a successor asks for them or the grace
// period is over. It returns true when a successor has all of them.
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
	requests := lock.listen(waiting, func() {})
	var successor net.Conn
	begun := make(map[string]bool)
	overdue := time.After(p.order.HandOverTime())
	for {
		if !p.offering(begun) {
			p.dropBackups()
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
				// This successor has gone away. Another one may come.
				successor = nil
				requests = lock.listen(waiting, func() {})
			}
		}
		select {
		case <-p.wake:
			p.settle()
		case r := <-requests:
			requests = nil
			successor = r.conn
			if r.err != nil {
				p.log.Error("no restarted director can take over from here", "error", r.err)
			}
		case <-overdue: // a hand-over that failed may have been too short to be seen
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

// offering reports whether a hand-over is under way or has not begun yet. It adds those under way to begun.
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

// dropBackups ends the routers that are no longer master: without a director they do not become master again. This includes a
// master that stood still and listens.
func (p *Process) dropBackups() {
	perLink := make(map[string][]vrrp.Config)
	p.order.Routers = slices.DeleteFunc(p.order.Routers, func(r message.Router) bool {
		s := p.states[message.IDOf(r.Config)]
		return !s.Holding && s.State != vrrp.Master
	})
	for _, r := range p.order.Routers {
		perLink[r.Interface] = append(perLink[r.Interface], r.Config)
	}
	for name, u := range p.units {
		u.loop.Configure(perLink[name])
	}
}

// handOff hands off all routers to the successor. The addresses stay as they are.
func (p *Process) handOff(successor net.Conn) bool {
	if err := sendState(successor, handoffState{Masters: p.order.Routers}); err != nil {
		p.log.Warn("failed to hand off to the restarted director", "error", err)
		return false
	}
	p.log.Info("a restarted director takes over", "routers", len(p.order.Routers))
	p.abandon()
	return true
}

// abandon ends the loops without a word to the peers, and leaves the addresses as they are: another election has them.
func (p *Process) abandon() {
	for _, u := range p.units {
		u.loop.Abandon()
	}
	for _, u := range p.addressUnits {
		u.reconciler.Abandon()
	}
}
