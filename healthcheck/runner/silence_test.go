// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"context"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/healthcheck/internal/probetest"
)

// An agent whose silence does not count makes its server healthy before its first word, and the runner asks it again.
func TestAgentThatIsNotThere(t *testing.T) {
	probetest.NoLeftovers(t)
	target := probetest.Target(healthcheck.Agent, probetest.Closed(t), 5*time.Second, func(c *healthcheck.Config) {
		c.IgnoreSilence, c.Interval = true, 10*time.Millisecond
	})
	r := New(Options{})
	r.Set([]healthcheck.Target{target})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	if !probetest.Eventually(20*time.Second, func() bool {
		s := r.Status()[target.ID]
		return s.Health == healthcheck.Healthy && s.Reason == "no word: connection refused" && s.Failures > 1
	}) {
		t.Errorf("%+v", r.Status()[target.ID])
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
