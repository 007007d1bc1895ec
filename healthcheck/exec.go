// SPDX-License-Identifier: Apache-2.0

package healthcheck

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"
)

const (
	// dyingTime is what the kernel may take to end a program that was killed.
	dyingTime = 200 * time.Millisecond
	// holdingTime is how long the output may stay open after the program and its process group are dead.
	holdingTime = 50 * time.Millisecond
)

// The reasons of programs that misbehave.
const (
	tooMuchOutput = "more than 1 MiB of output"
	stillThere    = "the program of an earlier check is still there: it cannot be killed"
)

// programs runs the programs of Exec checks.
//
// A program leads a session, and so a process group, of its own. When it ends, or its time is over, all of that group
// are killed at once. What has left the group is found by the mark in its environment, which children inherit, and is
// killed too, when the check was cut short or the output is still held open: what a program that ends in time has
// detached from itself with care, a service that it started say, stays. Nothing can be done about a child that has
// also changed its environment, nor, without CAP_SYS_PTRACE, about one of another user. To make the director a
// subreaper would find those too, but every stranger would become its child then, to be waited for beside the
// programs and the other processes of the director. When the director itself is killed, the kernel kills the program
// with it, but nobody its children.
type programs struct {
	mu        sync.Mutex
	lingering map[string]*program // by target: killed, but not dead
}

func newPrograms() *programs { return &programs{lingering: make(map[string]*program)} }

// run checks a valid target of type Exec once.
func (ps *programs) run(ctx context.Context, t Target) result {
	if ps.lingers(t.ID) {
		return fail(stillThere)
	}
	r, w, err := os.Pipe()
	if err != nil {
		return explain(ctx, err, t.Config.Timeout, "")
	}
	p := newProgram(t)
	go p.keep(w, func() { ps.forget(t.ID, p) })
	heard := newOutput(r)
	go heard.read()
	defer heard.stop()

	var cutShort result
	select {
	case end := <-p.ended:
		return p.judge(end, heard)
	case <-heard.flood:
		cutShort = fail(tooMuchOutput)
	case <-ctx.Done():
		cutShort = explain(ctx, ctx.Err(), t.Config.Timeout, "the program ran")
	}
	p.kill()
	sweep(p.mark)
	select {
	case <-p.ended:
	case <-time.After(dyingTime):
		ps.remember(t.ID, p)
	}
	return cutShort
}

// judge puts into words how a program ended.
func (p *program) judge(end ending, heard *output) result {
	if end.err != nil {
		var errno syscall.Errno
		if errors.As(end.err, &errno) && ours(errno) {
			return result{outcome: notRun, reason: errno.Error()}
		}
		return fail("cannot run " + p.target.Config.Command[0] + ": " + p.why(end.err))
	}
	select {
	case <-heard.closed:
	case <-time.After(holdingTime):
		sweep(p.mark)
		heard.stop()
	}
	status := end.state.Sys().(syscall.WaitStatus)
	if status.Signaled() {
		return fail("ended by a signal: " + status.Signal().String())
	}
	reason := fmt.Sprintf("exit code %d", status.ExitStatus())
	if status.ExitStatus() == 0 {
		return pass(reason)
	}
	if line := heard.firstLine(); line != "" {
		reason += ": " + line
	}
	return fail(reason)
}

// lingers tells whether a program of the target outlived the end of its check.
func (ps *programs) lingers(id string) bool {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	return ps.lingering[id] != nil
}

// remember keeps a target from being checked until p is dead.
func (ps *programs) remember(id string, p *program) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if !p.gone {
		ps.lingering[id] = p
	}
}

// forget is told of the death of each program.
func (ps *programs) forget(id string, p *program) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	p.gone = true
	if ps.lingering[id] == p {
		delete(ps.lingering, id)
	}
}
