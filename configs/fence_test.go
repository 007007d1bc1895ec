// SPDX-License-Identifier: Apache-2.0

package configs

import "testing"

func TestMistakesOfFencing(t *testing.T) {
	hook := func(more string) string { return router("[[vrrp.hook]]\ncommand = \"/bin/off\"\n" + more) }
	run(t, []mistaken{
		{"not before", hook(`on = ["takeover"]`), []string{
			"7: vrrp[0].hook[0].on: takeover is told only to a hook that must succeed before it; add before = true",
		}},
		{"before something else", hook("on = [\"master\"]\nbefore = true"), []string{
			`8: vrrp[0].hook[0].before: only a takeover can wait for a hook; write on = ["takeover"]`,
		}},
		{"with another event", hook("on = [\"takeover\", \"master\"]\nbefore = true"), []string{
			"7: vrrp[0].hook[0].on: takeover cannot be combined with other events; use a hook of its own for the other events",
		}},
		{"retries", hook("on = [\"takeover\"]\nbefore = true\nretries = 3"), []string{
			"9: vrrp[0].hook[0].retries: has no meaning for takeover: it is tried again as long as no master is heard; remove it",
		}},
		{"style", hook("on = [\"takeover\"]\nbefore = true\nstyle = \"keepalived\""), []string{
			"9: vrrp[0].hook[0].style: has no meaning for takeover, which keepalived does not have; remove it",
		}},
		{"owner", router("priority = 255\n[[vrrp.hook]]\ncommand = \"/bin/off\"\non = [\"takeover\"]\nbefore = true"), []string{
			"9: vrrp[0].hook[0].before: has no meaning with priority 255: the owner of the addresses does not wait for a master's silence; " +
				"give the virtual router a priority below 255, or remove the hook",
		}},
		{"hook of the file", router("[[hook]]\ncommand = \"/bin/off\"\non = [\"takeover\"]"), []string{
			`7: hook[0].on[0]: unknown value "takeover"; want master, backup, fault, stop, contested, contest_over, server_up, server_down, ` +
				"quorum_lost, quorum_regained, director_start, director_stop or drill",
		}},
	})
}

func TestFencedRouter(t *testing.T) {
	c := parse(t, router("[[vrrp.hook]]\ncommand = \"/bin/off\"\non = [\"takeover\"]\nbefore = true"))
	if !c.Routers[0].Fenced || !c.Hooks[0].Before {
		t.Errorf("fenced %v, before %v", c.Routers[0].Fenced, c.Hooks[0].Before)
	}
	if c := parse(t, router("[[vrrp.hook]]\ncommand = \"/bin/told\"\non = [\"master\"]")); c.Routers[0].Fenced {
		t.Error("a hook that is only told fences")
	}
}
