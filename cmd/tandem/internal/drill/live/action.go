// SPDX-License-Identifier: Apache-2.0

package live

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/drill"
)

const (
	// undoLimit is how long undoing is tried, and undoPause the pause between two attempts. A director that is started again
	// answers after some seconds.
	undoLimit = 5 * time.Minute
	undoPause = 250 * time.Millisecond
	// attemptLimit is how long one attempt may take.
	attemptLimit = 30 * time.Second
)

// act does an action. socket is the control socket of this director. How soon an order about a real server was in force is kept in is,
// unless that is known already.
func act(ctx context.Context, a drill.Action, socket string, is **drill.InForce) error {
	switch a.Do {
	case drill.HandOver:
		_, err := control.NewClient(socket).Failover(ctx, a.Routers)
		return err
	case drill.Release:
		_, err := control.NewClient(socket).Release(ctx, a.Routers)
		return err
	case drill.Kill, drill.Stop, drill.Continue:
		return signalProcess(a)
	case drill.StartUnit:
		return startUnit(ctx, a.Unit)
	case drill.LinkDown:
		return linkDown(a.Interface)
	case drill.LinkUp:
		return linkUp(a.Interface, a.Link)
	case drill.DropAdverts:
		return dropAdverts()
	case drill.PassAdverts:
		return passAdverts()
	case drill.RefuseWrites:
		return setImmutable(a.Path, true)
	case drill.AcceptWrites:
		return setImmutable(a.Path, false)
	case drill.TakeOut, drill.PutBack:
		took, err := orderServer(ctx, a, socket)
		if took != nil && *is == nil {
			*is = took
		}
		return err
	case drill.Wait:
		return rest(ctx, a.For)
	}
	return fmt.Errorf("this version does not know the action %q", a.Do)
}

// orderServer takes a real server out of the tables of both directors, or puts it back. It returns nil if the order is not in force
// here. A server that is not taken out on both is an error. One that is put back here only is none: this director tells the other
// one when the channel works.
func orderServer(ctx context.Context, a drill.Action, socket string) (*drill.InForce, error) {
	command := control.ServerCommand{Server: a.Server, Action: control.Disable, Drill: true}
	if a.Do == drill.PutBack {
		command.Action = control.Enable
	}
	began := time.Now()
	is, err := control.NewClient(socket).CommandServer(ctx, command)
	if err != nil {
		return nil, err
	}
	took := &drill.InForce{Took: time.Since(began)}
	switch {
	case is.Peer == nil && a.Do == drill.PutBack:
		took.Problem = "nothing was left to undo: somebody has given another order about it meanwhile, or this director has started anew: see tandem history"
	case is.Peer == nil:
		took.Problem = "it is in force here only"
	case !is.Peer.InForce:
		took.Problem = fmt.Sprintf("it is in force here; %s did not get it: %s", is.Peer.Name, is.Peer.Problem)
	}
	if took.Problem != "" && a.Do == drill.TakeOut {
		return took, errors.New(took.Problem)
	}
	return took, nil
}

// startUnit starts a unit of systemd that does not run.
func startUnit(ctx context.Context, unit string) error {
	if out, err := exec.CommandContext(ctx, "systemctl", "start", unit).CombinedOutput(); err != nil {
		return fmt.Errorf("systemctl start %s: %w: %s", unit, err, bytes.TrimSpace(out))
	}
	return nil
}

// rest waits, unless it is interrupted.
func rest(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}

// An Undone is what was undone, and what could not be.
type Undone struct {
	Done   []string `json:"done"`
	Failed []string `json:"failed"`
	// Ordered says that the drill had ordered it, and so made no more of the fault.
	Ordered bool `json:"ordered"`
	// InForce is how soon a real server was back on both directors; nil: there was none to put back.
	InForce *drill.InForce `json:"in_force,omitempty"`
}

// undo does all actions, in their order. What fails is tried again, and does not keep the others from being done.
func undo(ctx context.Context, actions []drill.Action, socket string) (u Undone) {
	for limit := time.Now().Add(undoLimit); ; {
		var left []drill.Action
		u.Failed = nil
		for _, a := range actions {
			attempt, cancel := context.WithTimeout(ctx, attemptLimit)
			err := act(attempt, a, socket, &u.InForce)
			cancel()
			if err == nil {
				u.Done = append(u.Done, a.String())
				continue
			}
			left = append(left, a)
			u.Failed = append(u.Failed, fmt.Sprintf("%s: %v", a, err))
		}
		if actions = left; len(left) == 0 || time.Now().After(limit) || rest(ctx, undoPause) != nil {
			return u
		}
	}
}
