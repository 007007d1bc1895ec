// SPDX-License-Identifier: Apache-2.0

// Package upgrade puts the installed version of tandem into service: the other director serves while this one is restarted. Without
// another one, the installed version replaces the running one in the same process.
package upgrade

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control"
)

// ErrAlone says that nobody took over, that the director could not be replaced in place, and that it was therefore not restarted.
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
	// Upgrade replaces the director in place. After an error it goes on as before.
	Upgrade(context.Context) error
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
	// Alone restarts the director even if nobody takes over and it cannot be replaced in place: clients get no answer until it is
	// master again.
	Alone bool
	// InPlace replaces the director in place, and hands nothing over. It needs no unit.
	InPlace bool
	Tell    func(format string, args ...any) // of each step that is done
	// Pause waits before the new director is asked again.
	Pause func(context.Context) error
}

// A Result is what an upgrade has done.
type Result struct {
	Restarted  bool     `json:"restarted"`
	InPlace    bool     `json:"in_place"`       // it was replaced in the same process
	From       string   `json:"from,omitempty"` // versions; absent: that director did not answer
	To         string   `json:"to,omitempty"`
	HandedOver []string `json:"handed_over"` // virtual routers
	Released   []string `json:"released"`
}

// patience is how long the new director may take until it answers. It has told systemd before that it is ready.
const patience = 30 * time.Second

// Run restarts the director with the installed version. Before, the virtual routers of which it is master are handed over; after, they
// take part in the election again. If nobody takes over, the installed version replaces the running one in place. If the installed
// version refuses the configuration, or what the running one hands off (ErrAlone), the running director goes on as before.
func Run(ctx context.Context, o Options) (Result, error) {
	r := Result{HandedOver: []string{}, Released: []string{}}
	if o.InPlace {
		refusal, err := o.replace(ctx, &r)
		if refusal != nil {
			err = fmt.Errorf("the director was not replaced and goes on as before: %w", refusal)
		}
		return r, err
	}
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
	} else if nobody := o.handOver(ctx, mastered(status), &r); nobody != nil {
		o.Tell("nobody takes over, so the installed version replaces the running one in place: %v", nobody)
		refusal, err := o.replace(ctx, &r)
		switch {
		case r.InPlace:
			return r, errors.Join(err, o.release(ctx, &r))
		case refusal == nil:
			return r, err
		case !o.Alone:
			return r, o.takeBack(ctx, fmt.Errorf("%w: %w, and it cannot be replaced in place: %w. When clients may be without an answer "+
				"for some seconds, run tandem upgrade --alone", ErrAlone, nobody, refusal), &r)
		}
		o.Tell("it cannot be replaced in place, so clients get no answer while the director restarts: %v", refusal)
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

// handOver hands routers over. The error is why nobody takes over all of them.
func (o *Options) handOver(ctx context.Context, routers []string, r *Result) error {
	if len(routers) == 0 {
		return nil
	}
	done, err := o.Director.Failover(ctx, routers)
	r.HandedOver = append(r.HandedOver, done.Routers...)
	for _, name := range done.Routers {
		o.Tell("%s: handed over", name)
	}
	return err
}

// takeBack ends the standby of the routers that were handed over, because the director is not restarted.
func (o *Options) takeBack(ctx context.Context, refusal error, r *Result) error {
	if len(r.HandedOver) == 0 {
		return refusal
	}
	released, err := o.Director.Release(ctx, r.HandedOver)
	r.Released = append(r.Released, released.Routers...)
	if err != nil {
		err = fmt.Errorf("failed to end the standby of the others: run tandem release: %w", err)
	}
	return errors.Join(refusal, err)
}

// replace replaces the running version in place, and waits until the installed one has all of it. After a refusal the running version
// goes on. Another error comes later.
func (o *Options) replace(ctx context.Context, r *Result) (refusal, err error) {
	before, err := o.Director.Status(ctx)
	if err != nil {
		return err, nil
	}
	r.From = before.Version
	count := 0
	if u := before.Upgraded; u != nil {
		count = u.Count
	}
	if err := o.Director.Upgrade(ctx); err != nil {
		return err, nil
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	waits := "it does not answer"
	for {
		status, err := o.Director.Status(ctx)
		if u := status.Upgraded; err == nil {
			switch {
			case u == nil || u.Count <= count:
				return nil, fmt.Errorf("the former version, %s, runs again: see journalctl -u tandem", status.Version)
			case u.Waits == "":
				r.InPlace, r.To = true, status.Version
				o.Tell("replaced in place: %s now runs", status.Version)
				return nil, nil
			}
			waits = u.Waits
		}
		if o.Pause(ctx) != nil {
			return nil, fmt.Errorf("the installed version has not taken over everything within %s: see journalctl -u tandem: %s", patience, waits)
		}
	}
}

// release ends the standby of the routers that were handed over, as soon as the new director answers.
func (o *Options) release(ctx context.Context, r *Result) error {
	status, err := o.answer(ctx)
	if err != nil {
		return fmt.Errorf("the new director does not answer within %s: see journalctl -u tandem.%s The cause: %w", patience, servedMeanwhile(*r), err)
	}
	if r.To = status.Version; r.Restarted {
		o.Tell("restarted: %s now runs", status.Version)
	}
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
