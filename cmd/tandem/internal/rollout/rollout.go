// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control"
)

const (
	// margin is added to the time that the directors may need to become healthy: for the commands themselves.
	margin = 2 * time.Minute
	// pause is between two questions to a director.
	pause = time.Second
	// answerTime is how long a director may take to tell its status, and undoTime how long a rollback may take.
	answerTime = 10 * time.Second
	undoTime   = 40 * time.Second
	// lostTime is how long the channel may be lost while a director is asked for its state: a director that is started again takes less.
	lostTime = 20 * time.Second
)

// A Side is a director, and what is known about it.
type Side struct {
	Director
	Name   string
	Remote bool           // it is at the other end of the channel
	Before control.Status // the change
	Plan   control.Plan
	Result Result
	// Warnings are those of the confirmation. NotRemembered is why a restart would forget it; empty: it would not.
	Warnings      []string
	NotRemembered string

	request   control.PlanRequest
	applied   bool      // the change is in force, or may be
	confirmed bool      // it is confirmed, or may be
	until     time.Time // it rolls back by itself, if it was applied and is not confirmed
}

// An Outcome is how a rollout ended for one director.
type Outcome string

// The outcomes.
const (
	Unchanged  Outcome = "unchanged"
	InForce    Outcome = "in force"
	Waits      Outcome = "waits for confirmation"
	RolledBack Outcome = "rolled back"
	NotKnown   Outcome = "not known" // it rolls back by itself, if it was applied
)

// A Result is what became of one director.
type Result struct {
	Director string    `json:"director"`
	Outcome  Outcome   `json:"outcome"`
	Revision int       `json:"revision,omitempty"` // in force
	Until    time.Time `json:"until,omitzero"`     // when it rolls back by itself, unless it is confirmed
	Problem  string    `json:"problem,omitempty"`
	Changes  int       `json:"changes"`
}

// A Rollout puts a configuration into force on both directors.
type Rollout struct {
	Here, There Side
	Wait        time.Duration // how long a director may take to become healthy
	Confirm     time.Duration // 0: both are confirmed at the end
	Pause       time.Duration // between two looks at a director's health; 0: a second
	// Tell tells a person how it goes on.
	Tell func(format string, args ...any)
	// Planned is called with a side when its plan is known.
	Planned func(*Side) error
}

// Prepare makes the plans of both directors. The error has all reasons why it cannot go on. Nothing has changed then.
func (r *Rollout) Prepare(ctx context.Context, here, there control.PlanRequest) error {
	r.Here.request, r.There.request = here, there
	var errs []error
	for _, s := range r.order() {
		s.Result = Result{Director: s.Name, Outcome: Unchanged, Revision: s.Before.Config.Revision}
		if w := s.Before.Config.Waits; w != nil {
			errs = append(errs, fmt.Errorf("%s: revision %d waits for confirmation: run tandem confirm or tandem rollback there first", s.Name, s.Before.Config.Revision))
			continue
		}
		var err error
		if s.Plan, err = s.Director.Plan(ctx, s.request); err != nil {
			errs = append(errs, err)
			continue
		}
		s.Result.Changes = len(s.Plan.Lines)
		if err := r.Planned(s); err != nil {
			return err
		}
		for _, text := range s.Plan.Refused {
			errs = append(errs, fmt.Errorf("%s: %s", s.Name, text))
		}
	}
	return errors.Join(errs...)
}

// order returns the directors in the order in which they apply: first the one that is master of fewer virtual routers. Of two that
// are master of as many, the other one is first: then this one can still be left alone.
func (r *Rollout) order() []*Side {
	if masters(r.Here.Before) < masters(r.There.Before) {
		return []*Side{&r.Here, &r.There}
	}
	return []*Side{&r.There, &r.Here}
}

// changing returns the directors that do not have the configuration of their plan already.
func (r *Rollout) changing() (all []*Side) {
	for _, s := range r.order() {
		if s.Plan.SHA256 != s.Plan.InForce {
			all = append(all, s)
		}
	}
	return all
}

// Run applies both plans. If it fails, it rolls back what it has applied, and the error says what is in force where.
func (r *Rollout) Run(ctx context.Context) error {
	for _, s := range r.changing() {
		err := r.apply(ctx, s)
		if err == nil {
			r.Tell("%s: in force as revision %d; waiting until it is healthy", s.Name, s.Result.Revision)
			err = r.await(ctx, s)
		}
		if err != nil {
			return errors.Join(err, r.undo(ctx))
		}
	}
	if r.Confirm > 0 {
		return nil
	}
	if err := r.confirm(ctx); err != nil {
		return errors.Join(err, r.undo(ctx))
	}
	return nil
}

// guard is how long a director waits for the confirmation.
func (r *Rollout) guard() time.Duration {
	if r.Confirm > 0 {
		return r.Confirm
	}
	return min(2*r.Wait+margin, control.MaxConfirm)
}

// apply applies the plan of one director.
func (r *Rollout) apply(ctx context.Context, s *Side) error {
	s.until = time.Now().Add(r.guard())
	done, err := s.Apply(ctx, control.ApplyRequest{Plan: s.Plan.ID, ConfirmSeconds: r.guard().Seconds()})
	if unanswered(err) || err != nil && ctx.Err() != nil {
		s.applied, s.Result.Outcome = true, NotKnown
		return r.findOut(ctx, s, err)
	}
	if err != nil {
		s.Result.Problem = err.Error()
		return err
	}
	s.applied = true
	s.Result.Outcome, s.Result.Revision, s.Result.Until = Waits, done.Revision, s.until
	return nil
}

// findOut asks a director whose answer did not come whether it has applied its plan.
func (r *Rollout) findOut(ctx context.Context, s *Side, why error) error {
	r.Tell("%s; asking again", why)
	for limit := time.Now().Add(lostTime); ; {
		is, err := status(ctx, s)
		switch {
		case err == nil && is.Config.SHA256 == s.Plan.SHA256 && is.Config.Waits != nil:
			s.Result.Outcome, s.Result.Revision, s.Result.Until = Waits, is.Config.Revision, s.until
			return nil
		case err == nil:
			s.applied, s.Result.Outcome = false, Unchanged
			return fmt.Errorf("%w; it has not applied its plan", why)
		case ctx.Err() != nil || time.Now().After(limit):
			return why
		}
		_ = rest(ctx, pause)
	}
}

// await waits until a director is healthy at two looks, one after the other.
func (r *Rollout) await(ctx context.Context, s *Side) error {
	began, healthy, why := time.Now(), 0, ""
	for {
		looked := time.Now()
		var gone error
		if why, gone = r.look(ctx, s); gone != nil {
			return gone
		}
		if healthy++; why != "" {
			healthy = 0
		}
		if healthy == 2 {
			r.Tell("%s: healthy after %s", s.Name, time.Since(began).Round(100*time.Millisecond))
			return nil
		}
		if why != "" && time.Since(began) >= r.Wait {
			return fmt.Errorf("%s is not healthy after %s: %s", s.Name, r.Wait, why)
		}
		// A large status takes long: looking must not be what the directors do.
		if err := rest(ctx, max(cmp.Or(r.Pause, pause), 4*time.Since(looked))); err != nil {
			return fmt.Errorf("%s: interrupted", s.Name)
		}
	}
}

// look returns why a director is not healthy, or "". The error says that waiting has no sense any more.
func (r *Rollout) look(ctx context.Context, s *Side) (why string, gone error) {
	is, err := status(ctx, s)
	if err != nil {
		return err.Error(), nil
	}
	if err := s.stillWaits(is.Config); err != nil {
		return "", err
	}
	other := &r.There
	if s == other {
		other = &r.Here
	}
	at, err := status(ctx, other)
	if err != nil {
		return err.Error(), nil
	}
	if other.Result.Outcome == Waits {
		if err := other.stillWaits(at.Config); err != nil {
			return "", err
		}
	}
	return unwell(s.Before, is, at), nil
}

// stillWaits returns an error if the revision that was applied does not wait for confirmation any more.
func (s *Side) stillWaits(c control.Config) error {
	if c.Revision == s.Result.Revision && c.Waits != nil {
		return nil
	}
	why := "another command came in between"
	if !time.Now().Before(s.until) {
		why = "the time for the confirmation is over"
	}
	s.is(NotKnown, c.Revision)
	return fmt.Errorf("%s: %s: revision %d is in force", s.Name, why, c.Revision)
}

func status(ctx context.Context, s *Side) (control.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	return s.Status(ctx)
}

// rest waits, unless it is interrupted.
func rest(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
