// SPDX-License-Identifier: Apache-2.0

package workers

import (
	"context"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/core"
	"github.com/tandem-lvs/tandem/lvs"
)

// countersInterval is the pause between two readings of servers' counters. The kernel updates them every 2 s.
const countersInterval = 3 * time.Second

// Counters reads the counters of services for UDP, to see which servers answer.
type Counters struct {
	Status func(context.Context, []lvs.ServiceID) ([]lvs.ServiceStatus, error)
	Log    hclog.Logger
	Post   Post
	In     Mailbox[[]lvs.ServiceID]
}

// Run reads at an interval, while there are services to read, until ctx ends. It uses at most 1 % of a core.
func (w *Counters) Run(ctx context.Context) error {
	var ids []lvs.ServiceID
	pause := countersInterval
	for {
		var tick <-chan time.Time
		if len(ids) > 0 {
			tick = time.After(pause)
		}
		select {
		case <-ctx.Done():
			return nil
		case ids = <-w.In:
		case <-tick:
			began := time.Now()
			all, err := w.Status(ctx, ids)
			pause = max(countersInterval, trafficPause*time.Since(began))
			if err != nil {
				w.Log.Debug("failed to read counters: a real server that does not answer over UDP is not found", "error", err)
				continue
			}
			w.Post(core.Counters{Services: all})
		}
	}
}
