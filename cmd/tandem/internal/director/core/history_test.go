// SPDX-License-Identifier: Apache-2.0

package core

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/hooks"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/election/message"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/garp"
	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/lvs"
	"github.com/tandem-lvs/tandem/vrrp"
)

// A chronicle is a director lb1, which is master of web with priority 150. It notes what the history is told.
type chronicle struct {
	*told
	is     message.Report
	events []api.Event
}

func chronicleConfig() *configs.Config {
	svc := www(true, lvs.WeightZero)
	cfg := with(svc)
	cfg.Name, cfg.File = "lb1", "/etc/tandem/tandem.toml"
	cfg.Routers = []configs.Router{{Config: vrrp.Config{
		Name: "web", Interface: "eth0", VRID: 51, Priority: 150, VIPs: []netip.Prefix{netip.MustParsePrefix("192.0.2.100/24")},
		TrackInterfaces: []vrrp.TrackInterface{{Interface: "eth1", Weight: -60}},
	}}}
	cfg.Tracks = []configs.Track{scriptTrack("web", -60), fileTrack("web", "/run/load", -1)}
	return cfg
}

func newChronicle(t *testing.T) *chronicle {
	cfg := chronicleConfig()
	c := &chronicle{told: &told{t: t, s: New(), now: noon, hang: true}}
	c.is = message.Report{Routers: []vrrp.Status{{
		Name: "web", Interface: "eth0", State: vrrp.Backup, Priority: 150, EffectivePriority: 150, Reason: "startup",
	}}}
	c.note(Start{Config: cfg, Numbers: map[string]Number{"/run/load": {}}}, TableRead{})
	c.note(TableDone{Generation: 1})
	c.note(append(both(up, up), script(up, "exit code 0", 1))...)
	c.note(Report{c.is})
	c.elect(vrrp.Master, "no advertisement for 3.414s")
	return c
}

func script(health healthcheck.Health, reason string, streak int) Verdict {
	return Verdict{ID: "script /bin/uplink", Status: healthcheck.TargetStatus{Health: health, Reason: reason, Streak: streak}}
}

// note makes a step a second later, and notes its events.
func (c *chronicle) note(events ...Event) {
	c.now = c.now.Add(time.Second)
	if h := c.s.Step(c.now, events...).History; h != nil {
		c.events = append(c.events, h.Events...)
	}
}

// elect reports a state of web.
func (c *chronicle) elect(state vrrp.State, reason string) {
	c.report(func(r *vrrp.Status) { r.State, r.Reason, r.Since = state, reason, c.now })
}

// report reports a change of web.
func (c *chronicle) report(change func(*vrrp.Status)) {
	c.is.Routers = slices.Clone(c.is.Routers)
	change(&c.is.Routers[0])
	c.note(Report{c.is})
}

// election reports a change of anything else.
func (c *chronicle) election(change func(*message.Report)) {
	change(&c.is)
	c.note(Report{c.is})
}

// said returns the events since the last call.
func (c *chronicle) said() string {
	var all []string
	for _, ev := range c.events {
		line := fmt.Sprintf("%s %s %s %s", ev.Kind, ev.On, ev.Name, ev.What)
		if ev.Cause != "" {
			line += ": " + ev.Cause
		}
		all = append(all, line)
		if ev.Time.IsZero() || ev.Time.After(c.now) || ev.Director != "lb1" {
			c.t.Errorf("%s: at %s by %q", line, ev.Time, ev.Director)
		}
	}
	c.events = nil
	return strings.Join(all, "\n")
}

func priority(n uint8) func(*vrrp.Status) {
	return func(r *vrrp.Status) { r.EffectivePriority = n }
}

// TestWhatTheHistoryTells: what is provoked, and what is told.
func TestWhatTheHistoryTells(t *testing.T) {
	const failed = "script /bin/uplink failed twice: exit code 1"
	for _, row := range []struct {
		provoked string
		provoke  func(c *chronicle)
		told     string
	}{
		{"the master is silent", func(c *chronicle) {
			c.elect(vrrp.Backup, "higher priority 200 heard from 192.0.2.3")
			c.said()
			c.elect(vrrp.Master, "no advertisement for 3.6s from 192.0.2.3")
		}, "transition router web became master: no advertisement for 3.6s from 192.0.2.3"},
		{"a script fails, and the peer takes over", func(c *chronicle) {
			c.note(script(down, "exit code 1", -2))
			c.report(priority(90))
			c.elect(vrrp.Backup, "higher priority 100 heard from 192.0.2.3")
		}, "priority router web has priority 90 instead of 150: " + failed + "\n" +
			"transition router web became backup: higher priority 100 heard from 192.0.2.3; lb1 had priority 90 instead of 150, because " + failed},
		{"both in one report", func(c *chronicle) {
			c.note(script(down, "exit code 1", -2))
			c.report(func(r *vrrp.Status) {
				r.State, r.EffectivePriority, r.Reason = vrrp.Backup, 90, "higher priority 100 heard from 192.0.2.3"
			})
		}, "priority router web has priority 90 instead of 150: " + failed + "\n" +
			"transition router web became backup: higher priority 100 heard from 192.0.2.3; lb1 had priority 90 instead of 150, because " + failed},
		{"a lower priority is configured, and the peer takes over", func(c *chronicle) {
			c.report(func(r *vrrp.Status) { r.Priority, r.EffectivePriority = 90, 90 })
			c.elect(vrrp.Backup, "higher priority 100 heard from 192.0.2.3")
		}, "priority router web has priority 90: the configured priority is 90 instead of 150\n" +
			"transition router web became backup: higher priority 100 heard from 192.0.2.3; the configured priority is 90 instead of 150"},
		{"the script works again", func(c *chronicle) {
			c.note(script(down, "exit code 1", -2))
			c.report(priority(90))
			c.elect(vrrp.Backup, "higher priority 100 heard from 192.0.2.3")
			c.said()
			c.note(script(up, "exit code 0", 2))
			c.report(func(r *vrrp.Status) { r.Master = netip.MustParseAddr("192.0.2.3") })
			c.report(priority(150))
			c.elect(vrrp.Master, "own priority 150 is higher than 100 of 192.0.2.3")
		}, "priority router web has priority 150: over: " + failed + "\n" +
			"transition router web became master: own priority 150 is higher than 100 of 192.0.2.3; " +
			"its priority rose from 90 to 150 (over: " + failed + ")"},
		{"a file lowers the priority", func(c *chronicle) {
			c.note(Numbers{"/run/load": {Value: 60}})
			c.report(priority(90))
		}, "priority router web has priority 90 instead of 150: file /run/load has the number 60"},
		{"the election has not heard yet that the first results are there", func(c *chronicle) {
			c.elect(vrrp.Backup, "higher priority 200 heard from 192.0.2.3")
			c.said()
			c.report(func(r *vrrp.Status) { r.EffectivePriority, r.Tracking.Unclear = 1, true })
			c.report(func(r *vrrp.Status) { r.EffectivePriority, r.Tracking.Unclear = 150, false })
		}, "priority router web has priority 1 instead of 150: the first results were not there yet\n" +
			"priority router web has priority 150: over: the first results were not there yet"},
		{"a tracked interface fails", func(c *chronicle) {
			c.election(func(r *message.Report) {
				r.Links, r.Routers[0].EffectivePriority = map[string]string{"eth1": "interface eth1 has no carrier"}, 90
			})
		}, "priority router web has priority 90 instead of 150: interface eth1 has no carrier"},
		{"its own cable is cut", func(c *chronicle) {
			c.elect(vrrp.Fault, "interface eth0 has no carrier")
		}, "transition router web became fault: interface eth0 has no carrier"},
		{"a script without weight fails", func(c *chronicle) {
			c.report(func(r *vrrp.Status) { r.HandingOver, r.Reason = true, "script /bin/uplink: exit code 1" })
			c.said()
			c.report(func(r *vrrp.Status) { r.HandingOver, r.State, r.Reason = false, vrrp.Fault, "192.0.2.3 took over" })
		}, "transition router web became fault: 192.0.2.3 took over; lb1 had offered its place (script /bin/uplink: exit code 1)"},
		{"an operator orders a failover", func(c *chronicle) {
			c.note(Failover{Request: 1})
			c.report(func(*vrrp.Status) {})
			c.is.Sequence = c.s.orderSeq
			c.report(func(r *vrrp.Status) {})
			c.report(func(r *vrrp.Status) {
				r.HandingOver, r.Standby, r.EffectivePriority, r.Reason = true, true, 1, "standby"
			})
			c.report(func(r *vrrp.Status) { r.HandingOver, r.State, r.Reason = false, vrrp.Backup, "192.0.2.3 took over" })
		}, "order router web must hand over: an operator ordered it\n" +
			"priority router web has priority 1 instead of 150: an operator ordered a failover\n" +
			"transition router web offers its place to the peer: an operator ordered a failover\n" +
			"transition router web became backup: 192.0.2.3 took over; lb1 had offered its place, because an operator ordered a failover"},
		{"the director is stopped while its priority is lowered", func(c *chronicle) {
			c.note(script(down, "exit code 1", -2))
			c.report(priority(90))
			c.said()
			c.report(func(r *vrrp.Status) { r.HandingOver, r.Reason = true, "shutdown" })
		}, "transition router web offers its place to the peer: shutdown"},
		{"nobody takes over", func(c *chronicle) {
			c.note(Failover{Request: 1})
			c.is.Sequence = c.s.orderSeq
			c.report(func(r *vrrp.Status) {})
			c.report(func(r *vrrp.Status) { r.HandingOver, r.Reason = true, "standby" })
			c.said()
			c.report(func(r *vrrp.Status) { r.HandingOver, r.Reason = false, "nobody took over" })
		}, "order router web was not handed over: nobody took over\ntransition router web stays master: nobody took over"},
		{"an operator ends the standby", func(c *chronicle) {
			c.s.standby = []string{"web"}
			c.note(Release{Request: 1})
		}, "order router web takes part in the election again: an operator ordered it"},
		{"the director is stopped", func(c *chronicle) {
			c.report(func(r *vrrp.Status) { r.State, r.Reason = vrrp.Initialize, "192.0.2.3 took over" })
			c.note(Leave{Request: 1})
		}, "transition router web stopped: the director was stopped; 192.0.2.3 took over\ndirector director lb1 stopped: the director was stopped"},
		{"another master is heard", func(c *chronicle) {
			c.report(func(r *vrrp.Status) { r.RivalHeard, r.Contested = c.now, c.now })
			c.now = c.now.Add(contestTime)
			c.note(Tick{})
		}, "warning router web hears another master: another master was heard, and this one stays\n" +
			"warning router web hears no other master any more: no other master is heard any more"},
		{"there were two masters", func(c *chronicle) {
			c.report(func(r *vrrp.Status) { r.TwoMasters = vrrp.TwoMasters{Count: 1, Since: c.now} })
			c.report(func(r *vrrp.Status) {
				r.TwoMasters = vrrp.TwoMasters{Count: 1, Total: 1500 * time.Millisecond, Last: vrrp.Moment{
					Began: time.Date(2026, 11, 22, 1, 2, 3, 0, time.UTC), Length: 1500 * time.Millisecond, Peer: netip.MustParseAddr("192.0.2.3"),
				}}
			})
			c.report(func(r *vrrp.Status) { r.TwoMasters = vrrp.TwoMasters{} }) // the election was started again
		}, "warning router web was not the only master: 192.0.2.3 was heard as master for 1.5s, until 01:02:04.500 UTC"},
		{"the peer has another password, and then the same", func(c *chronicle) {
			c.report(func(r *vrrp.Status) { r.Warnings = []string{"192.0.2.3 sends another password"} })
			c.report(func(*vrrp.Status) {})
			c.report(func(r *vrrp.Status) { r.Warnings = nil })
		}, "warning router web 192.0.2.3 sends another password\nwarning router web no longer: 192.0.2.3 sends another password"},
		{"another machine claims the VIP", func(c *chronicle) {
			c.election(func(r *message.Report) {
				r.Interfaces = []message.Interface{{Name: "eth0", Rivals: []garp.Rival{{
					Address: netip.MustParseAddr("192.0.2.100"), Hardware: "02:00:00:00:00:01", How: "ARP reply",
				}}}}
			})
		}, "warning interface eth0 another machine, 02:00:00:00:00:01, claims 192.0.2.100: ARP reply"},
		{"somebody removes the VIP", func(c *chronicle) {
			c.election(func(r *message.Report) {
				r.Interfaces = []message.Interface{{Name: "eth0", Repairs: 1, Repaired: "192.0.2.100/24"}}
			})
			c.election(func(*message.Report) {})
		}, "repair router web has 192.0.2.100/24 again: somebody removed or changed it"},
		{"somebody removes routes", func(c *chronicle) {
			c.election(func(r *message.Report) {
				r.Interfaces = []message.Interface{{Name: "eth0", Repairs: 2, Repaired: "route 10.0.0.0/8"}}
			})
		}, "repair interface eth0 has 2 addresses, routes or rules again, route 10.0.0.0/8 the last of them: somebody removed or changed it"},
		{"somebody flushes the IPVS table", func(c *chronicle) {
			c.note(TableDone{Generation: c.s.generation, Repairs: 3, Repaired: []string{"add service tcp 192.0.2.100:80"}})
		}, "repair director lb1 repaired the IPVS table: somebody changed it: add service tcp 192.0.2.100:80\n" +
			"repair director lb1 repaired the IPVS table in 2 more places: somebody changed it"},
		{"the kernel refuses the table, and then takes it", func(c *chronicle) {
			c.note(TableDone{Problem: "no such scheduler"})
			c.note(TableDone{Problem: "no such scheduler, tried again"})
			c.note(TableDone{Generation: c.s.generation})
		}, "warning director lb1 cannot bring the IPVS table in line: no such scheduler\n" +
			"warning director lb1 no longer: cannot bring the IPVS table in line"},
		{"a server fails and comes back", func(c *chronicle) {
			c.note(is(first, down))
			c.note(is(first, down))
			c.note(is(first, up))
		}, "verdict server " + first + " is down: as it is\nverdict server " + first + " is up: as it is"},
		{"all servers fail", func(c *chronicle) {
			c.note(is(first, down), is(second, down))
		}, "verdict service www lost its quorum: 0 of 2 servers are up, 1 needed\n" +
			"verdict server " + first + " is down: as it is\nverdict server " + second + " is down: as it is"},
		{"and stay so", func(c *chronicle) {
			c.note(is(first, down), is(second, down))
			c.now = c.now.Add(time.Hour)
			c.said()
			c.note(Tick{})
			c.report(priority(1))
		}, "warning director lb1 has no healthy server and steps back: every real server that is checked fails its checks\n" +
			"priority router web has priority 1 instead of 150: every real server that is checked fails its checks"},
		{"orders about a server", func(c *chronicle) {
			for _, o := range []ServerOrder{
				{Action: api.Drain}, {Action: api.Undrain}, {Action: api.SetWeight, Weight: 7}, {Action: api.Reset}, {Action: api.Disable}, {Action: api.Enable},
			} {
				o.Request, o.Server = 1, first
				c.note(o)
			}
			c.note(ServerOrder{Request: 1, Server: "www/192.0.2.99", Action: api.Drain})
		}, "order server " + first + " was drained: an operator ordered it\n" +
			"order server " + first + " is no longer drained: an operator ordered it\n" +
			"order server " + first + " got weight 7: an operator ordered it\n" +
			"order server " + first + " has its configured weight again: an operator ordered it\n" +
			"order server " + first + " was disabled: an operator ordered it\n" +
			"order server " + first + " is enabled again: an operator ordered it"},
		{"orders of known users", func(c *chronicle) {
			for _, ev := range []Event{
				ServerOrder{Request: 1, By: "root (bob)", Server: first, Action: api.Drain},
				Reload{Request: 2, By: "alice", Config: chronicleConfig()}, ReloadRefused{By: "alice", Problem: "line 1"},
				Failover{Request: 3, By: "alice"},
			} {
				before := len(c.events)
				c.note(ev)
				if by := c.events[before].By; by != "alice" && by != "root (bob)" {
					c.t.Errorf("%T is recorded as an order of %q", ev, by)
				}
			}
			var lines []string
			c.s.out.Lines = nil
			c.s.logOrder("ordered", "alice", "server", first)
			for _, l := range c.s.out.Lines {
				lines = append(lines, fmt.Sprint(l.Message, l.Pairs))
			}
			if got := strings.Join(lines, "\n"); got != "ordered[server "+first+" user alice]" {
				c.t.Errorf("logged %s", got)
			}
		}, "order server " + first + " was drained: root (bob) ordered it\n" +
			"reload director lb1 loaded the configuration of /etc/tandem/tandem.toml: alice ordered it\n" +
			"reload director lb1 refused the configuration of /etc/tandem/tandem.toml: line 1\n" +
			"order router web must hand over: alice ordered it"},
		{"reloads", func(c *chronicle) {
			c.note(Reload{Request: 1, Config: chronicleConfig()})
			c.note(ReloadRefused{Problem: "tandem.toml:3: vrid is 0"})
			moved := chronicleConfig()
			moved.State.Dir = "/elsewhere"
			c.note(Reload{Request: 2, Config: moved})
		}, "reload director lb1 loaded the configuration of /etc/tandem/tandem.toml\n" +
			"reload director lb1 refused the configuration of /etc/tandem/tandem.toml: tandem.toml:3: vrid is 0\n" +
			`reload director lb1 refused the configuration of /etc/tandem/tandem.toml: /etc/tandem/tandem.toml: state.dir cannot change from "" to "/elsewhere" ` +
			"while running: restart tandem for that"},
		{"a reload removes the virtual router", func(c *chronicle) {
			without := chronicleConfig()
			without.Routers, without.Tracks = nil, nil
			c.note(Reload{Request: 1, Config: without})
			c.elect(vrrp.Initialize, "192.0.2.3 took over")
			c.election(func(r *message.Report) { r.Routers = nil })
		}, "reload director lb1 loaded the configuration of /etc/tandem/tandem.toml\n" +
			"transition router web stopped: it was removed from the configuration; 192.0.2.3 took over"},
		{"a silent master still answers for its address", func(c *chronicle) {
			asked := message.Asked{Interface: "eth0", Name: "web", At: c.now, Master: netip.MustParseAddr("192.0.2.3"), Count: 1}
			asked.Answers = []message.Answer{{Address: netip.MustParseAddr("192.0.2.100"), Hardware: "02:00:00:00:00:03", Peer: true}}
			c.election(func(r *message.Report) { r.Asked = []message.Asked{asked} })
			c.election(func(*message.Report) {})
			asked.Count, asked.Answers = 2, nil
			c.election(func(r *message.Report) { r.Asked = []message.Asked{asked} })
			asked.Count, asked.At = 3, c.now.Add(-time.Hour) // of an earlier director
			asked.Answers = []message.Answer{{Address: netip.MustParseAddr("192.0.2.100"), Hardware: "02:00:00:00:00:09"}}
			c.election(func(r *message.Report) { r.Asked = []message.Asked{asked} })
		}, "warning router web asked who has the addresses of the silent master 192.0.2.3: 192.0.2.100 is still at 02:00:00:00:00:03, the silent master itself"},
		{"a hook fails and then works", func(c *chronicle) {
			hooked := chronicleConfig()
			hooked.Hooks = []configs.Hook{{Name: "mail", Routers: []string{"web"}, On: []configs.HookEvent{configs.HookMaster}, Retries: 1}}
			c.note(Reload{Request: 1, Config: hooked})
			c.said()
			c.note(HookEnded{ID: 1, Result: hooks.Result{Problem: "exit code 7"}})
			c.note(HookEnded{ID: 2})
		}, "hook router web failed to tell hook mail the event master, attempt 1: exit code 7\nhook router web told hook mail the event master"},
		{"the state directory is full", func(c *chronicle) {
			c.note(Stored{File: OverridesFile, Problem: "no space left on device"})
			c.note(Stored{File: OverridesFile, Problem: "no space left on device"})
			c.note(Stored{File: OverridesFile, Generation: c.s.files[OverridesFile].wanted})
		}, "warning director lb1 failed to write orders.json of the state directory: no space left on device\n" +
			"warning director lb1 wrote orders.json of the state directory again"},
		{"the connection sync fails", func(c *chronicle) {
			c.note(SyncState{Problem: "no such interface"})
		}, "warning director lb1 cannot set the connection sync: no such interface"},
		{"no virtual router can run", func(c *chronicle) {
			c.election(func(r *message.Report) { r.Problem = "another election runs" })
		}, "warning director lb1 runs no virtual router: another election runs"},
		{"it was backup between two reports", func(c *chronicle) {
			c.report(func(r *vrrp.Status) { r.Counters.BecameMaster++ })
		}, "transition router web became master: no advertisement for 3.414s"},
		{"its election is killed, and another resumes", func(c *chronicle) {
			c.elect(vrrp.Master, "resumed")
		}, "transition router web is still master: resumed"},
		{"one fault replaces another", func(c *chronicle) {
			c.elect(vrrp.Fault, "interface eth0 has no carrier")
			c.said()
			c.elect(vrrp.Fault, "interface eth0 is missing")
		}, "transition router web is still fault: interface eth0 is missing"},
		{"the director before it was killed", func(c *chronicle) {
			c.note(HistoryLoaded{}, HistoryLoaded{Killed: noon})
		}, "director director lb1 follows a director that did not stop: it was killed, or the machine was; its latest event is of 2026-11-20T12:00:00Z"},
		{"nothing new", func(c *chronicle) { c.report(func(*vrrp.Status) {}) }, ""},
	} {
		t.Run(row.provoked, func(t *testing.T) {
			c := newChronicle(t)
			if got, want := c.said(), "director director lb1 started\n"+
				"transition router web became backup: startup\n"+
				"transition router web became master: no advertisement for 3.414s"; got != want {
				t.Errorf("start: got\n%s\nwant\n%s", got, want)
			}
			row.provoke(c)
			if got := c.said(); got != row.told {
				t.Errorf("got\n%s\nwant\n%s", got, row.told)
			}
		})
	}
}
