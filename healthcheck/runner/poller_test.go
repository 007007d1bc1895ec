// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"time"

	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/healthcheck/probe/epoll"
)

// A sleeper is a poller in a bubble of fake time. It runs no probes.
type sleeper chan struct{}

var _ poller = (sleeper)(nil)

func newSleeper() (poller, error) { return make(sleeper, 1), nil }

// A frozen is a sleeper whose process sometimes stands still: every Wait that would end within a standstill returns at its
// end.
type frozen struct {
	sleeper
	standstills [][2]time.Time // from, to
}

// thaw returns the end of the standstill in which t is, or t.
func (f *frozen) thaw(t time.Time) time.Time {
	for _, s := range f.standstills {
		if !t.Before(s[0]) && t.Before(s[1]) {
			return s[1]
		}
	}
	return t
}

func (f *frozen) Wait(d, slack time.Duration) ([]epoll.Ended, time.Duration) {
	until := time.Now().Add(min(d, time.Hour))
	ended, _ := f.sleeper.Wait(d, slack)
	now := time.Now()
	time.Sleep(f.thaw(now).Sub(now))
	return ended, max(0, time.Since(until))
}

func (s sleeper) Launch(any, *healthcheck.Target, time.Time) (func(), bool) { return nil, false }

func (s sleeper) Wait(d, _ time.Duration) ([]epoll.Ended, time.Duration) {
	select {
	case <-s:
	case <-time.After(d):
	}
	return nil, 0
}

func (s sleeper) Wake() {
	select {
	case s <- struct{}{}:
	default:
	}
}

func (s sleeper) Close() {}
