// SPDX-License-Identifier: Apache-2.0

package workers

import (
	"context"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/core"
	"github.com/tandem-lvs/tandem/healthcheck"
)

// Checks passes targets to the runner of the checks.
type Checks struct {
	Set  func([]healthcheck.Target)
	Done func(sequence uint64) // the runner has the targets
	In   Mailbox[core.Checks]
}

// Run passes targets on until ctx ends.
func (w *Checks) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case c := <-w.In:
			w.Set(c.Targets)
			w.Done(c.Sequence)
		}
	}
}
