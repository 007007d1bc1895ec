// SPDX-License-Identifier: Apache-2.0

package core

import (
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/hooks"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/vrrp"
)

// fencedPair returns a director whose router has two hooks that must succeed before it takes over, and an ordinary one that hangs.
func fencedPair(t *testing.T) *told {
	cfg := hookConfig()
	cfg.Routers[0].Fenced = true
	for _, name := range []string{"power", "cloud"} {
		cfg.Hooks = append(cfg.Hooks, configs.Hook{
			Name: name, Routers: []string{"in"}, On: []configs.HookEvent{configs.HookTakeover}, Before: true, RetryPause: 2 * time.Second,
		})
	}
	p, _ := tell(t, cfg, nil)
	p.hang = true
	p.report(to(vrrp.Backup), "in", "out") // its hook hangs, and delays no fencing
	p.report(ready(true), "out")
	p.running = nil
	return p
}

func ready(is bool) func(*vrrp.Status) { return func(s *vrrp.Status) { s.Ready = is } }

// TestFencingOfAGroup: while another member of the sync group hears the master, nobody is fenced: the group would not take over.
func TestFencingOfAGroup(t *testing.T) {
	p := fencedPair(t)
	p.report(ready(false), "out")
	p.want("the other member hears the master", p.report(claim(7), "in"), "")
	if next := p.s.next(); !next.IsZero() && !next.After(p.now) {
		t.Errorf("the next step is at %s, it is %s", next, p.now)
	}
	p.want("it is silent there too", p.report(ready(true), "out"), "cloud:takeover(in) power:takeover(in)")
	p.result("power", "no answer")
	p.report(ready(false), "out")
	p.now = p.now.Add(10 * time.Second)
	p.want("it hears the master again", p.step(Tick{}), "")
	p.running = nil
	p.want("silent again", p.report(ready(true), "out"), "cloud:takeover(in) power:takeover(in)")
	p.result("power", "")
	p.result("cloud", "")
	if p.granted() != 7 {
		t.Errorf("granted %d, want 7", p.granted())
	}
	p.want("both claim", p.report(claim(9), "in", "out"), "cloud:takeover(in) power:takeover(in)")
}

func claim(n uint64) func(*vrrp.Status) { return func(is *vrrp.Status) { is.Claim = n } }

// result ends the run of a hook.
func (p *told) result(name, problem string) string {
	for i, r := range p.running {
		if r.Hook.Name == name {
			p.running = append(p.running[:i:i], p.running[i+1:]...)
			return p.step(HookEnded{ID: r.ID, Result: hooks.Result{Problem: problem}})
		}
	}
	p.t.Fatalf("hook %s does not run", name)
	return ""
}

func (p *told) granted() uint64 { return p.s.tracking["in"].Granted }

func TestFencing(t *testing.T) {
	p := fencedPair(t)
	p.want("nobody is fenced without a claim", p.step(Tick{}), "")
	p.want("a claim", p.report(claim(7), "in"), "cloud:takeover(in) power:takeover(in)")
	p.want("reported again", p.report(claim(7), "in"), "")
	p.want("one has succeeded", p.result("power", ""), "")
	if p.granted() != 0 {
		t.Error("granted before all hooks have succeeded")
	}
	p.result("cloud", "timeout")
	if got := p.s.Snapshot(p.now).Unfenced; p.granted() != 0 || len(got) != 1 || !strings.Contains(got[0], "hook cloud: timeout") {
		t.Errorf("granted %d after a failure, warnings %q", p.granted(), got)
	}
	if next := p.s.next(); !next.Equal(p.now.Add(2 * time.Second)) {
		t.Errorf("the next attempt is at %s, want %s", next, p.now.Add(2*time.Second))
	}
	p.now = p.now.Add(2*time.Second - time.Nanosecond)
	p.want("too early", p.step(Tick{}), "")
	p.now = p.now.Add(time.Nanosecond)
	p.want("again, all of them", p.step(Tick{}), "cloud:takeover(in) power:takeover(in)")
	p.result("power", "no answer")
	p.result("cloud", "no answer")
	p.now = p.now.Add(4*time.Second - time.Nanosecond)
	p.want("the pause has doubled", p.step(Tick{}), "")
	p.now = p.now.Add(time.Nanosecond)
	p.step(Tick{})
	p.result("power", "")
	p.result("cloud", "")
	if p.granted() != 7 || len(p.s.Snapshot(p.now).Unfenced) != 0 {
		t.Errorf("granted %d, want 7; warnings %q", p.granted(), p.s.Snapshot(p.now).Unfenced)
	}
	p.want("master", p.report(func(is *vrrp.Status) { is.State, is.Claim = vrrp.Master, 0 }, "in"), "")
	if p.granted() != 0 {
		t.Error("the grant stays after its claim")
	}
}

// A claim that ends takes its results with it: the next one is fenced anew.
func TestFencingOfAClaimThatEnds(t *testing.T) {
	p := fencedPair(t)
	p.report(claim(7), "in")
	late := p.running
	p.running = nil
	p.want("the master is heard again", p.report(claim(0), "in"), "")
	p.want("the next claim", p.report(claim(8), "in"), "cloud:takeover(in) power:takeover(in)")
	for _, r := range late {
		p.step(HookEnded{ID: r.ID})
	}
	if p.granted() != 0 {
		t.Errorf("claim %d is granted by the hooks of another one", p.granted())
	}
	p.result("power", "")
	p.result("cloud", "")
	if p.granted() != 8 {
		t.Errorf("granted %d, want 8", p.granted())
	}
}
