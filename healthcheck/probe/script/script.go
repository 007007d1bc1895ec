// SPDX-License-Identifier: Apache-2.0

// Package script runs the programs of checks of type exec.
package script

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/healthcheck/probe/internal/socket"
)

const (
	// dyingTime is how long the kernel may take to end a killed program.
	dyingTime = 200 * time.Millisecond
	// holdingTime is how long the output may stay open after the program and its process group are dead.
	holdingTime = 50 * time.Millisecond
)

// The reasons of programs that misbehave.
const (
	tooMuchOutput = "more than 1 MiB of output"
	stillThere    = "the program of an earlier check cannot be killed and still runs"
)

// Programs runs the programs of Exec checks.
//
// A program leads its own session, and so its own process group. When the program ends, or its time is over, the whole
// group is killed at once. A child that has left the group is found by a mark in its environment, which children inherit.
// It is killed too if the check was cut short or the child still holds the output open. A process that a program detaches
// carefully, such as a service that it starts, survives a program that ends in time.
//
// Children that change their environment survive; so do, without CAP_SYS_PTRACE, children of another user. A director
// that is a subreaper would find those too, but would then have to wait for every orphan beside its own processes. When
// the director itself is killed, the kernel kills the program, but not the program's children.
type Programs struct {
	mu    sync.Mutex
	stuck map[string]*program // by target: killed, but still alive
}

// New makes a Programs.
func New() *Programs { return &Programs{stuck: make(map[string]*program)} }

// Run checks a valid target of type Exec once.
func (ps *Programs) Run(ctx context.Context, t *healthcheck.Target) healthcheck.Result {
	if ps.isStuck(t.ID) {
		return healthcheck.Fail(healthcheck.StillRuns, stillThere)
	}
	r, w, err := os.Pipe()
	if err != nil {
		return socket.Explain(ctx, err, t.Config.Timeout, "")
	}
	p := newProgram(t)
	go p.run(w, func() { ps.died(t.ID, p) })
	out := newOutput(r)
	go out.read()
	defer out.stop()

	var cutShort healthcheck.Result
	select {
	case end := <-p.ended:
		return p.result(end, out)
	case <-out.flood:
		cutShort = healthcheck.Fail(healthcheck.OutputFlood, tooMuchOutput)
	case <-ctx.Done():
		cutShort = socket.Explain(ctx, ctx.Err(), t.Config.Timeout, "the program ran")
	}
	p.kill()
	sweep(p.mark)
	select {
	case <-p.ended:
	case <-time.After(dyingTime):
		ps.markStuck(t.ID, p)
	}
	return cutShort
}

// result makes a result of how a program ended.
func (p *program) result(end ending, out *output) healthcheck.Result {
	if end.err != nil {
		var errno syscall.Errno
		if errors.As(end.err, &errno) && socket.OwnFault(errno) {
			return healthcheck.Result{Outcome: healthcheck.NotRun, Reason: errno.Error()}
		}
		// Nothing has looked at the server.
		return healthcheck.Result{Outcome: healthcheck.NotRun, Reason: "failed to run " + p.target.Config.Command[0] + ": " + p.why(end.err)}
	}
	select {
	case <-out.closed:
	case <-time.After(holdingTime):
		sweep(p.mark)
		out.stop()
	}
	status := end.state.Sys().(syscall.WaitStatus)
	if status.Signaled() {
		return healthcheck.FailCode(healthcheck.Killed, int(status.Signal()), "ended by a signal: "+status.Signal().String())
	}
	reason := fmt.Sprintf("exit code %d", status.ExitStatus())
	if status.ExitStatus() == 0 {
		return healthcheck.Pass(reason)
	}
	if line := out.firstLine(); line != "" {
		reason += ": " + line
	}
	return healthcheck.FailCode(healthcheck.Exited, status.ExitStatus(), reason)
}

// isStuck says whether an earlier program of the target is still alive.
func (ps *Programs) isStuck(id string) bool {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	return ps.stuck[id] != nil
}

// markStuck prevents checks of a target until p is dead.
func (ps *Programs) markStuck(id string, p *program) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if !p.gone {
		ps.stuck[id] = p
	}
}

// died is called after the death of each program.
func (ps *Programs) died(id string, p *program) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	p.gone = true
	if ps.stuck[id] == p {
		delete(ps.stuck, id)
	}
}
