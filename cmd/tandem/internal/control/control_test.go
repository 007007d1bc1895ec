// SPDX-License-Identifier: Apache-2.0

package control

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/peer/message"
)

// diskFull is why the fake director cannot store its commands.
const diskFull = "no space left on device"

type fakeDirector struct {
	reload, failover error
	asked            []string
	by               string // the user of the latest command
	stream           EventStream
}

func (f *fakeDirector) Status() Status { return Status{Name: "lb1", Version: "v1"} }

// peerRefuses is a question that the fake peer refuses, and peerVanishes one whose answer is lost.
const peerRefuses, peerVanishes = "refuse", "vanish"

func (f *fakeDirector) AskPeer(_ context.Context, by string, to message.Ability, question any) ([]byte, error) {
	f.by, f.asked = by, []string{string(to), fmt.Sprintf("%+v", question)}
	if r, ok := question.(ApplyRequest); ok && r.Plan == peerRefuses {
		return nil, errors.Join(errors.New("lb2: one"), errors.New("lb2: two"))
	} else if ok && r.Plan == peerVanishes {
		return nil, fmt.Errorf("lb2 did not answer%w", ErrUnanswered)
	}
	if to == message.AskHistory {
		return []byte(`[{"director": "lb2", "colour": 7}]`), nil
	}
	return []byte(`{"name": "lb2", "id": "0f3c9a51d2e7", "revision": 3, "colour": 7}`), nil
}

func (f *fakeDirector) Reload(by string) (Applied, error) {
	f.by = by
	return Applied{Config: Config{SHA256: "abc", Revision: 7}}, f.reload
}

func (f *fakeDirector) Apply(by string, r ApplyRequest) (Applied, error) {
	f.by = by
	f.asked = []string{r.Plan, fmt.Sprint(r.ConfirmSeconds)}
	return Applied{NotRemembered: diskFull}, f.reload
}

func (f *fakeDirector) Confirm(by string) (Applied, error) { f.by = by; return Applied{}, f.reload }

func (f *fakeDirector) Rollback(by string, r RollbackRequest) (Applied, error) {
	f.by = by
	f.asked = []string{fmt.Sprint(r.Revision), fmt.Sprint(r.ConfirmSeconds)}
	return Applied{Config: Config{Waits: &Wait{Former: 6}}}, f.reload
}

func (f *fakeDirector) ConfigLog() (ConfigLog, error) {
	return ConfigLog{Revisions: []Revision{{Number: 1, How: "start"}}}, nil
}

func (f *fakeDirector) ConfigFiles(r ConfigSelection) (ConfigFiles, error) {
	return ConfigFiles{Revision: Revision{Number: r.Revision}, Files: []ConfigFile{{Name: "t.toml", Text: "name"}}}, nil
}

func (f *fakeDirector) Plan(r PlanRequest) (Plan, error) {
	f.asked = []string{r.File, r.Text}
	return Plan{File: r.File, Lines: []PlanLine{{Object: "virtual router web"}}}, f.reload
}

func (f *fakeDirector) Failover(by string, routers []string) (RoutersDone, error) {
	f.by = by
	f.asked = routers
	return RoutersDone{Routers: []string{"web"}, NotRemembered: diskFull}, f.failover
}

func (f *fakeDirector) Upgrade(by string) error {
	return errors.New("no other version is installed, " + by)
}

func (f *fakeDirector) Release(by string, routers []string) (RoutersDone, error) {
	f.by = by
	f.asked = routers
	return RoutersDone{Routers: routers}, nil
}

func (f *fakeDirector) TellDrill(n DrillNews) error {
	f.by, f.asked = n.Drill.By, []string{string(n.Step), n.Drill.Kind}
	return f.failover
}

func (f *fakeDirector) History(q HistoryQuery) ([]Event, error) {
	f.asked = []string{wordsOf(q)}
	return []Event{{Time: q.Since, What: "became master"}}, f.failover
}

// wordsOf is a query in words.
func wordsOf(q HistoryQuery) string {
	return q.Since.UTC().Format(time.RFC3339Nano) + " " + q.Router + " " + q.Service
}

func (f *fakeDirector) Events(HistoryQuery) (EventStream, error) { return f.stream, f.failover }

func (f *fakeDirector) CommandServer(by string, c ServerCommand) (ServerState, error) {
	f.by = by
	f.asked = []string{c.Server, string(c.Action), fmt.Sprint(c.Weight)}
	return ServerState{Name: "www/192.0.2.11:80", Connections: 3, NotRemembered: diskFull}, f.failover
}

func (f *fakeDirector) Server(name string) (ServerState, error) {
	f.asked = []string{name}
	return ServerState{Name: name}, f.failover
}

// serve runs a control server until the test ends, and fails the test if it leaves its socket behind.
func serve(t *testing.T, d Director) *Client {
	c, _ := serveSocket(t, d)
	return c
}

func serveSocket(t *testing.T, d Director) (*Client, *Socket) {
	path := filepath.Join(t.TempDir(), "run", "control.sock")
	l, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, l, d) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the socket is left behind: %v", err)
		}
	})
	return NewClient(path), l
}

func TestStatusTravels(t *testing.T) {
	s, err := serve(t, &fakeDirector{}).Status(t.Context())
	if err != nil || s.Name != "lb1" || s.Version != "v1" {
		t.Errorf("got %+v, %v", s, err)
	}
}

func TestReloadReturnsEveryMistake(t *testing.T) {
	d := &fakeDirector{}
	c := serve(t, d)
	if done, err := c.Reload(t.Context()); err != nil || done.SHA256 != "abc" || done.Revision != 7 {
		t.Errorf("a good reload returned %v", err)
	}
	d.reload = errors.Join(errors.New("a.toml:1: one"), errors.New("a.toml:2: two"))
	if _, err := c.Reload(t.Context()); err == nil || err.Error() != "a.toml:1: one\na.toml:2: two" {
		t.Errorf("a bad reload returned %v", err)
	}
}

// TestPlanTravels: a configuration that is larger than other requests reaches the director, and each mistake in it comes back.
func TestPlanTravels(t *testing.T) {
	d := &fakeDirector{}
	c := serve(t, d)
	text := strings.Repeat("\n", maxRequest+1)
	p, err := c.Plan(t.Context(), PlanRequest{File: "a.toml", Text: text})
	if err != nil || p.File != "a.toml" || len(p.Lines) != 1 || len(d.asked) != 2 || d.asked[1] != text {
		t.Errorf("got %+v, %v", p, err)
	}
	d.reload = errors.Join(errors.New("a.toml:1: one"), errors.New("a.toml:2: two"))
	if _, err := c.Plan(t.Context(), PlanRequest{}); err == nil || err.Error() != "a.toml:1: one\na.toml:2: two" {
		t.Errorf("a configuration with mistakes: %v", err)
	}
}

// TestQuestionsToThePeer: what is asked arrives, members that only another version knows are left out, and a lost answer is no refusal.
func TestQuestionsToThePeer(t *testing.T) {
	d := &fakeDirector{}
	c := serve(t, d)
	since := time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC)
	for name, ask := range map[string]func() (any, error){
		"status {}": func() (any, error) { s, err := c.PeerStatus(t.Context()); return s.Name, err },
		"history {Since:2026-11-22 03:00:00 +0000 UTC Router:web Service:}": func() (any, error) {
			all, err := c.PeerHistory(t.Context(), HistoryQuery{Since: since, Router: "web"})
			return all[0].Director, err
		},
		"plan {File:t.toml Text:x Matches:map[] Included:map[] Name: Own:true Revision:0 Former: NoProbe:false}": func() (any, error) {
			p, err := c.PeerPlan(t.Context(), PlanRequest{File: "t.toml", Text: "x", Own: true})
			return p.ID, err
		},
		"apply {Plan:p ConfirmSeconds:5}": func() (any, error) {
			a, err := c.PeerApply(t.Context(), ApplyRequest{Plan: "p", ConfirmSeconds: 5})
			return a.Revision, err
		},
		"confirm {Revision:3}": func() (any, error) {
			a, err := c.PeerConfirm(t.Context(), WaitingRevision{Revision: 3})
			return a.Revision, err
		},
		"rollback {Revision:3}": func() (any, error) {
			a, err := c.PeerRollback(t.Context(), WaitingRevision{Revision: 3})
			return a.Revision, err
		},
	} {
		is, err := ask()
		if said := fmt.Sprint(is); err != nil || !slices.Contains([]string{"lb2", "3", "0f3c9a51d2e7"}, said) || strings.Join(d.asked, " ") != name {
			t.Errorf("%s: %v, %v, asked %q", name, is, err, d.asked)
		}
	}
	if _, err := c.PeerApply(t.Context(), ApplyRequest{Plan: peerRefuses}); err == nil || err.Error() != "lb2: one\nlb2: two" || errors.Is(err, ErrUnanswered) {
		t.Errorf("a refusal: %v", err)
	}
	if _, err := c.PeerApply(t.Context(), ApplyRequest{Plan: peerVanishes}); !errors.Is(err, ErrUnanswered) {
		t.Errorf("a lost answer: %v", err)
	}
}

func TestListenReplacesOnlyADeadSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "control.sock")
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	_ = dead.Close()
	l, err := Listen(path)
	if err != nil {
		t.Fatalf("over a dead socket: %v", err)
	}
	if _, err := Listen(path); err == nil || !strings.Contains(err.Error(), "another director") {
		t.Errorf("over a live socket: %v", err)
	}
	_ = l.Close()

	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(path); err == nil || !strings.Contains(err.Error(), "not a socket") {
		t.Errorf("over a file: %v", err)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "precious" {
		t.Errorf("the file is now %q, %v", text, err)
	}
}

func TestClientSaysWhatToDo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "nobody.sock")
	_, err := NewClient(path).Status(t.Context())
	if err == nil || !strings.Contains(err.Error(), "systemctl start tandem") || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v", err)
	}
}

func TestCommandsOnRouters(t *testing.T) {
	d := &fakeDirector{}
	c := serve(t, d)
	done, err := c.Failover(t.Context(), nil)
	if err != nil || !slices.Equal(done.Routers, []string{"web"}) || done.NotRemembered != diskFull || len(d.asked) != 0 {
		t.Errorf("failover of all: %+v, %v, asked for %v", done, err, d.asked)
	}
	done, err = c.Release(t.Context(), []string{"web", "mail"})
	if err != nil || len(done.Routers) != 2 || done.NotRemembered != "" || len(d.asked) != 2 {
		t.Errorf("release of two: %+v, %v, asked for %v", done, err, d.asked)
	}
	// One was handed over, the other was not.
	d.failover = errors.New("nobody took over db")
	done, err = c.Failover(t.Context(), []string{"web", "db"})
	if err == nil || err.Error() != "nobody took over db" || len(done.Routers) != 1 || done.NotRemembered != diskFull {
		t.Errorf("failover of half: %+v, %v", done, err)
	}
}

func TestCommandsOnServers(t *testing.T) {
	d := &fakeDirector{}
	c := serve(t, d)
	state, err := c.CommandServer(t.Context(), ServerCommand{Server: "www/192.0.2.11", Action: SetWeight, Weight: 5})
	if err != nil || state.Connections != 3 || state.NotRemembered != diskFull || !slices.Equal(d.asked, []string{"www/192.0.2.11", "weight", "5"}) {
		t.Errorf("weight: %+v, %v, asked for %v", state, err, d.asked)
	}
	// A name with characters that an address on the web must not have.
	if state, err = c.Server(t.Context(), "a&b=c/[2001:db8::1]:80"); err != nil || state.Name != "a&b=c/[2001:db8::1]:80" {
		t.Errorf("state: %+v, %v", state, err)
	}
	d.failover = errors.New("there is no service")
	if _, err := c.CommandServer(t.Context(), ServerCommand{}); err == nil || err.Error() != "there is no service" {
		t.Errorf("a refused order: %v", err)
	}
}

// TestNewsOfDrills: the director hears them, and who makes the drill.
func TestNewsOfDrills(t *testing.T) {
	d := &fakeDirector{}
	c := serve(t, d)
	n := DrillNews{Step: "began", Drill: Drill{Kind: "freeze", By: "alice"}}
	if err := c.TellDrill(t.Context(), n); err != nil || !slices.Equal(d.asked, []string{"began", "freeze"}) || d.by != "alice" {
		t.Errorf("%v, asked for %v by %s", err, d.asked, d.by)
	}
	n.Drill.By = ""
	if err := c.TellDrill(t.Context(), n); err != nil || d.by == "" || d.by == "alice" {
		t.Errorf("%v, by %q", err, d.by)
	}
	d.failover = errors.New("no such step")
	if err := c.TellDrill(t.Context(), n); err == nil || err.Error() != "no such step" {
		t.Errorf("a refusal: %v", err)
	}
}

func TestClientDoesNotWaitForEver(t *testing.T) {
	path := filepath.Join(t.TempDir(), "stopped.sock")
	l, err := net.Listen("unix", path) // and nobody accepts
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := NewClient(path).Status(ctx); err == nil || !strings.Contains(err.Error(), "does not answer") {
		t.Errorf("got %v", err)
	}
}

// TestKilledInTheMiddle: a director that is killed when it has a command may have carried it out. The error says so.
func TestKilledInTheMiddle(t *testing.T) {
	for name, answer := range map[string]string{"no answer": "", "half an answer": "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"} {
		path := filepath.Join(t.TempDir(), "killed.sock")
		l, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			conn, err := l.Accept()
			if err != nil {
				return
			}
			if _, err := http.ReadRequest(bufio.NewReader(conn)); err != nil {
				t.Error(err)
			}
			_, _ = io.WriteString(conn, answer)
			_ = conn.Close()
		}()
		if _, err := NewClient(path).Confirm(t.Context()); !errors.Is(err, ErrBroken) || errors.Is(err, ErrNoDirector) {
			t.Errorf("%s: %v", name, err)
		}
		_ = l.Close()
		<-ended
	}
}

func TestProblemsKeepTheirContext(t *testing.T) {
	cause := errors.Join(errors.New("one"), errors.New("two"))
	for _, c := range []struct {
		err  error
		want []string
	}{
		{errors.New("alone"), []string{"alone"}},
		{cause, []string{"one", "two"}},
		{fmt.Errorf("remember the standby: %w", cause), []string{"remember the standby: one\ntwo"}},
		{errors.Join(fmt.Errorf("first: %w", errors.New("x")), cause), []string{"first: x", "one", "two"}},
	} {
		if got := problems(c.err); !slices.Equal(got, c.want) {
			t.Errorf("%q: got %q", c.err, got)
		}
	}
}
