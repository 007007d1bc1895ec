// SPDX-License-Identifier: Apache-2.0

// Package script runs the programs of checks of type exec, and other commands in the same way.
package script

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/healthcheck/probe/internal/socket"
	"github.com/tandem-lvs/tandem/healthcheck/probe/internal/words"
)

const (
	// dyingTime is how long the kernel may take to end a killed program.
	dyingTime = 200 * time.Millisecond
	// holdingTime is how long the output may stay open after the program and its process group are dead.
	holdingTime = 50 * time.Millisecond
)

// stillThere is the reason of a program that misbehaves.
const stillThere = "the program of an earlier check cannot be killed and still runs"

// killedReason is the reason of a program that somebody else killed.
const killedReason = "the program was killed (SIGKILL): the machine or the control group may have too little memory"

// Programs runs the programs of Exec checks.
//
// A program leads its own session, and so its own process group. When the program ends, or its time is over, the whole
// group is killed at once. A child that has left the group is found by its tag. It is killed too if the check was cut short
// or the child still holds the output open. A process that a program detaches carefully, such as a service that it starts,
// survives a program that ends in time.
//
// When the director itself is killed, the kernel kills the program. The next director on the machine kills those of the
// program's children that still hold its output, before its first check by a program.
type Programs struct {
	mu    sync.Mutex
	stuck map[string]*program // by target: killed, but still alive
}

// killStale kills, once, the programs that former directors have left behind.
var killStale = sync.OnceFunc(sweepStale)

// New makes a Programs.
func New() *Programs { return &Programs{stuck: make(map[string]*program)} }

// Run checks a valid target of type Exec once.
func (ps *Programs) Run(ctx context.Context, t *healthcheck.Target) healthcheck.Result {
	if ps.isStuck(t.ID) {
		return healthcheck.Fail(healthcheck.StillRuns, stillThere)
	}
	killStale()
	r, w, err := os.Pipe()
	if err != nil {
		return socket.Explain(ctx, err, t.Config.Timeout, "")
	}
	p := newProgram(commandOf(t))
	go p.run(w, func() { ps.died(t.ID, p) })
	out := newOutput(r, words.MaxLine*utf8.UTFMax)
	go out.read()
	defer out.stop()

	select {
	case end := <-p.ended:
		return p.result(&t.Config, end, out)
	case <-ctx.Done():
	}
	doing := "the program ran"
	if out.flooded.Load() {
		doing = "the program printed more than 1 MiB"
	}
	cutShort := socket.Explain(ctx, ctx.Err(), t.Config.Timeout, doing)
	p.kill()
	sweep(p.tag, p.since)
	select {
	case <-p.ended:
	case <-time.After(dyingTime):
		ps.markStuck(t.ID, p)
	}
	return cutShort
}

// result makes a result of how a program ended.
func (p *program) result(c *healthcheck.Config, end ending, out *output) healthcheck.Result {
	if end.err != nil {
		var errno syscall.Errno
		if errors.As(end.err, &errno) && socket.OwnFault(errno) {
			return healthcheck.Result{Outcome: healthcheck.NotRun, Reason: errno.Error()}
		}
		// Nothing has looked at the server.
		return healthcheck.Result{Outcome: healthcheck.NotRun, Reason: "failed to run " + p.Args[0] + ": " + p.why(end.err)}
	}
	select {
	case <-out.closed:
	case <-time.After(holdingTime):
		sweep(p.tag, p.since)
		out.stop()
	}
	status := end.state.Sys().(syscall.WaitStatus)
	if status.Signaled() && status.Signal() == syscall.SIGKILL {
		// This check has not killed it. The kernel kills programs where memory is short, which is no fault of the server.
		return healthcheck.Result{Outcome: healthcheck.NotRun, Reason: killedReason}
	}
	if status.Signaled() {
		return healthcheck.FailCode(healthcheck.Killed, int(status.Signal()), "ended by a signal: "+status.Signal().String())
	}
	code := status.ExitStatus()
	reason := fmt.Sprintf("exit code %d", code)
	switch {
	case code == 0:
		return healthcheck.Pass(reason)
	case c.ExitWeight && code >= 2 && code != healthcheck.NotExecutable && code != healthcheck.NoSuchProgram:
		res := healthcheck.Pass(fmt.Sprintf("%s: weight %d", reason, code-2))
		res.Advice = healthcheck.Weigh(code - 2)
		return res
	}
	if line := out.firstLine(); line != "" {
		reason += ": " + line
	}
	return healthcheck.FailCode(healthcheck.Exited, code, reason)
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

// died records the death of a program.
func (ps *Programs) died(id string, p *program) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	p.gone = true
	if ps.stuck[id] == p {
		delete(ps.stuck, id)
	}
}
