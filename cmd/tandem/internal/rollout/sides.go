// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"context"
	"fmt"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control"
)

// A Director is one of the two.
type Director interface {
	Status(context.Context) (control.Status, error)
	Plan(context.Context, control.PlanRequest) (control.Plan, error)
	Apply(context.Context, control.ApplyRequest) (control.Applied, error)
	// Confirm and Rollback are about a revision that waits for confirmation. If another one is in force, they change nothing.
	Confirm(context.Context, control.WaitingRevision) (control.Applied, error)
	Rollback(context.Context, control.WaitingRevision) (control.Applied, error)
}

// Here is the director of this machine.
type Here struct{ *control.Client }

var _ Director = Here{}

// Confirm implements Director.
func (h Here) Confirm(ctx context.Context, r control.WaitingRevision) (control.Applied, error) {
	if err := h.waits(ctx, r); err != nil {
		return control.Applied{}, err
	}
	return h.Client.Confirm(ctx)
}

// Rollback implements Director.
func (h Here) Rollback(ctx context.Context, r control.WaitingRevision) (control.Applied, error) {
	if err := h.waits(ctx, r); err != nil {
		return control.Applied{}, err
	}
	return h.Client.Rollback(ctx, control.RollbackRequest{})
}

func (h Here) waits(ctx context.Context, r control.WaitingRevision) error {
	s, err := h.Status(ctx)
	if err == nil && (s.Config.Revision != r.Revision || s.Config.Waits == nil) {
		err = fmt.Errorf("revision %d is in force, and revision %d does not wait for confirmation", s.Config.Revision, r.Revision)
	}
	return err
}

// There is the other director.
type There struct{ *control.Client }

var _ Director = There{}

// Status implements Director.
func (t There) Status(ctx context.Context) (control.Status, error) { return t.PeerStatus(ctx) }

// Plan implements Director.
func (t There) Plan(ctx context.Context, r control.PlanRequest) (control.Plan, error) {
	return t.PeerPlan(ctx, r)
}

// Apply implements Director.
func (t There) Apply(ctx context.Context, r control.ApplyRequest) (control.Applied, error) {
	return t.PeerApply(ctx, r)
}

// Confirm implements Director.
func (t There) Confirm(ctx context.Context, r control.WaitingRevision) (control.Applied, error) {
	return t.PeerConfirm(ctx, r)
}

// Rollback implements Director.
func (t There) Rollback(ctx context.Context, r control.WaitingRevision) (control.Applied, error) {
	return t.PeerRollback(ctx, r)
}
