// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"time"

	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/healthcheck/probe/epoll"
)

// A poller is where Run waits. It also runs the probes that need no goroutine. See epoll.Engine.
type poller interface {
	Launch(owner any, t *healthcheck.Target, now time.Time) (cancel func(), ok bool)
	Wait(d, slack time.Duration) (ended []epoll.Ended, late time.Duration)
	Wake()
	Close()
}

var _ poller = (*epoll.Engine)(nil)
