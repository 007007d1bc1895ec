// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"path/filepath"
	"testing"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control"
)

// A forgetful director carries out every command and cannot store any.
type forgetful struct{ control.Director }

const diskFull = "no space left on device"

func (forgetful) Failover(_ string, routers []string) (control.RoutersDone, error) {
	return control.RoutersDone{Routers: routers, NotRemembered: diskFull}, nil
}

func (forgetful) Upgrade(string) error { return errors.New("the hand-off has another format") }

func (f forgetful) Release(by string, routers []string) (control.RoutersDone, error) {
	return f.Failover(by, routers)
}

func (forgetful) CommandServer(_ string, c control.ServerCommand) (control.ServerState, error) {
	return control.ServerState{Name: c.Server, NotRemembered: diskFull}, nil
}

// A noting director hands over, and has something to say about that.
type noting struct{ control.Director }

func (noting) Failover(_ string, routers []string) (control.RoutersDone, error) {
	return control.RoutersDone{Routers: routers, Notes: []string{"web: lb2 has 180 of 200 connections: the other ones end"}}, nil
}

// TestFailoverSaysWhatEnds: the command succeeds, and a warning on standard error says which connections end.
func TestFailoverSaysWhatEnds(t *testing.T) {
	t.Setenv("TANDEM_SOCKET", serveControl(t, noting{}))
	out, errs, err := execute(t, "failover", "web")
	if err != nil || out != "web: handed over\n" || errs != "warning: web: lb2 has 180 of 200 connections: the other ones end\n" {
		t.Errorf("output %q, standard error %q, error %v", out, errs, err)
	}
}

// serveControl serves a director's control socket until the test ends, and returns its path.
func serveControl(t *testing.T, d control.Director) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "control.sock")
	l, err := control.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- control.Serve(ctx, l, d) }()
	t.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return path
}

// TestCommandThatIsNotRemembered: the command succeeds, and a warning on standard error says that a restart would forget it.
func TestCommandThatIsNotRemembered(t *testing.T) {
	t.Setenv("TANDEM_SOCKET", serveControl(t, forgetful{}))
	for _, c := range []struct {
		args []string
		want string // on standard output
	}{
		{[]string{"drain", "www/192.0.2.11:80"}, "www/192.0.2.11:80: drained, 0 connections\n"},
		{[]string{"disable", "www/192.0.2.11:80"}, "www/192.0.2.11:80: disabled, weight now 0\n"},
		{[]string{"failover", "web"}, "web: handed over\n"},
		{[]string{"release", "web"}, "web: takes part again\n"},
	} {
		out, errs, err := execute(t, c.args...)
		if err != nil || out != c.want || errs != "warning: in force; not yet remembered: "+diskFull+
			". The command works now, but it could not be saved. A restart would forget it.\n" {
			t.Errorf("%s: output %q, standard error %q, error %v", c.args, out, errs, err)
		}
	}
}
