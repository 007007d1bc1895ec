// SPDX-License-Identifier: Apache-2.0

package hooks

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/configs"
)

var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// A played is a queue whose runs are ended by the script of a test.
type played struct {
	t       *testing.T
	q       *Queue
	hooks   []configs.Hook
	now     time.Time
	running map[string]uint64 // by hook
}

// hooked reads hooks as "a:master,backup b:fault". They retry once, after a second.
func hooked(text string) (all []configs.Hook) {
	for word := range strings.FieldsSeq(text) {
		name, events, _ := strings.Cut(word, ":")
		h := configs.Hook{Name: name, Command: []string{"/bin/" + name}, Style: configs.HookPlain, Retries: 1, RetryPause: time.Second}
		for e := range strings.SplitSeq(events, ",") {
			h.On = append(h.On, eventOf(e))
		}
		all = append(all, h)
	}
	return all
}

func play(t *testing.T, records Records, hooks string) *played {
	p := &played{t: t, q: New(records), now: noon, running: make(map[string]uint64)}
	p.configure(hooks)
	return p
}

func everything(Subject) bool { return true }

func (p *played) configure(hooks string) {
	p.hooks = hooked(hooks)
	p.q.Configure(p.now, p.hooks, everything)
}

// do plays one word: an event (again with "!"), "a+" and "a-" (the run of hook a ends well, or fails), a time that passes,
// "reload=HOOKS" and "forget". It returns what is started.
func (p *played) do(word string) string {
	web := Subject{Router, "web"}
	hook, event, reload := strings.TrimRight(word, "+-!"), eventOf(strings.TrimRight(word, "!")), strings.HasPrefix(word, "reload=")
	switch pause, err := time.ParseDuration(word); {
	case err == nil:
		p.now = p.now.Add(pause)
	case reload:
		p.configure(strings.ReplaceAll(strings.TrimPrefix(word, "reload="), "/", " "))
	case word == "forget":
		p.q.Forget(web)
	case strings.HasPrefix(event.String(), "server_"):
		p.q.Become(p.now, Event{Subject: Subject{Server, "www/192.0.2.11:80"}, What: event, At: p.now}, false)
	case event != 0 && isState(event):
		p.q.Become(p.now, Event{Subject: web, What: event, At: p.now}, strings.HasSuffix(word, "!"))
	case event != 0:
		p.q.Happen(p.now, Event{Subject: web, What: event, At: p.now})
	default:
		id, ok := p.running[hook]
		if !ok {
			p.t.Fatalf("%s: %s does not run", word, hook)
		}
		delete(p.running, hook)
		problem := ""
		if strings.HasSuffix(word, "-") {
			problem = "exit code 1"
		}
		p.q.Ended(p.now, id, Result{Problem: problem})
	}
	var started []string
	for _, r := range p.q.Start(p.now) {
		if _, ok := p.running[r.Hook.Name]; ok {
			p.t.Errorf("%s: %s runs twice", word, r.Hook.Name)
		}
		p.running[r.Hook.Name] = r.ID
		text := r.Hook.Name + "(" + r.Event.What.String()
		if r.Attempt > 1 {
			text += fmt.Sprintf(" #%d", r.Attempt)
		}
		started = append(started, text+")")
	}
	return strings.Join(started, " ")
}

// script plays words, and writes each with what it starts: "master>a(master)".
func (p *played) script(words string) string {
	var out []string
	for word := range strings.FieldsSeq(words) {
		word, _, _ = strings.Cut(word, ">")
		if started := p.do(word); started != "" {
			word += ">" + strings.ReplaceAll(started, " ", "_")
		}
		out = append(out, word)
	}
	return strings.Join(out, " ")
}

func TestQueue(t *testing.T) {
	for _, tt := range []struct{ name, hooks, script string }{
		{"one at a time, in the order of the file", "a:master b:master",
			"master>a(master) a+>b(master) b+"},
		{"in the order of the events", "a:master b:backup",
			"master>a(master) backup a+>b(backup) b+"},
		{"the latest state wins over what has not started", "a:master,backup,fault",
			"master>a(master) backup fault backup a+>a(backup) a+"},
		{"back in the state that was started: told once more, and nothing in between", "a:master b:backup",
			"master>a(master) backup master a+>a(master) a+"},
		{"a hook that hears of only the older of two states is told that one", "a:master,backup b:fault",
			"master>a(master) backup fault a+>a(backup) a+>b(fault) b+"},
		{"the same state is told once", "a:master", "master>a(master) master a+ master"},
		{"the same state, but another one in between", "a:master", "master>a(master) a+ master!>a(master)"},
		{"a failure is tried again after a pause", "a:master",
			"master>a(master) a- 999ms 1ms>a(master_#2) a+ 1h"},
		{"not for ever", "a:master", "master>a(master) a- 1s>a(master_#2) a- 1h"},
		{"other hooks of the event run in the pause", "a:master b:master",
			"master>a(master) a->b(master) b+ 1s>a(master_#2) a+"},
		{"a newer state that it hears of ends the retries", "a:master,backup",
			"master>a(master) a- backup>a(backup) a+ 1h"},
		{"a newer state that it does not hear of leaves it one attempt, in order", "a:master b:backup",
			"master>a(master) a- backup>a(master_#2) a->b(backup) b+ 1h"},
		{"the same, if the state changes while it runs", "a:master b:backup",
			"master>a(master) backup a->a(master_#2) a->b(backup) b+"},
		{"a failure is not tried again when a newer state waits", "a:master,backup",
			"master>a(master) backup fault a->a(backup) a+"},
		{"a contest follows the state", "a:master c:contested",
			"master>a(master) contested a+>c(contested) c+ contested>c(contested) c+"},
		{"contests do not pile up", "c:contested,contest_over",
			"contested>c(contested) contested contested contest_over c+>c(contest_over) c+"},
		{"a contest that is lost is not told", "a:master,backup c:contested",
			"master>a(master) contested backup a+>a(backup) a+"},
		{"a contest that failed is not told again as backup", "a:backup c:contested",
			"contested>c(contested) backup c->a(backup) a+"},
		{"stop comes last", "a:master,backup,stop", "master>a(master) backup stop a+>a(stop) a+"},
		{"a server that was never down is not told to be up", "a:server_up,server_down",
			"server_up server_down>a(server_down) a+ server_up>a(server_up) a+ server_up"},
		{"a server that goes down and up while the hook runs", "a:server_up,server_down",
			"server_down>a(server_down) server_up server_down server_up a+>a(server_up) a+"},
		{"a new hook is told the present state", "a:master",
			"master>a(master) a+ reload=a:master/b:master>b(master) b+ reload=a:master/b:master"},
		{"a hook that failed is told again after a reload", "a:master",
			"master>a(master) a- 1s>a(master_#2) a- reload=a:master>a(master) a+ reload=a:master"},
		{"a hook that is told now is not told again after a reload", "a:master", "master>a(master) reload=a:master a+"},
		{"what waits for a removed hook is dropped, its run goes on", "a:master b:master",
			"master>a(master) reload=c:fault a- 1h fault>c(fault) c+"},
		{"a hook that changes keeps its place", "a:master b:master", "master>a(master) reload=b:master,stop a+>b(master) b+"},
		{"a router that is removed is told stop, with its own hooks", "a:master,stop",
			"master>a(master) stop forget a+>a(stop) a+"},
		{"a router that comes back is a new one", "a:backup,stop",
			"backup>a(backup) a+ stop>a(stop) forget a+ backup>a(backup) a+"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := play(t, nil, tt.hooks)
			if got := p.script(tt.script); got != tt.script {
				t.Errorf("got  %s\nwant %s", got, tt.script)
			}
			if len(p.running) > 0 {
				return
			}
			for _, is := range p.q.Stats() {
				if is.Running != 0 || is.Waiting != 0 {
					t.Errorf("%+v", is)
				}
			}
			if !p.q.Idle() || !p.q.Next().IsZero() {
				t.Error("not idle at the end")
			}
		})
	}
}

// After a restart the present state is told if the last one that was told was another, or was not told to its end.
func TestRestarts(t *testing.T) {
	for _, tt := range []struct{ name, hooks, before, after string }{
		{"the same state", "a:master,backup", "master a+", "master backup>a(backup)"},
		{"another state", "a:master,backup", "backup a+", "master>a(master)"},
		{"it was another in between", "a:master", "master a+", "backup master>a(master)"},
		{"the hook was killed with the director", "a:master", "master", "master>a(master)"},
		{"an older run was told the same", "a:master,backup", "master a+ backup a+ master!", "master>a(master)"},
		{"it has failed", "a:master", "master a- 1s a-", "master>a(master)"},
		{"it was stopped", "a:master,backup,stop", "backup a+ stop a+", "backup>a(backup)"},
		{"it waited", "a:master b:master", "master", "master>a(master) a+>b(master)"},
		{"a server stays down", "a:server_up,server_down", "server_down a+", "server_down server_up>a(server_up)"},
		{"a server came up meanwhile", "a:server_up,server_down", "server_down a+", "server_up>a(server_up)"},
		{"a server was told to be up, and the hook failed", "a:server_up,server_down", "server_down a+ server_up a- 1s a-", "server_up>a(server_up)"},
		{"a server was told to be up", "a:server_up,server_down", "server_down a+ server_up a+", "server_up server_down>a(server_down)"},
		{"a mail about a server that is down only", "a:server_down", "server_down a+ server_up", "server_up server_down>a(server_down)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := play(t, nil, tt.hooks)
			p.script(tt.before)
			records := p.q.Records()
			if err := records.Validate(); err != nil {
				t.Error(err)
			}
			if got := play(t, records, tt.hooks).script(tt.after); got != tt.after {
				t.Errorf("got  %s\nwant %s\nrecords %v", got, tt.after, records)
			}
		})
	}
}

// Many servers that fail at once neither start as many programs nor delay what a router is told.
func TestManySubjects(t *testing.T) {
	q := New(nil)
	hooks := hooked("r:master s:server_down")
	q.Configure(noon, hooks, everything)
	const servers = 10_000
	for i := range servers {
		q.Become(noon, Event{Subject: Subject{Server, fmt.Sprintf("www/%d", i)}, What: configs.HookServerDown}, false)
	}
	runs := q.Start(noon)
	if len(runs) != maxServiceRuns {
		t.Fatalf("%d runs, want %d", len(runs), maxServiceRuns)
	}
	q.Become(noon, Event{Subject: Subject{Router, "web"}, What: configs.HookMaster}, false)
	if now := q.Start(noon); len(now) != 1 || now[0].Hook.Name != "r" {
		t.Fatalf("%v", now)
	}
	told := make(map[string]bool)
	for len(runs) > 0 {
		for _, r := range runs {
			told[r.Event.Name] = true
			q.Ended(noon, r.ID, Result{})
		}
		if runs = q.Start(noon); len(runs) > maxServiceRuns {
			t.Fatalf("%d runs", len(runs))
		}
	}
	if len(told) != servers {
		t.Errorf("%d told, want %d", len(told), servers)
	}
}

// Servers that are gone are forgotten, and so is what is recorded about them.
func TestSubjectsThatAreGone(t *testing.T) {
	p := play(t, Records{"server www/192.0.2.99:80": {State: "server_down"}}, "a:server_up,server_down")
	p.script("server_down a+")
	if got := slices.Sorted(maps.Keys(p.q.Records())); !slices.Equal(got, []string{"server www/192.0.2.11:80", "server www/192.0.2.99:80"}) {
		t.Errorf("%v", got)
	}
	p.q.Configure(noon, p.hooks, func(Subject) bool { return false })
	if got := p.q.Records(); len(got) > 0 || len(p.q.lines) > 0 {
		t.Errorf("%v", got)
	}
}

func TestStats(t *testing.T) {
	p := play(t, nil, "a:master,backup")
	p.script("master backup fault a- a- a-")
	is := p.q.Stats()[0]
	if is.Succeeded != 0 || is.Failed != 3 || is.Superseded != 0 || is.Failing != 1 || is.LastFailure.Attempt != 2 || is.Last.What != configs.HookBackup {
		t.Errorf("%+v %+v", is, is.Last)
	}
	p.script("master a+")
	if is := p.q.Stats()[0]; is.Failing != 0 || is.Succeeded != 1 || is.Last.Problem != "" || is.LastFailure.Problem == "" {
		t.Errorf("%+v", is)
	}
}
