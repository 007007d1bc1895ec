// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"net/http"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
)

// PeerStatus returns the state of the other director.
func (c *Client) PeerStatus(ctx context.Context) (Status, error) {
	return ask[Status](ctx, c, http.MethodGet, api.PeerStatusPath, nil)
}

// PeerHistory returns the selected events of the other director, the oldest first, with the times of its clock.
func (c *Client) PeerHistory(ctx context.Context, q HistoryQuery) ([]Event, error) {
	return ask[[]Event](ctx, c, http.MethodGet, api.PeerHistoryPath+parameters(q), nil)
}

// PeerPlan returns what a reload of the other director would change.
func (c *Client) PeerPlan(ctx context.Context, r PlanRequest) (Plan, error) {
	return ask[Plan](ctx, c, http.MethodPost, api.PeerPlanPath, r)
}

// PeerApply puts the configuration of a plan of the other director into force there.
func (c *Client) PeerApply(ctx context.Context, r ApplyRequest) (Applied, error) {
	return ask[Applied](ctx, c, http.MethodPost, api.PeerApplyPath, r)
}

// PeerConfirm keeps the revision of the other director that waits for confirmation.
func (c *Client) PeerConfirm(ctx context.Context, r WaitingRevision) (Applied, error) {
	return ask[Applied](ctx, c, http.MethodPost, api.PeerConfirmPath, r)
}

// PeerRollback rolls back the revision of the other director that waits for confirmation.
func (c *Client) PeerRollback(ctx context.Context, r WaitingRevision) (Applied, error) {
	return ask[Applied](ctx, c, http.MethodPost, api.PeerRollbackPath, r)
}
