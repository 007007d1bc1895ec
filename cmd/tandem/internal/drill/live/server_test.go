// SPDX-License-Identifier: Apache-2.0

package live

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/drill"
)

// A pool is what the fake pair has of a service of two real servers.
type pool struct {
	on       bool
	out      bool // the first server is out, on both directors
	commands []control.ServerCommand
	refuses  error  // what an order to leave answers
	apart    string // why the peer does not get an order to leave
	taken    bool   // somebody else disables the server after the drill
}

const eleven = "www/192.0.2.11:80"

func (p *fakePair) CommandServer(_ string, c control.ServerCommand) (control.ServerState, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := &p.pool
	s.commands = append(s.commands, c)
	is := control.ServerState{Name: eleven, Peer: &control.PeerReply{Name: "lb2", InForce: true}}
	switch {
	case c.Action == control.Disable && s.refuses != nil:
		return control.ServerState{}, s.refuses
	case c.Action == control.Disable:
		s.out = true
		if s.apart != "" {
			is.Peer.InForce, is.Peer.Problem = false, s.apart
		}
	case s.taken || !s.out:
		is.Peer = nil
	default:
		s.out = false
	}
	return is, nil
}

// services are those of both directors.
func (s *pool) services() []control.Service {
	if !s.on {
		return nil
	}
	first := control.Server{Address: netip.MustParseAddr("192.0.2.11"), Port: 80, Weight: 5, EffectiveWeight: 5, Health: "healthy"}
	second := first
	second.Address = netip.MustParseAddr("192.0.2.12")
	up := 2
	if s.out {
		up, first.EffectiveWeight, first.Disabled, first.Note = 1, 0, true, "disabled by command"
	}
	return []control.Service{{Name: "www", Up: up, Quorum: 1, Servers: []control.Server{first, second}}}
}

func serverDrill(t *testing.T, p *fakePair) (*Drill, *[]string) {
	t.Helper()
	p.pool.on = true
	d, told := newDrill(t, p)
	d.Order.Kind, d.Order.Server, d.Order.Budget = drill.RealServer, "www/192.0.2.11", -1
	return d, told
}

// TestServer: a drill takes a real server out, and the switch puts it back. All orders are marked as those of a drill.
func TestServer(t *testing.T) {
	p := new(fakePair)
	d, told := serverDrill(t, p)
	r, err := d.Run(t.Context())
	if err != nil || !r.Passed || r.Server == nil || r.Server.Name != eleven || r.Server.Out == nil || r.Server.Back == nil || r.Outage != nil || p.pool.out {
		t.Fatalf("%v, %s\n%q", err, r.Text(), *told)
	}
	if w := r.Server.Weights; len(w) != 2 || w[0].Before != 5 || w[1].Before != 5 || w[0].After == nil || *w[0].After != 5 || *w[1].After != 5 {
		t.Errorf("%+v", w)
	}
	const did = "disable " + eleven + " on both directors; enable " + eleven + " on both directors, unless somebody else has disabled it"
	if got := strings.Join(r.Did, "; "); got != did {
		t.Errorf("did %s", got)
	}
	want := []control.ServerCommand{{Server: eleven, Action: control.Disable, Drill: true}, {Server: eleven, Action: control.Enable, Drill: true}}
	if !slices.Equal(p.pool.commands, want) {
		t.Errorf("ordered %+v", p.pool.commands)
	}
	if n := len(p.news); n != 3 || p.news[2].Drill.Kind != "server" || p.news[2].Drill.Result != "passed" {
		t.Errorf("told %+v", p.news)
	}
	p.pool.commands, d.DryRun, *told = nil, true, nil
	if r, err = d.Run(t.Context()); err != nil || len(r.Refused) > 0 || len(p.pool.commands) > 0 ||
		!strings.HasPrefix(strings.Join(*told, "\n"), "pre-checks: lb1 and lb2 can do without "+eleven+"\nwould disable ") {
		t.Errorf("%v, %+v, %q", err, r, *told)
	}
}

// TestServerFails: whatever goes wrong, the report says it, and the server is not left out by the drill.
func TestServerFails(t *testing.T) {
	for _, c := range []struct {
		what  string
		setUp func(*pool)
		left  bool // out
		want  []string
	}{
		{
			"it is refused", func(s *pool) { s.refuses = errors.New(eleven + " is drained by command already") }, false,
			[]string{"failed: disable " + eleven + " on both directors: " + eleven + " is drained by command already\nserver: failed\n"},
		},
		{
			"the peer does not get it", func(s *pool) { s.apart = "the channel is lost" }, false,
			[]string{"on both directors: it is in force here; lb2 did not get it: the channel is lost\n", "out of both kernels after -, back in both after "},
		},
		{
			"somebody else disables it meanwhile", func(s *pool) { s.taken = true }, true,
			[]string{
				"failed: it is not known when both kernels had " + eleven + " again: nothing was left to undo: somebody has given another order about it meanwhile",
				"failed: not as before: weight of " + eleven + " on lb1 was 5, and is 0\n",
			},
		},
	} {
		p := new(fakePair)
		d, _ := serverDrill(t, p)
		c.setUp(&p.pool)
		d.Settle = 300 * time.Millisecond
		r, err := d.Run(t.Context())
		for _, want := range c.want {
			if err != nil || r.Passed || !strings.Contains(r.Text(), want) || p.pool.out != c.left {
				t.Errorf("%s: %v, got\n%swant\n%s", c.what, err, r.Text(), want)
			}
		}
	}
}

// TestServerIsPutBack: the dead-man's switch puts the server back when the drill takes too long.
func TestServerIsPutBack(t *testing.T) {
	p := new(fakePair)
	d, _ := serverDrill(t, p)
	d.Order.Hold = 50 * time.Second
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	d.Tell = func(format string, args ...any) {
		if strings.HasPrefix(format, "%s") && len(args) == 1 && strings.HasPrefix(args[0].(drill.Action).String(), "wait ") {
			stop()
		}
	}
	r, err := d.Run(ctx)
	if err != nil || r.Passed || p.pool.out || len(r.Changed) > 0 || r.Server == nil || r.Server.Back == nil {
		t.Errorf("%v, %s", err, r.Text())
	}
	// As the switch itself does.
	p.pool.out = true
	if u := undo(t.Context(), []drill.Action{{Do: drill.PutBack, Server: eleven}}, d.Socket); len(u.Done) != 1 || u.InForce == nil || u.InForce.Problem != "" || p.pool.out {
		t.Errorf("%+v", u)
	}
	if u := undo(t.Context(), []drill.Action{{Do: drill.PutBack, Server: eleven}}, d.Socket); len(u.Done) != 1 || len(u.Failed) > 0 || u.InForce == nil || u.InForce.Problem == "" {
		t.Errorf("again: %+v", u)
	}
}
