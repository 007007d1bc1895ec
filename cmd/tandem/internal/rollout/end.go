// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control"
)

// confirm confirms all that was applied, the other director first. An interruption does not leave it half done.
func (r *Rollout) confirm(ctx context.Context) error {
	for _, s := range []*Side{&r.There, &r.Here} {
		if !s.applied {
			continue
		}
		limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTime)
		err := s.keep(limited)
		cancel()
		if err != nil {
			return fmt.Errorf("%s is not confirmed: %w", s.Name, err)
		}
		s.is(InForce, s.Result.Revision)
	}
	return nil
}

// keep confirms a director. If its answer does not come, it is asked whether it has confirmed.
func (s *Side) keep(ctx context.Context) error {
	command := func() error {
		done, err := s.Director.Confirm(ctx, control.WaitingRevision{Revision: s.Result.Revision})
		s.Warnings, s.NotRemembered = done.Warnings, done.NotRemembered
		s.confirmed = err == nil || unanswered(err)
		return err
	}
	err := command()
	for limit := time.Now().Add(lostTime); unanswered(err) && time.Now().Before(limit) && ctx.Err() == nil; _ = rest(ctx, pause) {
		is, asked := status(ctx, s)
		switch {
		case asked != nil:
		case is.Config.Revision != s.Result.Revision:
			s.confirmed = false
			return fmt.Errorf("revision %d is in force", is.Config.Revision)
		case is.Config.Waits == nil:
			return nil
		default:
			err = command()
		}
	}
	return err
}

// unanswered tells whether a command may have been carried out although there is an error.
func unanswered(err error) bool {
	return errors.Is(err, control.ErrUnanswered) || errors.Is(err, control.ErrSilent) || errors.Is(err, control.ErrBroken)
}

// undo rolls back all that was applied, the latest first. The error says what is in force where. It also runs after an interruption.
func (r *Rollout) undo(ctx context.Context) error {
	order := r.order()
	var errs []error
	for _, s := range []*Side{order[1], order[0]} {
		limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTime)
		errs = append(errs, s.undo(limited))
		cancel()
	}
	return errors.Join(errs...)
}

// undo rolls a director back if it has applied its plan, and says what is in force there.
func (s *Side) undo(ctx context.Context) error {
	was := s.Before.Config.Revision
	switch {
	case s.Result.Outcome == InForce:
		return fmt.Errorf("%s has the new configuration in force, as revision %d, and it is confirmed: run tandem rollback there to undo it", s.Name, s.Result.Revision)
	case s.Result.Outcome == Unchanged:
		return fmt.Errorf("%s is unchanged: revision %d is in force", s.Name, was)
	case !s.applied:
		return fmt.Errorf("%s was left alone: revision %d is in force there", s.Name, s.Result.Revision)
	}
	for limit := time.Now().Add(lostTime); ; _ = rest(ctx, pause) {
		is, err := status(ctx, s)
		if err == nil && (is.Config.Waits == nil || is.Config.SHA256 != s.Plan.SHA256) {
			return s.foundAt(is.Config)
		}
		if err == nil {
			var done control.Applied
			if done, err = s.Rollback(ctx, control.WaitingRevision{Revision: is.Config.Revision}); err == nil {
				s.is(RolledBack, done.Revision)
				return fmt.Errorf("%s is rolled back: the configuration of revision %d is in force again, as revision %d", s.Name, was, done.Revision)
			}
		}
		if ctx.Err() != nil || time.Now().After(limit) {
			return s.lost(err)
		}
	}
}

// is says what is in force for sure.
func (s *Side) is(how Outcome, revision int) {
	s.applied, s.Result.Outcome, s.Result.Revision, s.Result.Until = false, how, revision, time.Time{}
}

// foundAt says what a director has in force that has nothing to roll back.
func (s *Side) foundAt(c control.Config) error {
	switch c.SHA256 {
	case s.Plan.SHA256:
		s.is(InForce, c.Revision)
		return fmt.Errorf("%s has the new configuration in force, as revision %d, and it is confirmed: run tandem rollback there to undo it", s.Name, c.Revision)
	case s.Before.Config.SHA256:
		s.is(RolledBack, c.Revision)
		return fmt.Errorf("%s has the former configuration in force, as revision %d", s.Name, c.Revision)
	}
	s.is(NotKnown, c.Revision)
	return fmt.Errorf("%s has another configuration in force, as revision %d: look with tandem config log there", s.Name, c.Revision)
}

// lost says what a director does by itself that cannot be reached.
func (s *Side) lost(why error) error {
	s.Result.Outcome, s.Result.Until, s.Result.Problem = NotKnown, s.until, why.Error()
	then := fmt.Sprintf("if it has the new configuration in force, it rolls back by itself at %s", s.until.Local().Format(time.TimeOnly))
	if s.confirmed {
		then = "it is not known whether it has confirmed the new configuration"
	}
	return fmt.Errorf("%s was not rolled back (%s); %s: look with tandem config log there", s.Name, strings.ReplaceAll(why.Error(), "\n", "; "), then)
}
