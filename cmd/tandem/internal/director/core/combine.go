// SPDX-License-Identifier: Apache-2.0

package core

import (
	"reflect"
	"slices"

	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/lvs"
)

// combine returns the status that the checks of a real server give together: the status of the check that decides, with the
// advice of all of them. The server is silent only if all of its checks are.
func combine(checks []healthcheck.Config, pass configs.Pass, all []healthcheck.TargetStatus) healthcheck.TargetStatus {
	switch len(all) {
	case 0:
		return Unchecked
	case 1:
		return all[0]
	}
	var each []healthcheck.TargetStatus // of checks that are one check in the file
	var only []healthcheck.TargetStatus // of checks whose silence does not count
	for i, check := range checks {
		is := all[i]
		is.Reason = checkName(check) + ": " + is.Reason
		if check.IgnoreSilence {
			only = append(only, is)
			continue
		}
		if i > 0 && sameButVIP(check, checks[i-1]) {
			last := &each[len(each)-1]
			*last = decide([]healthcheck.TargetStatus{*last, is}, configs.PassAll)
		} else {
			each = append(each, is)
		}
	}
	is := decide(append(each, only...), configs.PassAll)
	if len(each) > 0 {
		is = decide(each, pass)
		is.Silent = !slices.ContainsFunc(each, func(s healthcheck.TargetStatus) bool { return !s.Silent })
		// An agent whose silence does not count can take a server out of service, but never put it into service: its last word may
		// be old.
		for _, s := range only {
			if s.Health == healthcheck.Unhealthy {
				is = decide([]healthcheck.TargetStatus{is, s}, configs.PassAll)
			}
		}
	}
	is.Advice = advice(all)
	return is
}

// sameButVIP reports whether two checks come from one check of the file: a service with several VIPs has one for each VIP. Each
// of them must pass.
func sameButVIP(a, b healthcheck.Config) bool {
	several := a.Via.IsValid() && b.Via.IsValid()
	a.Via = b.Via
	return several && reflect.DeepEqual(a, b)
}

// decide returns the status of the check that decides.
func decide(all []healthcheck.TargetStatus, pass configs.Pass) healthcheck.TargetStatus {
	// With PassAll one unhealthy check makes the server unhealthy, and all must pass to make it healthy. With PassAny it is
	// the other way round.
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

// checkName returns the name that distinguishes a check from the server's other checks.
func checkName(c healthcheck.Config) string {
	if c.Via.IsValid() {
		return c.Type.String() + " through " + c.Via.String()
	}
	return c.Type.String()
}

// advice returns the lowest weight, and the lowest part of it, that any of the checks advises. A check that fails gives no advice.
func advice(all []healthcheck.TargetStatus) healthcheck.Advice {
	sum := healthcheck.Advice{}
	for _, s := range all {
		if !s.Advice.Given || s.Health == healthcheck.Unhealthy {
			continue
		}
		if !sum.Given {
			sum = s.Advice
		}
		if s.Advice.Weighed && (!sum.Weighed || s.Advice.Weight < sum.Weight) {
			sum.Weighed, sum.Weight = true, s.Advice.Weight
		}
		sum.Percent, sum.Drain = min(sum.Percent, s.Advice.Percent), sum.Drain || s.Advice.Drain
	}
	return sum
}

// advise puts the advice about a server into the input of its weight.
func advise(in *lvs.WeightInput, a healthcheck.Advice) {
	if !a.Given {
		return
	}
	if a.Weighed {
		in.Configured = a.Weight
	}
	in.Draining, in.Percent = a.Drain, a.Percent
	in.Advised = !a.Drain && (!a.Weighed || a.Percent != 100)
}
