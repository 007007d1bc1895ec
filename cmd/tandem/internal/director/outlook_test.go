// SPDX-License-Identifier: Apache-2.0

package director

import (
	"testing"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/core"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/election/message"
	"github.com/tandem-lvs/tandem/vrrp"
)

// TestPlanKnowsTheOther: what the other director tells over the channel, its priority and that it preempts, is in the cost of a line.
func TestPlanKnowsTheOther(t *testing.T) {
	a, b := pairOfWorkshops(t)
	is := func(s vrrp.State, priority uint8) core.Report {
		return core.Report{Report: message.Report{Routers: []vrrp.Status{{
			Name: "web", Interface: "eth0", VRID: 51, Family: 4, State: s, Holding: s == vrrp.Master, Priority: 100, EffectivePriority: priority,
		}}}}
	}
	a.post(is(vrrp.Master, 100))
	b.post(is(vrrp.Backup, 95))
	for priority, want := range map[int]string{
		90: "moves: moves VIP, because lb2 has priority 95: hand-over, 0 ms",
		96: "none: stays master: lb2 has priority 95",
	} {
		a.await(want, func(control.Status) bool { // the view and the facts come one after the other
			p, err := a.Plan(a.request(a.text(priority)))
			if err != nil || len(p.Lines) != 1 {
				t.Fatalf("%v, %+v", err, p)
			}
			return string(p.Lines[0].Harm)+": "+p.Lines[0].Cost == want
		})
	}
}
