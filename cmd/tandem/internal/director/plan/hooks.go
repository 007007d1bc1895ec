// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
	"github.com/tandem-lvs/tandem/configs"
)

// hooks adds the hooks that are new, changed or removed.
func (p *planner) hooks() {
	had := make(map[string]configs.Hook)
	for _, h := range p.Before.Config.Hooks {
		had[h.Name] = h
	}
	seen := make(map[string]bool)
	for _, h := range p.After.Config.Hooks {
		seen[h.Name] = true
		was, stays := had[h.Name]
		l := api.PlanLine{Area: areaHooks, Object: "hook " + h.Name}
		if !stays {
			l.Op, l.Change, l.Cost = opAdd, "on "+text(h.On), "it is told the present state once"
			p.add(l)
			continue
		}
		if fields := differing(was, h, "Name"); len(fields) > 0 {
			l.Op, l.Change = opChange, written(fields)
			p.add(l)
		}
	}
	for _, h := range p.Before.Config.Hooks {
		if !seen[h.Name] {
			p.add(api.PlanLine{Area: areaHooks, Op: opRemove, Object: "hook " + h.Name})
		}
	}
}
