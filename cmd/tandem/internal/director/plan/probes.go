// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/core"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/healthcheck"
)

// A CheckID is one check of a real server, by its index.
type CheckID struct {
	Server string // see core.ServerID
	Check  int
}

// A Probe is the result of a check that was run for the plan. If it was not run, the zero Result has the reason.
type Probe struct {
	healthcheck.Result
	NotRun string // why not; empty: it was run
}

// A Target is a check to run for the plan.
type Target struct {
	ID CheckID
	healthcheck.Target
	NotRun string // why it cannot be run before the reload; empty: it can
}

// MaxProbes is the maximum number of checks that are run for one plan.
const MaxProbes = 1000

// Targets returns the checks that are new: those of new servers, and those of other servers that differ from all checks that
// the server has now. trusted says that the configuration is the director's own file: programs of another file are not run.
func Targets(before, after *configs.Config, trusted bool) (all []Target) {
	had := serversOf(before)
	runs := 0
	for _, svc := range after.Services {
		for _, srv := range svc.Servers {
			id := core.ServerID(svc, srv)
			for i, check := range srv.Checks {
				if slices.ContainsFunc(had[id].Checks, func(c healthcheck.Config) bool { return sameQuestion(c, check) }) {
					continue
				}
				t := Target{ID: CheckID{id, i}, Target: healthcheck.Target{
					ID: id, Addr: netip.AddrPortFrom(srv.Addr, srv.Port), Config: check, Part: len(srv.Checks) > 1,
				}}
				_, marked := srv.ProbeRoute(check)
				switch {
				case marked:
					t.NotRun = "its check goes through the VIP, and IPVS leads it there only after the reload"
				case check.Type == healthcheck.Exec && !trusted:
					t.NotRun = "programs run only from the director's own file"
				case runs == MaxProbes:
					t.NotRun = fmt.Sprintf("a plan runs at most %d checks", MaxProbes)
				default:
					runs++
				}
				all = append(all, t)
			}
		}
	}
	return all
}

// sameQuestion tells whether two checks ask a server the same, whatever their times.
func sameQuestion(a, b healthcheck.Config) bool {
	for _, c := range []*healthcheck.Config{&a, &b} {
		c.Interval, c.Timeout, c.Rise, c.Fall, c.Jitter, c.Flap = 0, 0, 0, 0, 0, healthcheck.Flap{}
		c.IntervalDown, c.FastInterval = 0, 0
	}
	return reflect.DeepEqual(a, b)
}

// health returns what the probes found about a server: Unknown if not all that matter were run. asked is false if it has no
// new check.
func (p *planner) health(svc configs.Service, srv configs.Server) (status healthcheck.TargetStatus, asked bool) {
	id := core.ServerID(svc, srv)
	all := make([]healthcheck.TargetStatus, len(srv.Checks))
	for i := range all {
		probe, ok := p.Probes[CheckID{id, i}]
		all[i] = healthcheck.TargetStatus{Health: healthcheck.Unknown, Reason: probe.Reason}
		switch {
		case !ok: // the server has this check already
			all[i].Health, all[i].Reason = healthcheck.Healthy, "as before"
			continue
		case probe.NotRun != "":
			all[i].Reason = probe.NotRun
		case probe.Outcome == healthcheck.Passed, probe.Outcome == healthcheck.NoWord:
			all[i].Health = healthcheck.Healthy
		case probe.Outcome == healthcheck.Failed:
			all[i].Health = healthcheck.Unhealthy
		}
		asked = true
	}
	return core.Combine(srv, all), asked
}

// probed adds to the line of a new server what its check says.
func (p *planner) probed(svc configs.Service, srv configs.Server, l *api.PlanLine) {
	status, asked := p.health(svc, srv)
	switch {
	case len(srv.Checks) == 0:
		l.Cost = sentence(l.Cost, "gets clients at once, because it has no check")
	case !asked:
	case status.Health == healthcheck.Healthy:
		l.Cost = sentence(l.Cost, "healthy: "+status.Reason)
	case status.Health == healthcheck.Unhealthy:
		l.Cost = sentence(l.Cost, "not healthy: "+status.Reason, "no clients until its check passes")
	default:
		l.Cost = sentence(l.Cost, "not checked before the reload: "+status.Reason)
	}
}

// judge adds to the line of a changed check what it says about servers that have it from now on. A server that fails it is
// taken out of service.
func (p *planner) judge(svc configs.Service, servers []configs.Server, l *api.PlanLine) {
	var failed []string
	healthy, open := 0, 0
	for _, srv := range servers {
		switch status, asked := p.health(svc, srv); {
		case !asked:
		case status.Health == healthcheck.Healthy:
			healthy++
		case status.Health == healthcheck.Unhealthy:
			failed = append(failed, fmt.Sprintf("%s: %s", srv.Addr, status.Reason))
		default:
			open++
		}
	}
	if len(failed)+healthy+open == 0 {
		return
	}
	l.Cost = sentence(l.Cost, tally(healthy, len(failed), open))
	if len(failed) == 0 {
		return
	}
	l.Cost = sentence(l.Cost, "out of service, if the check goes on to fail: "+few(failed))
	if l.Harm = api.Drains; len(failed) == len(svc.Servers) {
		l.Harm = api.Interrupts
	}
	if !p.serves(svc.Virtuals[0].ServiceID) {
		l.Harm = api.Harmless
	}
}

// tally writes the numbers of results: "2 healthy, 1 not healthy".
func tally(healthy, failed, open int) string {
	s := fmt.Sprintf("%d healthy", healthy)
	if failed > 0 {
		s += fmt.Sprintf(", %d not healthy", failed)
	}
	if open > 0 {
		s += fmt.Sprintf(", %d not checked", open)
	}
	return s
}

// Probed counts the servers with a new check by what it said.
func Probed(in Input) (sum api.Probed) {
	p := newPlanner(in)
	for _, svc := range in.After.Config.Services {
		for _, srv := range svc.Servers {
			switch status, asked := p.health(svc, srv); {
			case !asked:
			case status.Health == healthcheck.Healthy:
				sum.Healthy++
			case status.Health == healthcheck.Unhealthy:
				sum.Failed++
			default:
				sum.NotProbed++
			}
		}
	}
	return sum
}
