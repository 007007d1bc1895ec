// SPDX-License-Identifier: Apache-2.0

package healthcheck

import "time"

// A TargetStatus is what is known of a target.
type TargetStatus struct {
	Health      Health        `json:"health"`
	Since       time.Time     `json:"since"`            // when Health became what it is, or the target was first set
	Reason      string        `json:"reason"`           // the last result in words, of a success too: "status 200"
	Silent      bool          `json:"silent"`           // the last failure got no answer of any kind, not even a refusal, and no success has ended it yet
	LastAt      time.Time     `json:"last_at,omitzero"` // when the last check ended
	LastLatency time.Duration `json:"last_latency_ns"`  // how long it took
	Advice      Advice        `json:"advice,omitzero"`  // of the last success
	Flapping    bool          `json:"flapping"`         // Health changed too often of late
	Streak      int           `json:"streak"`           // results in a row like the last: successes from 1 up, failures from -1 down
	Checks      uint64        `json:"checks"`           // results so far
	Successes   uint64        `json:"successes"`
	Failures    uint64        `json:"failures"`
}

// A Verdict is the status of a target after a change on which a decision can depend: of its health, its advice, whether it
// flaps, or, while it is unhealthy, why it is and whether it is silent.
type Verdict struct {
	ID string
	TargetStatus
}

// A Stats is what a runner has done. Late, not run and panics speak of the director, not of the servers.
type Stats struct {
	Probes      uint64 `json:"probes"`       // started so far
	Failed      uint64 `json:"failed"`       // ended as the server's failure
	InFlight    int    `json:"in_flight"`    // under way now
	StartedLate uint64 `json:"started_late"` // started later than due by more than a tenth of the interval
	NotRun      uint64 `json:"not_run"`      // ended for want of file descriptors, memory or local ports; no result
	Panics      uint64 `json:"panics"`       // ended in a panic, which counts as failed too
}
