// SPDX-License-Identifier: Apache-2.0

package healthcheck

import (
	"testing"
	"time"
)

// A server that was silent and begins to answer counts as silent until it is healthy: before that it says nothing about
// whom its silence was the fault of. An answer that is a failure ends it at once.
func TestSilenceEndsWithASuccessThatCounts(t *testing.T) {
	silence, refusal := fail("timeout"), fail("connection refused")
	silence.silent = true
	e := &entry{target: Target{Config: Config{Type: TCP, Interval: time.Second, Rise: 2, Fall: 1}}}
	e.status.Health = Unknown
	for i, step := range []struct {
		result result
		health Health
		silent bool
	}{
		{pass("connected"), Healthy, false},
		{silence, Unhealthy, true},
		{pass("connected"), Unhealthy, true},
		{refusal, Unhealthy, false},
		{pass("connected"), Unhealthy, false},
		{silence, Unhealthy, true},
		{pass("connected"), Unhealthy, true},
		{pass("connected"), Healthy, false},
	} {
		e.record(ended{entry: e, result: step.result})
		if e.status.Health != step.health || e.status.Silent != step.silent {
			t.Errorf("step %d, %q: %s, silent %v; want %s, %v", i, step.result.reason, e.status.Health, e.status.Silent, step.health, step.silent)
		}
	}
}
