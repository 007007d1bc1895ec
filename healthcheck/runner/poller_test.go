// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"time"

	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/healthcheck/probe/epoll"
)

// A sleeper is a poller in a bubble of fake time; it carries no probe.
type sleeper chan struct{}

var _ poller = (sleeper)(nil)

func newSleeper() (poller, error) { return make(sleeper, 1), nil }

func (s sleeper) Launch(any, *healthcheck.Target, time.Time) (func(), bool) { return nil, false }

func (s sleeper) Wait(d, _ time.Duration) []epoll.Ended {
	select {
	case <-s:
	case <-time.After(d):
	}
	return nil
}

func (s sleeper) Wake() {
	select {
	case s <- struct{}{}:
	default:
	}
}

func (s sleeper) Close() {}
