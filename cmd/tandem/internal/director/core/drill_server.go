// SPDX-License-Identifier: Apache-2.0

package core

import (
	"fmt"
	"maps"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/history"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/peer/message"
)

// forDrill completes the order of a drill. A drill disables only a server about which operators have ordered nothing like that, and
// enables only one that it has disabled and nobody else since. If there is nothing to do for that reason, idle is true.
func (s *State) forDrill(ev *ServerOrder, srv *server, now *Override) (idle bool, err error) {
	was := s.overrides[srv.id]
	switch {
	case ev.Action == api.Disable && was.keepsAway():
		return false, fmt.Errorf("%s is %s already", srv.id, was.Note(srv.Weight))
	case ev.Action == api.Disable:
		now.Drill = true
	case ev.Action == api.Enable:
		// What an operator has ordered with --local on the other director meanwhile stays.
		ev.Local = s.peer.orders[srv.id].Local
		return !was.Drill, nil
	default:
		return false, fmt.Errorf("a drill does not order %q: want disable or enable", ev.Action)
	}
	return false, nil
}

// justAfter returns the number of the order that undoes this one. It is not that of the present time: an order that somebody has given
// on the other director since, and that did not get here yet, must count as the later one.
func (o Override) justAfter() uint64 { return min(message.MaxNumber, o.Number+1) }

// endDrills enables the servers that a drill has disabled. When a director starts, no drill of it is under way that could do it: the
// drill has died with the machine, or ends a little earlier.
func (s *State) endDrills() {
	all := maps.Clone(s.overrides)
	for _, svc := range s.services {
		for _, srv := range svc.servers {
			was := all[srv.id]
			if !was.Drill {
				continue
			}
			now, _ := was.with(api.Enable, 0) // which is always possible
			if now.Number > 0 {
				now.Number, now.By = was.justAfter(), s.cfg.Name
			}
			if all[srv.id] = now; now == (Override{}) {
				delete(all, srv.id)
			}
			const why = "the drill that has disabled it did not enable it, and this director has started since"
			s.log(Warn, "a real server that a drill has disabled is enabled", "server", srv.id)
			s.recordServer(api.EventOrder, srv.id, history.Orders[api.Enable]+" for a drill", why)
		}
	}
	if !maps.Equal(all, s.overrides) {
		s.overrides = all
		s.store(OverridesFile, all)
	}
}
