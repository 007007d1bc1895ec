// SPDX-License-Identifier: Apache-2.0

package healthcheck

import (
	"testing"
	"time"
)

// An agent's silence changes neither health nor advice. Before its first word, the server is healthy.
func TestSilenceChangesNothing(t *testing.T) {
	at := time.Unix(1000, 0)
	c := DefaultConfig(Agent)
	c.IgnoreSilence = true
	half := Pass("the agent says 50%")
	half.Advice = Advice{Given: true, Percent: 50}
	down := Fail(SaysDown, "the agent says down")
	down.Decisive = true
	for _, tt := range []struct {
		name    string
		results []Result
		health  Health
		advice  Advice
		reason  string
		verdict bool
	}{
		{"before the first word", nil, Healthy, Advice{}, "no word: connection refused", true},
		{"after advice", []Result{half, half}, Healthy, half.Advice, "the agent says 50%; since then no word: connection refused", false},
		{"after down", []Result{down}, Unhealthy, Advice{}, "the agent says down; since then no word: connection refused", false},
	} {
		s := NewState(at)
		for _, r := range tt.results {
			s.Record(&c, r, at, at)
		}
		change := s.Abstain("connection refused", at, at.Add(time.Second))
		s.Abstain("connection refused", at, at.Add(2*time.Second)) // the reason does not grow
		is := s.Status
		if is.Health != tt.health || is.Advice != tt.advice || is.Reason != tt.reason || is.Silent || change.Verdict != tt.verdict {
			t.Errorf("%s: %+v, verdict %v", tt.name, is, change.Verdict)
		}
	}
}
