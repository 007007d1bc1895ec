// SPDX-License-Identifier: Apache-2.0

package core

import (
	"maps"

	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/lvs"
)

// find adopts the services of the kernel's table that a reload adds to the configuration: another program has set them up. From
// then on it is as at the start: their servers keep their weights until their checks have results, because clients use them now.
// The first table reads everything itself.
func (s *State) find(ev TableRead, cfg *configs.Config) {
	if !s.filled {
		return
	}
	configured := cfg.Entries()
	added := make(map[lvs.ServiceID]bool)
	for _, e := range configured {
		if _, ok := s.wanted[e.ServiceID]; !ok {
			added[e.ServiceID] = true
		}
	}
	var found []lvs.Entry
	for _, e := range ev.Entries {
		if added[e.ServiceID] {
			found = append(found, e)
			s.wanted[e.ServiceID] = e // the plans from now on are compared with it
		}
	}
	if len(found) == 0 {
		return
	}
	told := s.tellReplaced(lvs.Replaced(found, configured, ev.Owned))
	maps.Copy(told, s.replaced)
	s.replaced, s.replacedUntil = told, s.generation+1
}
