// SPDX-License-Identifier: Apache-2.0

package healthcheck

import (
	"testing"
	"time"
)

// A server that was silent and begins to answer counts as silent until it is healthy: before that it says nothing about
// whom its silence was the fault of. An answer that is a failure ends it at once.
func TestSilenceEndsWithASuccessThatCounts(t *testing.T) {
	silence, refusal := FailSilently("timeout"), Fail("connection refused")
	c := &Config{Type: TCP, Interval: time.Second, Rise: 2, Fall: 1}
	s := NewState(time.Time{})
	for i, step := range []struct {
		result Result
		health Health
		silent bool
	}{
		{Pass("connected"), Healthy, false},
		{silence, Unhealthy, true},
		{Pass("connected"), Unhealthy, true},
		{refusal, Unhealthy, false},
		{Pass("connected"), Unhealthy, false},
		{silence, Unhealthy, true},
		{Pass("connected"), Unhealthy, true},
		{Pass("connected"), Healthy, false},
	} {
		s.Record(c, step.result, time.Time{}, time.Time{})
		if s.Status.Health != step.health || s.Status.Silent != step.silent {
			t.Errorf("step %d, %q: %s, silent %v; want %s, %v",
				i, step.result.Reason, s.Status.Health, s.Status.Silent, step.health, step.silent)
		}
	}
}
