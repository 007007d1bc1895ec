// SPDX-License-Identifier: Apache-2.0

// Package upgrade puts the installed version of tandem into service: the other director serves while this one is restarted.
package upgrade

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control"
)

// ErrAlone says that nobody took over, and that the director was therefore not restarted.
var ErrAlone = errors.New("the director was not restarted")

// A Unit is the systemd unit of the director.
type Unit interface {
	// Active reports whether it runs, or systemd starts it again and again.
	Active(context.Context) (bool, error)
	// Restart returns when the director is ready.
	Restart(context.Context) error
}

// A Director is the running director, of either version.
type Director interface {
	Status(context.Context) (control.Status, error)
	Failover(ctx context.Context, routers []string) (control.RoutersDone, error)
	Release(ctx context.Context, routers []string) (control.RoutersDone, error)
}

var _ Director = (*control.Client)(nil)

// Options are what an upgrade needs.
type Options struct {
	Unit     Unit
	Director Director
	// File is the configuration, if the running director does not tell its own.
	File string
	// Check returns the mistakes that the installed version finds in a configuration.
	Check func(ctx context.Context, file string) error
	// Alone restarts the director even if nobody takes over: clients get no answer until it is master again.
	Alone bool
	Tell  func(format string, args ...any) // of each step that is done
	// Pause waits before the new director is asked again.
	Pause func(context.Context) error
}

// A Result is what an upgrade has done.
type Result struct {
	Restarted  bool     `json:"restarted"`
	From       string   `json:"from,omitempty"` // versions; absent: that director did not answer
	To         string   `json:"to,omitempty"`
	HandedOver []string `json:"handed_over"` // virtual routers
	Released   []string `json:"released"`
}

// patience is how long the new director may take until it answers. It has told systemd before that it is ready.
const patience = 30 * time.Second

// Run restarts the director with the installed version. Before, the virtual routers of which it is master are handed over; after, they
// take part in the election again. If the installed version refuses the configuration, or nobody takes over (ErrAlone), the running
// director goes on as before.
func Run(ctx context.Context, o Options) (Result, error) {
	r := Result{HandedOver: []string{}, Released: []string{}}
	active, err := o.Unit.Active(ctx)
	if err != nil {
		return r, err
	}
	if !active {
		o.Tell("the director does not run: there is nothing to restart")
		return r, nil
	}
	file := o.File
	status, unanswered := o.Director.Status(ctx)
	if unanswered == nil {
		file, r.From = status.Config.File, status.Version
	}
	if err := o.Check(ctx, file); err != nil {
		return r, fmt.Errorf("the installed version refuses %s, so the running director was not restarted and goes on as before. "+
			"Correct the file and run tandem upgrade again, or install the former version again: %w", file, err)
	}
	if unanswered != nil {
		o.Tell("the director does not answer, so nothing is handed over before the restart: %v", unanswered)
	} else if err := o.handOver(ctx, mastered(status), &r); err != nil {
		return r, err
	}
	if err := o.Unit.Restart(ctx); err != nil {
		return r, fmt.Errorf("the installed version does not start: see journalctl -u tandem.%s "+
			"Install the former version again: %w", servedMeanwhile(r), err)
	}
	r.Restarted = true
	return r, o.release(ctx, &r)
}

// servedMeanwhile says what is to do about routers that were handed over.
func servedMeanwhile(r Result) string {
	if len(r.HandedOver) == 0 {
		return ""
	}
	return " The other director serves. When this director runs again, run tandem release here."
}

// mastered returns the routers of which the director is master.
func mastered(s control.Status) (names []string) {
	for _, r := range s.VRRP {
		if r.State == "master" {
			names = append(names, r.Name)
		}
	}
	return names
}

// handOver hands routers over. If somebody takes over only some of them, those are taken back.
func (o *Options) handOver(ctx context.Context, routers []string, r *Result) error {
	if len(routers) == 0 {
		return nil
	}
	done, err := o.Director.Failover(ctx, routers)
	r.HandedOver = append(r.HandedOver, done.Routers...)
	for _, name := range done.Routers {
		o.Tell("%s: handed over", name)
	}
	switch {
	case err == nil:
		return nil
	case o.Alone:
		o.Tell("clients get no answer while the director restarts: %v", err)
		return nil
	}
	refusal := fmt.Errorf("%w: %w. When clients may be without an answer for some seconds, run tandem upgrade --alone", ErrAlone, err)
	if len(done.Routers) == 0 {
		return refusal
	}
	released, err := o.Director.Release(ctx, done.Routers)
	r.Released = append(r.Released, released.Routers...)
	if err != nil {
		err = fmt.Errorf("failed to end the standby of the others: run tandem release: %w", err)
	}
	return errors.Join(refusal, err)
}

// release ends the standby of the routers that were handed over, as soon as the new director answers.
func (o *Options) release(ctx context.Context, r *Result) error {
	status, err := o.answer(ctx)
	if err != nil {
		return fmt.Errorf("the new director does not answer within %s: see journalctl -u tandem.%s The cause: %w", patience, servedMeanwhile(*r), err)
	}
	r.To = status.Version
	o.Tell("restarted: %s now runs", status.Version)
	if len(r.HandedOver) == 0 {
		return nil
	}
	done, err := o.Director.Release(ctx, r.HandedOver)
	r.Released = append(r.Released, done.Routers...)
	for _, name := range done.Routers {
		o.Tell("%s: takes part in the election again", name)
	}
	if err != nil {
		return fmt.Errorf("the new director runs in standby: run tandem release: %w", err)
	}
	return nil
}

// answer returns the status of the new director. The error is that of the last attempt.
func (o *Options) answer(ctx context.Context) (control.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		status, err := o.Director.Status(ctx)
		if err == nil {
			return status, nil
		}
		if o.Pause(ctx) != nil {
			return status, err
		}
	}
}
