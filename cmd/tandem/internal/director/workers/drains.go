// SPDX-License-Identifier: Apache-2.0

package workers

import (
	"context"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/core"
	"github.com/tandem-lvs/tandem/lvs"
)

// drainInterval is the pause between two readings of the connections of draining servers.
const drainInterval = time.Second

// Drains reads the connections of draining servers, while there are any.
type Drains struct {
	Look func(context.Context) ([]lvs.Row, error)
	Log  hclog.Logger
	Post Post
	In   Mailbox[bool]
}

// Run asks for the connections of draining servers at an interval, until ctx ends.
func (w *Drains) Run(ctx context.Context) error {
	draining := false
	for {
		var tick <-chan time.Time
		if draining {
			tick = time.After(drainInterval)
		}
		select {
		case <-ctx.Done():
			return nil
		case draining = <-w.In:
		case <-tick:
			rows, err := w.Look(ctx)
			if err != nil {
				w.Log.Debug("failed to look for the connections of servers that drain", "error", err)
				continue
			}
			w.Post(core.Connections{Rows: rows})
		}
	}
}
