// SPDX-License-Identifier: Apache-2.0

package core

import (
	"testing"

	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/lvs"
)

// The lowest weight and the lowest part of it count. A weight replaces the configured one.
func TestAdviceOfSeveralChecks(t *testing.T) {
	half := healthcheck.Advice{Given: true, Percent: 50}
	drain := healthcheck.Advice{Given: true, Percent: 100, Drain: true}
	for _, c := range []struct {
		name string
		all  []healthcheck.Advice
		want int
	}{
		{"none", []healthcheck.Advice{{}}, 8},
		{"a part", []healthcheck.Advice{half}, 4},
		{"a weight", []healthcheck.Advice{healthcheck.Weigh(20)}, 20},
		{"two weights", []healthcheck.Advice{healthcheck.Weigh(20), healthcheck.Weigh(3)}, 3},
		{"a weight of 0", []healthcheck.Advice{healthcheck.Weigh(0), half}, 0},
		{"a weight and a part", []healthcheck.Advice{healthcheck.Weigh(20), half}, 10},
		{"a part and a weight", []healthcheck.Advice{half, healthcheck.Weigh(20)}, 10},
		{"a weight and no word", []healthcheck.Advice{healthcheck.Weigh(20), {}}, 20},
		{"a weight and a drain", []healthcheck.Advice{healthcheck.Weigh(20), drain}, 0},
	} {
		var all []healthcheck.TargetStatus
		for _, a := range c.all {
			all = append(all, healthcheck.TargetStatus{Health: healthcheck.Healthy, Advice: a})
		}
		in := lvs.WeightInput{Configured: 8, Health: lvs.HealthUp, OnFailure: lvs.WeightZero}
		advise(&in, advice(all))
		if got, _ := lvs.Weight(in); got != c.want {
			t.Errorf("%s: weight %d, want %d", c.name, got, c.want)
		}
	}
}

// An agent whose silence does not count takes a server out of service, but never puts it into service.
func TestAgentWhoseSilenceDoesNotCount(t *testing.T) {
	checks := []healthcheck.Config{healthcheck.DefaultConfig(healthcheck.TCP), healthcheck.DefaultConfig(healthcheck.Agent)}
	checks[1].IgnoreSilence = true
	up, down, open := healthcheck.Healthy, healthcheck.Unhealthy, healthcheck.Unknown
	for _, c := range []struct {
		tcp, agent, want healthcheck.Health
		silent           bool
	}{{up, up, up, false}, {up, open, up, false}, {up, down, down, false}, {down, up, down, true}, {down, down, down, true}, {open, up, open, false}} {
		for _, pass := range []configs.Pass{configs.PassAll, configs.PassAny} {
			all := []healthcheck.TargetStatus{{Health: c.tcp, Silent: c.tcp == down}, {Health: c.agent}}
			if is := combine(checks, pass, all); is.Health != c.want || is.Silent != c.silent {
				t.Errorf("check %s, agent %s, %s: %s, silent %v; want %s, silent %v", c.tcp, c.agent, pass, is.Health, is.Silent, c.want, c.silent)
			}
		}
	}
	for i := range checks {
		checks[i].IgnoreSilence = true
	}
	if is := combine(checks, configs.PassAny, []healthcheck.TargetStatus{{Health: up}, {Health: down}}); is.Health != down {
		t.Errorf("two agents, one says down: %s", is.Health)
	}
}
