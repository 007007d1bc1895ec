// SPDX-License-Identifier: Apache-2.0

package core

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/hooks"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/election/message"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/lvs"
	"github.com/tandem-lvs/tandem/vrrp"
)

// A told is a state whose hooks all end well, or all hang.
type told struct {
	t       *testing.T
	s       *State
	now     time.Time
	routers map[string]vrrp.Status
	hang    bool
	running []hooks.Run
	records hooks.Records
	answers int
}

// hookConfig are two virtual routers of one sync group, a service, and one hook of each kind.
func hookConfig() *configs.Config {
	svc := www(true, lvs.Remove)
	cfg := with(svc)
	cfg.Name = "lb1"
	for _, name := range []string{"in", "out"} {
		cfg.Routers = append(cfg.Routers, configs.Router{Config: vrrp.Config{Name: name, Interface: "eth0", VRID: 51, SyncGroup: "pair"}})
	}
	router := []configs.HookEvent{configs.HookMaster, configs.HookBackup, configs.HookFault, configs.HookStop, configs.HookContested, configs.HookContestOver}
	cfg.Hooks = []configs.Hook{
		{Name: "r", Routers: []string{"in"}, On: router},
		{Name: "g", Group: "pair", On: router[:4]},
		{Name: "s", On: []configs.HookEvent{configs.HookServerUp, configs.HookServerDown, configs.HookQuorumLost, configs.HookQuorumRegained}},
		{Name: "d", On: []configs.HookEvent{configs.HookDirectorStart, configs.HookDirectorStop}},
	}
	return cfg
}

func tell(t *testing.T, cfg *configs.Config, records hooks.Records) (*told, string) {
	p := &told{t: t, s: New(), now: noon, routers: make(map[string]vrrp.Status), records: records}
	started := p.step(Start{Config: cfg, Hooks: records})
	p.step(TableRead{})
	p.step(TableDone{Generation: p.s.generation})
	return p, started
}

// step returns what hooks are told, as "r:master(in) g:backup(pair)".
func (p *told) step(events ...Event) string {
	var all []string
	for len(events) > 0 {
		out := p.s.Step(p.now, events...)
		events = nil
		for _, f := range out.Files {
			if f.File == HooksFile {
				p.records = f.Value.(hooks.Records)
			}
			events = append(events, Stored{File: f.File, Generation: f.Generation})
		}
		p.answers += len(out.Replies)
		for _, r := range out.Hooks {
			all = append(all, fmt.Sprintf("%s:%s(%s)", r.Hook.Name, r.Event.What, r.Event.Name))
			p.running = append(p.running, r)
		}
		if !p.hang {
			events = append(events, p.end()...)
		}
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

// end ends all runs.
func (p *told) end() (events []Event) {
	for _, r := range p.running {
		events = append(events, HookEnded{ID: r.ID})
	}
	p.running = nil
	return events
}

// report changes the status of routers, and returns what hooks are told.
func (p *told) report(change func(*vrrp.Status), names ...string) string {
	for _, name := range names {
		is := p.routers[name]
		is.Name, is.Interface = name, "eth0"
		change(&is)
		p.routers[name] = is
	}
	var r message.Report
	for _, is := range p.routers {
		r.Routers = append(r.Routers, is)
	}
	return p.step(Report{r})
}

func to(state vrrp.State) func(*vrrp.Status) {
	return func(is *vrrp.Status) {
		if is.State = state; state == vrrp.Master {
			is.Counters.BecameMaster++
		}
	}
}

func (p *told) want(what, got, want string) {
	p.t.Helper()
	if got != want {
		p.t.Errorf("%s: told %q, want %q", what, got, want)
	}
}

func TestHooksOfRouters(t *testing.T) {
	cfg := hookConfig()
	p, started := tell(t, cfg, nil)
	p.want("start", started, "d:director_start(lb1)")
	p.want("the election starts", p.report(to(vrrp.Initialize), "in", "out"), "")
	p.want("backup", p.report(to(vrrp.Backup), "in", "out"), "g:backup(pair) r:backup(in)")
	p.want("nothing new", p.report(func(is *vrrp.Status) { is.EffectivePriority = 7 }, "in"), "")
	p.want("one member", p.report(to(vrrp.Master), "in"), "r:master(in)")
	p.want("the other", p.report(to(vrrp.Master), "out"), "g:master(pair)")
	p.want("backup and master between two reports", p.report(to(vrrp.Master), "in", "out"), "g:master(pair) r:master(in)")
	p.want("the election was started again", p.report(func(is *vrrp.Status) { is.Counters.BecameMaster = 1 }, "in", "out"), "")
	p.want("fault", p.report(to(vrrp.Fault), "out"), "g:fault(pair)")
	p.want("it leaves", p.report(to(vrrp.Initialize), "in"), "")
	p.want("stop", p.step(Leave{Request: 1}), "d:director_stop(lb1) g:stop(pair) r:stop(in)")
	if p.answers != 1 {
		t.Errorf("%d answers, want 1", p.answers)
	}
	p.want("nothing after that", p.report(to(vrrp.Backup), "in", "out"), "")

	p, _ = tell(t, cfg, p.records)
	p.want("the next process", p.report(to(vrrp.Backup), "in", "out"), "g:backup(pair) r:backup(in)")
	p, _ = tell(t, cfg, p.records)
	p.want("killed, and nothing has changed", p.report(to(vrrp.Backup), "in", "out"), "")
	p.want("then it has", p.report(to(vrrp.Master), "in", "out"), "g:master(pair) r:master(in)")
}

// Scripts that were written for keepalived are told the configured priority with the weights, whatever the election uses.
func TestPriorityOfScripts(t *testing.T) {
	p, _ := tell(t, hookConfig(), nil)
	for _, tt := range []struct {
		what       string
		configured uint8
		delta      int
		effective  uint8
		want       uint8
	}{
		{"nothing is tracked", 150, 0, 150, 150},
		{"a fault, or standby", 150, 0, 1, 150},
		{"the daemon ends", 150, 0, 0, 150},
		{"a weight", 150, -20, 130, 130},
		{"weights below the lowest priority", 100, -120, 1, 1},
		{"weights above the highest priority", 250, 20, 254, 254},
		{"an owner", 255, -20, 255, 255},
	} {
		ev := p.s.routerEvent(configs.Router{Config: vrrp.Config{Priority: tt.configured}},
			vrrp.Status{EffectivePriority: tt.effective, Tracking: vrrp.Tracking{Delta: tt.delta}}, configs.HookFault, "")
		if ev.Priority != tt.effective || ev.Weighted != tt.want {
			t.Errorf("%s: %d and %d, want %d and %d", tt.what, ev.Priority, ev.Weighted, tt.effective, tt.want)
		}
	}
}

func TestContests(t *testing.T) {
	p, _ := tell(t, hookConfig(), nil)
	heard := func(is *vrrp.Status) { is.RivalHeard = p.now }
	contested := func(is *vrrp.Status) { is.RivalHeard, is.Contested = p.now, p.now }
	p.report(to(vrrp.Backup), "in", "out")
	p.report(to(vrrp.Master), "in", "out")
	p.want("the predecessor gives way", p.report(heard, "in"), "")
	p.want("contested", p.report(contested, "in"), "r:contested(in)")
	p.now = p.now.Add(4 * time.Second)
	p.want("heard again", p.report(heard, "in"), "")
	p.now = p.now.Add(contestTime - time.Nanosecond)
	p.want("not over", p.step(Tick{}), "")
	p.now = p.now.Add(time.Nanosecond)
	p.want("over", p.step(Tick{}), "r:contest_over(in)")
	p.want("once", p.step(Tick{}), "")
	p.report(contested, "in")
	p.want("lost", p.report(to(vrrp.Backup), "in"), "g:backup(pair) r:backup(in)")
	p.now = p.now.Add(contestTime)
	p.want("so it is not told to be over", p.step(Tick{}), "")
	// The clock runs for it: nothing else would wake the director.
	p.report(to(vrrp.Master), "in")
	p.report(contested, "in")
	if next := p.s.next(); !next.Equal(p.now.Add(contestTime)) {
		t.Errorf("next step at %s, want %s", next, p.now.Add(contestTime))
	}
}

// A router that a reload removes is told to have stopped when it has left, not before.
func TestHooksOfRemovedRouters(t *testing.T) {
	p, _ := tell(t, hookConfig(), nil)
	p.report(to(vrrp.Backup), "in", "out")
	p.report(to(vrrp.Master), "in", "out")
	cfg := hookConfig()
	cfg.Routers, cfg.Hooks = nil, cfg.Hooks[2:]
	p.want("reload", p.step(Reload{Config: cfg}), "g:stop(pair)")
	p.want("it hands over", p.report(func(is *vrrp.Status) { is.HandingOver = true }, "in"), "")
	delete(p.routers, "in")
	delete(p.routers, "out")
	p.want("it has left", p.report(nil), "r:stop(in)")
	if len(p.records) != 0 {
		t.Errorf("%v", p.records)
	}
}

// A new hook is told the present state.
func TestNewHooks(t *testing.T) {
	cfg := hookConfig()
	all := cfg.Hooks
	cfg.Hooks = nil
	p, _ := tell(t, cfg, nil)
	p.report(to(vrrp.Master), "in", "out")
	p.step(is(first, down), is(second, up))
	cfg = hookConfig()
	cfg.Hooks = all
	p.want("reload", p.step(Reload{Config: cfg}), "g:master(pair) r:master(in) s:server_down("+first+")")
}

func TestHooksOfServices(t *testing.T) {
	p, _ := tell(t, hookConfig(), nil)
	p.want("the first results", p.step(both(up, up)...), "")
	p.want("one is down", p.step(is(first, down)), "s:server_down("+first+")")
	p.want("both are", p.step(is(second, down)), "s:quorum_lost(www) s:server_down("+second+")")
	p.now = p.now.Add(recordPause)
	p.step(Tick{})
	// A restart knows nothing at first, and tells nothing.
	records := p.records
	p, _ = tell(t, hookConfig(), records)
	p.want("restart", p.step(Tick{}), "")
	p.want("one is still down", p.step(is(first, down)), "")
	p.want("the other is up", p.step(is(second, up)), "s:quorum_regained(www) s:server_up("+second+")")
}

// What hooks of many servers were told is written once a second; what those of routers were told, at once.
func TestRecordsAreNotWrittenTooOften(t *testing.T) {
	p, _ := tell(t, hookConfig(), nil)
	p.step(both(up, up)...)
	files := func(events ...Event) (n int) {
		for len(events) > 0 {
			out := p.s.Step(p.now, events...)
			events = nil
			for _, f := range out.Files {
				if f.File == HooksFile {
					n++
				}
			}
			for _, r := range out.Hooks {
				events = append(events, HookEnded{ID: r.ID})
			}
		}
		return n
	}
	p.now = p.now.Add(recordPause)
	if n := files(is(first, down)) + files(is(second, down)) + files(is(first, up)); n != 1 {
		t.Errorf("%d writes, want 1", n)
	}
	if next := p.s.next(); !next.Equal(p.now.Add(recordPause)) {
		t.Errorf("next step at %s", next)
	}
	p.now = p.now.Add(recordPause)
	if n := files(Tick{}); n != 1 {
		t.Errorf("%d writes after the pause, want 1", n)
	}
	if n := files(Report{message.Report{Routers: []vrrp.Status{{Name: "in", Interface: "eth0", State: vrrp.Master}}}}); n == 0 {
		t.Error("what a router's hook was told is not written at once")
	}
}

// A director that leaves waits for its hooks, but not for ever.
func TestLeavingWaitsForHooks(t *testing.T) {
	p, _ := tell(t, hookConfig(), nil)
	p.hang = true
	p.report(to(vrrp.Master), "in", "out")
	p.step(Leave{Request: 1})
	if p.answers != 0 {
		t.Fatal("it does not wait")
	}
	p.step(p.end()...)
	if p.answers != 0 || len(p.running) == 0 {
		t.Fatal("it does not wait for what is told at the stop")
	}
	p.now = p.now.Add(leaveHooksTime)
	p.step(Tick{})
	if p.answers != 1 {
		t.Errorf("%d answers, want 1", p.answers)
	}
}
