// SPDX-License-Identifier: Apache-2.0

package director

import (
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"strconv"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/election/message"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/lvs"
	"github.com/tandem-lvs/tandem/vrrp"
)

// targets are the probes that the services ask for, those apart that are idle or may be, and those that need a mark which
// is not led anywhere yet.
func targets(services []configs.Service, idle map[string]bool, led marking) []healthcheck.Target {
	var all []healthcheck.Target
	for _, svc := range services {
		if rests, known := idle[svc.Name]; rests || !known && svc.CheckWhen == configs.CheckMaster {
			continue
		}
		for _, srv := range svc.Servers {
			for i, check := range srv.Checks {
				check, ok := led.marked(srv, check)
				if !ok {
					continue
				}
				all = append(all, healthcheck.Target{
					ID:     checkID(svc, srv, i),
					Addr:   netip.AddrPortFrom(srv.Addr, srv.Port),
					Config: check,
					Part:   len(srv.Checks) > 1,
				})
			}
		}
	}
	return all
}

// targetID names a real server of a service, and its first check.
func targetID(svc configs.Service, srv configs.Server) string {
	return svc.Name + "/" + netip.AddrPortFrom(srv.Addr, srv.Port).String()
}

// checkID names the check with that index of a real server of a service.
func checkID(svc configs.Service, srv configs.Server, check int) string {
	id := targetID(svc, srv)
	if check > 0 {
		id += " #" + strconv.Itoa(check+1)
	}
	return id
}

// checked tells whether the director checks a real server now.
func (v view) checked(svc configs.Service, srv configs.Server) bool {
	return len(srv.Checks) > 0 && !v.idle[svc.Name]
}

// status is that of one check of a real server.
func (v view) status(svc configs.Service, srv configs.Server, check int) healthcheck.TargetStatus {
	if s, ok := v.health[checkID(svc, srv, check)]; ok {
		return s
	}
	return healthcheck.TargetStatus{Health: healthcheck.Unknown, Reason: "not checked yet"}
}

// verdict is what the checks of a real server say together: the status of one that decides, with the advice of all of
// them. Silent is it only if all are. The server must be checked.
func (v view) verdict(svc configs.Service, srv configs.Server) healthcheck.TargetStatus {
	all := make([]healthcheck.TargetStatus, len(srv.Checks))
	for i := range srv.Checks {
		all[i] = v.status(svc, srv, i)
	}
	if len(all) == 1 {
		return all[0]
	}
	var each []healthcheck.TargetStatus // of what the file has as one check
	for i, check := range srv.Checks {
		all[i].Reason = checkName(check) + ": " + all[i].Reason
		if i > 0 && sameButVIP(check, srv.Checks[i-1]) {
			last := &each[len(each)-1]
			*last = decide([]healthcheck.TargetStatus{*last, all[i]}, configs.PassAll)
		} else {
			each = append(each, all[i])
		}
	}
	is := decide(each, srv.Pass)
	is.Silent = !slices.ContainsFunc(all, func(s healthcheck.TargetStatus) bool { return !s.Silent })
	is.Advice = advice(all)
	return is
}

// sameButVIP tells two checks that are one in the file, of a service with several VIPs: each of them must pass.
func sameButVIP(a, b healthcheck.Config) bool {
	several := a.Via.IsValid() && b.Via.IsValid()
	a.Via = b.Via
	return several && reflect.DeepEqual(a, b)
}

// decide returns the status that decides among several.
func decide(all []healthcheck.TargetStatus, pass configs.Pass) healthcheck.TargetStatus {
	// With all, one unhealthy check decides, and health takes the last of them; with any it is the other way round.
	alone, jointly := healthcheck.Unhealthy, healthcheck.Healthy
	if pass == configs.PassAny {
		alone, jointly = jointly, alone
	}
	bySince := func(a, b healthcheck.TargetStatus) int { return a.Since.Compare(b.Since) }
	having := func(h healthcheck.Health) []healthcheck.TargetStatus {
		return slices.DeleteFunc(slices.Clone(all), func(s healthcheck.TargetStatus) bool { return s.Health != h })
	}
	if several := having(alone); len(several) > 0 {
		return slices.MinFunc(several, bySince)
	}
	if open := having(healthcheck.Unknown); len(open) > 0 {
		return open[0]
	}
	return slices.MaxFunc(having(jointly), bySince)
}

// checkName tells a check of a server from its others.
func checkName(c healthcheck.Config) string {
	if c.Via.IsValid() {
		return c.Type.String() + " through " + c.Via.String()
	}
	return c.Type.String()
}

// tellServers logs what the checks of a server that has several say together, where that has changed; one that is alone
// speaks for itself. It returns what is told by now.
func (v view) tellServers(log hclog.Logger, services []configs.Service, told map[string]healthcheck.Health) map[string]healthcheck.Health {
	now := make(map[string]healthcheck.Health)
	for _, svc := range services {
		for _, srv := range svc.Servers {
			if len(srv.Checks) < 2 || !v.checked(svc, srv) {
				continue
			}
			id := targetID(svc, srv)
			was, known := told[id]
			if !known {
				was = healthcheck.Unknown
			}
			is := v.verdict(svc, srv)
			if now[id] = is.Health; is.Health != was && !is.Flapping {
				log.Info("server is "+is.Health.String(), "target", id, "was", was, "reason", is.Reason)
			}
		}
	}
	return now
}

// advice is the least that any of the checks leaves of a server's weight. One that fails advises nothing any more.
func advice(all []healthcheck.TargetStatus) healthcheck.Advice {
	sum := healthcheck.Advice{}
	for _, s := range all {
		if !s.Advice.Given || s.Health == healthcheck.Unhealthy {
			continue
		}
		if !sum.Given {
			sum = s.Advice
		}
		sum.Percent, sum.Drain = min(sum.Percent, s.Advice.Percent), sum.Drain || s.Advice.Drain
	}
	return sum
}

// advise puts what the server says of itself into what decides its weight.
func advise(in *lvs.WeightInput, a healthcheck.Advice) {
	if !a.Given {
		return
	}
	in.Draining, in.Advised, in.Percent = a.Drain, !a.Drain, a.Percent
}

func (v view) healthOf(svc configs.Service, srv configs.Server) lvs.Health {
	if !v.checked(svc, srv) {
		return lvs.HealthUnchecked
	}
	switch v.verdict(svc, srv).Health {
	case healthcheck.Healthy:
		return lvs.HealthUp
	case healthcheck.Unhealthy:
		return lvs.HealthDown
	}
	return lvs.HealthUnknown
}

// idleServices tells of each service that only a master checks whether it is idle: while this director is not the master of
// its address or, where no virtual router holds one, of no virtual router. While that is not known, because the election
// is starting, it is as before; of a service that is not in before nothing is told then.
func idleServices(services []configs.Service, routers []configs.Router, report message.Report, before map[string]bool) map[string]bool {
	states := make(map[string]vrrp.State, len(report.Routers))
	for _, r := range report.Routers {
		states[r.Name] = r.State
	}
	master := func(r configs.Router) bool { return states[r.Name] == vrrp.Master }
	starting := func(r configs.Router) bool {
		state, known := states[r.Name]
		return !known || state == vrrp.Initialize
	}
	idle := make(map[string]bool)
	for _, svc := range services {
		if svc.CheckWhen != configs.CheckMaster {
			continue
		}
		of := slices.DeleteFunc(slices.Clone(routers), func(r configs.Router) bool { return !holds(r, svc) })
		if len(of) == 0 {
			of = routers
		}
		was, known := before[svc.Name]
		switch {
		case len(of) == 0 || slices.ContainsFunc(of, master):
			idle[svc.Name] = false
		case !slices.ContainsFunc(of, starting):
			idle[svc.Name] = true
		case known:
			idle[svc.Name] = was
		}
	}
	return idle
}

// holds tells whether a virtual router has an address of a service.
func holds(r configs.Router, svc configs.Service) bool {
	return slices.ContainsFunc(slices.Concat(r.VIPs, r.ExcludedVIPs), func(vip netip.Prefix) bool {
		return slices.ContainsFunc(svc.Virtuals, func(v lvs.Service) bool { return v.Addr == vip.Addr() })
	})
}

// setChecks hands the checks that are wanted now to the runner: by the configuration and, where only a master checks, by
// the roles.
func (d *Director) setChecks() {
	d.mu.Lock()
	defer d.mu.Unlock()
	cfg := d.config
	probes, _ := scripts(cfg.Tracks)
	d.idle = idleServices(cfg.Services, cfg.Routers, d.report, d.idle)
	d.checks.Set(append(targets(cfg.Services, d.idle, d.detours.led), probes...))
	// Servers that are checked from now on stay as they are until the checks have spoken.
	d.inherited = inherit(cfg.Services, d.view(), d.want)
}

// followRoles has the checks set anew if the roles have changed who is to be checked.
func (d *Director) followRoles() {
	d.mu.Lock()
	now := idleServices(d.config.Services, d.config.Routers, d.report, d.idle)
	same := maps.Equal(now, d.idle)
	d.mu.Unlock()
	if !same {
		d.setChecks()
		d.nudge()
	}
}

// checkRows is the status of the checks of a real server.
func (v view) checkRows(svc configs.Service, srv configs.Server) []control.Check {
	rows := make([]control.Check, 0, len(srv.Checks))
	if !v.checked(svc, srv) {
		return rows
	}
	for i, check := range srv.Checks {
		s := v.status(svc, srv, i)
		rows = append(rows, control.Check{
			Type: check.Type.String(), Via: check.Via, Health: s.Health.String(), Reason: s.Reason, Since: s.Since, Flapping: s.Flapping,
			LastAt: s.LastAt, LatencySeconds: s.LastLatency.Seconds(), Successes: s.Successes, Failures: s.Failures,
		})
	}
	return rows
}
