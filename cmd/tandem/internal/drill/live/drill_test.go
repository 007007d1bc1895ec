// SPDX-License-Identifier: Apache-2.0

package live

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/drill"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/lock"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/peer/message"
)

// A fakePair is this director, which is master of web unless it has handed over, and its peer, as this director answers about both.
type fakePair struct {
	control.Director
	mu          sync.Mutex
	away        bool
	here, there []control.Event
	refuses     error // what a failover answers
	keeps       bool  // the peer does not give web back
	broken      func(here, there *control.Status)
	news        []control.DrillNews
	deaf        bool // it does not hear of the undoing
	pool        pool
}

func (p *fakePair) TellDrill(n control.DrillNews) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.deaf && n.Step == api.DrillUndone {
		p.deaf = false
		return errors.New("not now")
	}
	p.news = append(p.news, n)
	return nil
}

const ahead = time.Hour // of the peer's clock

func (p *fakePair) move(away bool) {
	now := time.Now()
	record := func(all *[]control.Event, at time.Time, old, state string) {
		*all = append(*all, control.Event{Time: at, Kind: "transition", On: "router", Name: "web", What: "became " + state, Cause: "so", Old: old, New: state})
	}
	if p.away = away; away {
		record(&p.there, now.Add(ahead), "backup", "master")
		record(&p.here, now.Add(time.Millisecond), "master", "backup")
		return
	}
	record(&p.here, now, "backup", "master")
	record(&p.there, now.Add(ahead+time.Millisecond), "master", "backup")
}

func (p *fakePair) Failover(_ string, routers []string) (control.RoutersDone, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.refuses != nil {
		return control.RoutersDone{}, p.refuses
	}
	p.move(true)
	return control.RoutersDone{Routers: routers}, nil
}

func (p *fakePair) Release(_ string, routers []string) (control.RoutersDone, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.away && !p.keeps {
		p.move(false)
	}
	return control.RoutersDone{Routers: routers}, nil
}

func (p *fakePair) statuses() (here, there control.Status) {
	router := func(state string, priority uint8) []control.Router {
		return []control.Router{{
			Name: "web", Interface: "none0", State: state, Priority: priority, EffectivePriority: priority, Family: 4, Preempt: true,
			AdvertInterval: "100ms", DownAdverts: 3, VIPs: []netip.Prefix{netip.MustParsePrefix("192.0.2.100/24")},
		}}
	}
	here = control.Status{Name: "lb1", VRRP: router("master", 150), Peer: &control.Peer{
		Name: "lb2", To: control.PeerHalf{Up: true}, From: control.PeerHalf{Up: true}, Clock: &control.Clock{AheadSeconds: ahead.Seconds()},
	}}
	there = control.Status{Name: "lb2", VRRP: router("backup", 100)}
	here.Services, there.Services = p.pool.services(), p.pool.services()
	if p.away {
		here.VRRP[0].State, there.VRRP[0].State = "backup", "master"
	}
	if p.broken != nil {
		p.broken(&here, &there)
	}
	return here, there
}

func (p *fakePair) Status() control.Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	here, _ := p.statuses()
	return here
}

func (p *fakePair) History(q control.HistoryQuery) ([]control.Event, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(p.here), func(ev control.Event) bool { return !q.Matches(ev) }), nil
}

func (p *fakePair) AskPeer(_ context.Context, _ string, to message.Ability, question any) ([]byte, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if to == message.AskStatus {
		_, there := p.statuses()
		return json.Marshal(there)
	}
	q, ok := question.(control.HistoryQuery)
	if !ok {
		return nil, fmt.Errorf("asked %v", question)
	}
	return json.Marshal(slices.DeleteFunc(slices.Clone(p.there), func(ev control.Event) bool { return !q.Matches(ev) }))
}

// serveAt serves a pair at a socket.
func serveAt(t *testing.T, socket string, p *fakePair) {
	t.Helper()
	l, err := control.Listen(socket)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- control.Serve(ctx, l, p) }()
	t.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
}

// newDrill returns a failover drill of a pair, and what it told.
func newDrill(t *testing.T, p *fakePair) (d *Drill, told *[]string) {
	t.Helper()
	t.Setenv(roleVariable, "switch")
	dir := t.TempDir()
	socket := filepath.Join(dir, "control.sock")
	serveAt(t, socket, p)
	told = new([]string)
	return &Drill{
		Order:  drill.Order{Kind: drill.Failover, Max: time.Minute, Budget: 100 * time.Millisecond, Hold: time.Millisecond},
		Socket: socket, StateDir: t.TempDir(), Settle: 20 * time.Second,
		Tell: func(format string, args ...any) { *told = append(*told, fmt.Sprintf(format, args...)) },
	}, told
}

// TestThereAndBack: a drill hands over, has it undone by the switch, finds all as before, and keeps a report.
func TestThereAndBack(t *testing.T) {
	p := new(fakePair)
	d, told := newDrill(t, p)
	r, err := d.Run(t.Context())
	if err != nil || !r.Passed || r.Outage == nil || *r.Outage != 0 || len(r.Routers) != 1 || r.Routers[0].Back == nil || r.Compared < 5 || p.away {
		t.Fatalf("%v, %s\n%q", err, r.Text(), *told)
	}
	if got := strings.Join(r.Did, "; "); got != "hand over web; end the standby of web" {
		t.Errorf("did %s", got)
	}
	wantNews(t, p, "began : hand over web; wait 1ms\nundone : end the standby of web\nended passed: ")
	p.deaf = true
	if r, err = d.Run(t.Context()); err != nil || !r.Passed {
		t.Fatalf("again: %v, %s", err, r.Text())
	}
	wantNews(t, p, "began : hand over web; wait 1ms\nundone : end the standby of web\nended passed: ")
	all, err := Reports(d.StateDir)
	if err != nil || len(all) != 2 || !all[1].Passed || all[1].Ended.IsZero() {
		t.Errorf("%v, %+v", err, all)
	}
}

// wantNews checks what the director was told since the last call, and that the times are in order.
func wantNews(t *testing.T, p *fakePair, want string) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []string
	var last time.Time
	for _, n := range p.news {
		if n.At.Before(last) || n.Drill.Kind != "failover" || !n.Until.Before(n.Forgotten) || !n.At.Before(n.Until) {
			t.Errorf("%+v", n)
		}
		last = n.At
		all = append(all, fmt.Sprintf("%s %s: %s", n.Step, n.Drill.Result, strings.Join(n.Done, "; ")))
	}
	if got := strings.Join(all, "\n"); got != want {
		t.Errorf("told\n%s\nwant\n%s", got, want)
	}
	p.news = nil
}

// TestNothingIsDone: with --dry-run, and when the drill is refused.
func TestNothingIsDone(t *testing.T) {
	p := new(fakePair)
	d, told := newDrill(t, p)
	d.DryRun = true
	r, err := d.Run(t.Context())
	if text := strings.Join(*told, "\n"); err != nil || len(r.Refused) > 0 || len(p.there) > 0 || len(r.Would) != 3 ||
		!strings.Contains(text, "pre-checks: lb2 can take over from lb1\nwould hand over web\nwould wait 1ms\nwould undo: end the standby of web") {
		t.Errorf("%v, %+v, %s", err, r, text)
	}
	*told = nil
	p.broken = func(here, _ *control.Status) { here.VRRP[0].State = "backup" }
	r, err = d.Run(t.Context())
	if err != nil || len(r.Refused) == 0 || !strings.HasPrefix((*told)[0], "refused: this director is master of no virtual router") ||
		strings.Contains(strings.Join(*told, "\n"), "would hand over") {
		t.Errorf("on the backup: %v, %+v, %q", err, r, *told)
	}
	d.DryRun, *told = false, nil
	p.broken = func(_, there *control.Status) { there.VRRP[0].State = "fault" }
	r, err = d.Run(t.Context())
	if err != nil || len(r.Refused) != 1 || len(p.there) > 0 || len(*told) != 1 || !strings.HasPrefix((*told)[0], "refused: lb2 would not take virtual router web over") {
		t.Errorf("%v, %+v, %q", err, r, *told)
	}
	p.broken = nil
	if err := lock.MakeDir(lock.Dir(d.Socket)); err != nil {
		t.Fatal(err)
	}
	held, err := lock.Open(filepath.Join(lock.Dir(d.Socket), "drill"))
	if err == nil {
		err = lock.Take(held)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	if r, err = d.Run(t.Context()); err != nil || len(r.Refused) != 1 || !strings.Contains(r.Refused[0], "another drill is under way") || len(p.there) > 0 {
		t.Errorf("%v, %+v", err, r)
	}
	if all, err := Reports(d.StateDir); err != nil || len(all) > 0 {
		t.Errorf("%v, %+v", err, all)
	}
	wantNews(t, p, "")
}

// TestTheDrillFails: the failures say why, and the fault is undone in any case.
func TestTheDrillFails(t *testing.T) {
	for _, c := range []struct {
		what  string
		setUp func(*fakePair, *Drill)
		want  string
	}{
		{"the hand-over is refused", func(p *fakePair, _ *Drill) { p.refuses = errors.New("web: the peer did not take over") }, "failed: hand over web: web: the peer did not take over\n"},
		{"the peer keeps it", func(p *fakePair, d *Drill) { p.keeps, d.Settle = true, time.Millisecond },
			"failed: not as before: virtual router web (IPv4) of lb1 was master, priority 150, and is backup, priority 150\n"},
	} {
		p := new(fakePair)
		d, _ := newDrill(t, p)
		c.setUp(p, d)
		if r, err := d.Run(t.Context()); err != nil || r.Passed || !strings.Contains(r.Text(), c.want) || p.away != p.keeps {
			t.Errorf("%s: %v, %s", c.what, err, r.Text())
		}
	}
}

// TestInterrupted: the fault is undone at once, and the report is made.
func TestInterrupted(t *testing.T) {
	p := new(fakePair)
	d, _ := newDrill(t, p)
	d.Order.Hold = 50 * time.Second
	ctx, stop := context.WithCancel(t.Context())
	d.Tell = func(format string, args ...any) {
		if strings.HasPrefix(fmt.Sprintf(format, args...), "wait 50s") {
			stop()
		}
	}
	r, err := d.Run(ctx)
	if err != nil || r.Passed || p.away || !strings.Contains(r.Text(), "failed: wait 50s: context canceled\n") || len(r.Changed) > 0 {
		t.Errorf("%v, %s", err, r.Text())
	}
}

// TestNothingIsMadeAfterTheEnd: a drill that is interrupted makes no more of its fault, also what does not wait for anything.
func TestNothingIsMadeAfterTheEnd(t *testing.T) {
	d := &Drill{Tell: func(string, ...any) {}}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	var r drill.Report
	plan := drill.Plan{Fault: []drill.Action{{Do: drill.RefuseWrites, Path: filepath.Join(t.TempDir(), "none")}}}
	fault := d.make(ctx, &r, plan, &Switch{result: make(chan Undone, 1), failed: make(chan struct{})})
	if len(r.Did) > 0 || len(r.Failures) != 1 || !strings.HasSuffix(r.Failures[0], "immutable: context canceled") {
		t.Errorf("did %q; %q", r.Did, r.Failures)
	}
	if time.Since(fault) > time.Hour {
		t.Errorf("the fault is of %s", fault)
	}
}

// TestRelativePaths: the dead-man's switch runs in another folder than the drill.
func TestRelativePaths(t *testing.T) {
	p := new(fakePair)
	d, _ := newDrill(t, p)
	t.Chdir(filepath.Dir(d.Socket))
	d.Socket, d.StateDir = "control.sock", "state"
	if err := os.Mkdir(d.StateDir, 0o700); err != nil {
		t.Fatal(err)
	}
	r, err := d.Run(t.Context())
	if err != nil || !r.Passed || p.away {
		t.Errorf("%v, %s", err, r.Text())
	}
}

func TestUnits(t *testing.T) {
	for _, c := range []struct {
		text, name string
		watchdog   time.Duration
	}{
		{"Restart=always\nWatchdogUSec=30s\n", "x.service", 30 * time.Second},
		{"Restart=on-failure\nWatchdogUSec=1min 30s\n", "x.service", 90 * time.Second},
		{"Restart=no\nWatchdogUSec=0\n", "", 0},
		{"Restart=always\nWatchdogUSec=infinity\n", "x.service", 0},
	} {
		if name, watchdog := parseUnit("x.service", c.text); name != c.name || watchdog != c.watchdog {
			t.Errorf("%q: %s, %s", c.text, name, watchdog)
		}
	}
}
