// SPDX-License-Identifier: Apache-2.0

package core

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/election/message"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/lvs"
	"github.com/tandem-lvs/tandem/vrrp"
)

// neighboursOf returns what all neighbours or none answer to the present question.
func neighboursOf(s *State, answer bool) Neighbours {
	is := Neighbours{Silence: s.silence.sequence, Answer: answer}
	if answer {
		is.Reached = s.inDoubt()
	} else {
		is.Unreached = s.inDoubt()
	}
	return is
}

// A director's own trouble must not take a server out of the kernel's table: its connections live at the other director, and this
// director would reset them when it is master again. A server that is dead, alone, must leave the table. Each line is an event, and
// the table after it. The checks need 4 s to find that a server is back.
func TestOwnTroubleRemovesNoServer(t *testing.T) {
	remove := func(change ...func(*configs.Service)) configs.Service {
		svc := www(true, lvs.Remove)
		for i := range svc.Servers {
			c := &svc.Servers[i].Checks[0]
			c.Interval, c.Timeout, c.Rise, c.Fall = time.Second, time.Second, 2, 3
		}
		for _, c := range change {
			c(&svc)
		}
		return svc
	}
	alone := func(svc *configs.Service) { svc.Servers = svc.Servers[:1] }
	withSorry := func(svc *configs.Service) {
		sorry := svc.Servers[0]
		sorry.Addr, sorry.Weight = sorry.Addr.Next().Next(), 1 // 13
		svc.Sorry = &sorry
	}
	twoChecks := func(svc *configs.Service) {
		for i := range svc.Servers {
			srv := &svc.Servers[i]
			srv.Pass, srv.Checks = configs.PassAll, append(slices.Clone(srv.Checks), srv.Checks[0])
		}
	}
	for _, c := range []struct {
		why    string
		svc    configs.Service
		script string
	}{
		{"a cut cable", remove(), `
			carrier lost: 11=3 12=5
			silent 11: 11=0 12=5
			nobody answers: 11=0 12=5
			silent 12: 11=3 12=5
			after 1h: 11=3 12=5
			carrier back: 11=3 12=5
			somebody answers: 11=3 12=5
			healthy 12: 11=0 12=5
			after 3900ms: 11=0 12=5
			healthy 11: 11=3 12=5
			after 1h: 11=3 12=5`},
		{"a short cut: not all servers have failed", remove(), `
			carrier lost: 11=3 12=5
			silent 11: 11=0 12=5
			carrier back: 11=0 12=5
			nobody answers: 11=0 12=5
			after 30s: 11=0 12=5
			somebody answers: 11=0 12=5
			after 3900ms: 11=0 12=5
			healthy 11: 11=3 12=5`},
		{"a cut that is over when the checks fail", remove(), `
			carrier lost: 11=3 12=5
			carrier back: 11=3 12=5
			silent 11: 11=0 12=5
			somebody answers: 11=0 12=5
			healthy 11: 11=3 12=5
			after 1h: 11=3 12=5
			silent 12: 11=3 12=0
			somebody answers: 11=3`},
		{"no route to one of them", remove(), `
			role backup: 11=3 12=5
			silent 11: 11=0 12=5
			somebody answers except to 11: 11=0 12=5
			after 1h: 11=0 12=5
			somebody answers: 11=0 12=5
			healthy 11: 11=3 12=5`},
		{"no route to any of them", remove(), `
			role master: 11=3 12=5
			silent 11: 11=0 12=5
			somebody answers except to 11: 11=0 12=5
			silent 12: 11=0 12=0
			somebody answers except to 11 12: 11=0 12=0
			after 1h: 11=0 12=0
			somebody answers: 11=0 12=0
			healthy 12: 11=0 12=5
			healthy 11: 11=3 12=5`},
		{"a master that still reaches the others", remove(), `
			role master: 11=3 12=5
			silent 11: 11=0 12=5
			somebody answers except to 11: 11=0 12=5
			after 4900ms: 11=0 12=5
			after 100ms: 12=5`},
		{"it becomes master meanwhile", remove(), `
			role backup: 11=3 12=5
			silent 11: 11=0 12=5
			somebody answers except to 11: 11=0 12=5
			after 1h: 11=0 12=5
			role master: 12=5`},
		{"a silent switch", remove(), `
			silent 11: 11=0 12=5
			silent 12: 11=0 12=0
			nobody answers: 11=3 12=5
			after 1h: 11=3 12=5
			somebody answers: 11=3 12=5
			healthy 12: 11=0 12=5
			healthy 11: 11=3 12=5`},
		{"it is cut off again before all are checked", remove(), `
			silent 11: 11=0 12=5
			silent 12: 11=0 12=0
			nobody answers: 11=3 12=5
			somebody answers: 11=3 12=5
			healthy 12: 11=0 12=5
			nobody answers: 11=0 12=5
			after 1h: 11=0 12=5
			silent 12: 11=3 12=5
			somebody answers: 11=3 12=5
			healthy 11: 11=3 12=0
			healthy 12: 11=3 12=5`},
		{"a dead server, alone", remove(), `
			silent 11: 11=0 12=5
			somebody answers: 12=5
			healthy 11: 11=3 12=5`},
		{"a second one: an earlier answer does not count", remove(), `
			silent 11: 11=0 12=5
			somebody answers: 12=5
			silent 12: 12=0
			somebody answers: `},
		{"one refuses, alone", remove(), `
			refuses 11: 12=5`},
		{"a server that had failed before", remove(), `
			refuses 11: 12=5
			silent 11: 12=5
			nobody answers: 12=5`},
		{"one dies in the cut", remove(), `
			silent 11: 11=0 12=5
			silent 12: 11=0 12=0
			nobody answers: 11=3 12=5
			somebody answers: 11=3 12=5
			healthy 12: 11=0 12=5
			after 3900ms: 11=0 12=5
			after 100ms: 12=5`},
		{"one refuses after the cut", remove(), `
			silent 11: 11=0 12=5
			silent 12: 11=0 12=0
			nobody answers: 11=3 12=5
			somebody answers: 11=3 12=5
			refuses 11: 12=5
			healthy 12: 12=5`},
		{"all servers on one machine", remove(alone), `
			silent 11: 11=0
			nobody answers: 11=0
			after 1h: 11=0
			somebody answers: 11=0
			after 3900ms: 11=0
			healthy 11: 11=3`},
		{"all servers on one machine, which is dead", remove(alone), `
			silent 11: 11=0
			somebody answers: `},
		{"all servers on one machine, and a sorry server", remove(alone, withSorry), `
			silent 11: 11=0 13=1
			nobody answers: 11=0 13=1
			silent 13: 11=0 13=1
			somebody answers: 11=0 13=1
			healthy 13: 11=0 13=1
			healthy 11: 11=3`},
		{"the sorry server dies too", remove(alone, withSorry), `
			silent 11: 11=0 13=1
			somebody answers: 13=1
			silent 13: 13=1
			somebody answers: `},
		{"several checks of a server do not fail at the same time", remove(twoChecks), `
			silent 11: 11=0 12=5
			silent 11#2: 11=0 12=5
			nobody answers: 11=0 12=5
			silent 12: 11=0 12=0
			silent 12#2: 11=3 12=5
			somebody answers: 11=3 12=5
			healthy 11: 11=0 12=5
			healthy 11#2: 11=3 12=0
			healthy 12: 11=3 12=0
			healthy 12#2: 11=3 12=5`},
		{"one of several checks finds a refusal", remove(twoChecks), `
			silent 11: 11=0 12=5
			refuses 11#2: 12=5`},
		{"a reload meanwhile", remove(), `
			silent 11: 11=0 12=5
			nobody answers: 11=0 12=5
			reload: 11=0 12=5
			somebody answers: 11=0 12=5
			reload: 11=0 12=5
			after 4s: 12=5`},
		{"the time at weight 0 is limited", remove(func(svc *configs.Service) { svc.RemoveAfter = 2 * time.Second }), `
			silent 11: 11=0 12=5
			nobody answers: 11=0 12=5
			after 1h: 11=0 12=5`},
	} {
		cfg := with(c.svc)
		cfg.Routers = []configs.Router{{Config: vrrp.Config{Name: "web", Interface: "eth0"}}}
		s := started(cfg)
		for _, srv := range c.svc.Servers {
			for i := range srv.Checks {
				s.Step(noon, is(checkID(ServerID(c.svc, srv), i), up))
			}
		}
		now := noon
		for line := range strings.Lines(strings.TrimSpace(c.script)) {
			text, want, _ := strings.Cut(strings.TrimSpace(line), ":")
			verb, rest, _ := strings.Cut(text, " ")
			status := healthcheck.TargetStatus{Health: down, Since: now, Reason: text}
			switch verb {
			case "after":
				d, err := time.ParseDuration(rest)
				if err != nil {
					t.Fatal(err)
				}
				now = now.Add(d)
				s.Step(now, Tick{})
			case "silent", "refuses", "healthy":
				if status.Silent = verb == "silent"; verb == "healthy" {
					status.Health = up
				}
				server, second, _ := strings.Cut(rest, "#")
				id := "www/192.0.2." + server + ":80"
				if second != "" {
					id = checkID(id, 1)
				}
				s.Step(now, Verdict{id, status})
			case "nobody", "somebody":
				answer := neighboursOf(s, verb == "somebody")
				_, except, _ := strings.Cut(rest, "except to ")
				for _, server := range strings.Fields(except) {
					addr := netip.MustParseAddr("192.0.2." + server)
					answer.Reached = slices.DeleteFunc(answer.Reached, func(a netip.Addr) bool { return a == addr })
					answer.Unreached = append(answer.Unreached, addr)
				}
				s.Step(now, answer)
			case "role":
				s.Step(now, roles(map[string]vrrp.State{"web": map[string]vrrp.State{"master": vrrp.Master, "backup": vrrp.Backup}[rest]}))
			case "carrier":
				s.Step(now, Report{message.Report{Links: map[string]string{"eth0": map[string]string{"lost": "no carrier"}[rest]}}})
			case "reload":
				s.Step(now, Reload{Config: cfg})
			default:
				t.Fatalf("%s: %s", c.why, text)
			}
			if got := weights(s); got != strings.TrimSpace(want) {
				t.Errorf("%s: after %q the table is %q, want %q", c.why, text, got, strings.TrimSpace(want))
			}
		}
	}
}
