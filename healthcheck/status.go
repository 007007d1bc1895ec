// SPDX-License-Identifier: Apache-2.0

package healthcheck

import "time"

// A TargetStatus is the present status of a target.
type TargetStatus struct {
	Health      Health        `json:"health"`
	Since       time.Time     `json:"since"`             // when Health became what it is, or the target was first set
	Reason      string        `json:"reason"`            // the last result in words, also of a success: "status 200"
	Silent      bool          `json:"silent"`            // no answer to the last failed check, not even a refusal; ends with health
	LastAt      time.Time     `json:"last_at,omitzero"`  // when the last check ended
	LastLatency time.Duration `json:"last_latency_ns"`   // how long it took
	Advice      Advice        `json:"advice,omitzero"`   // of the last success
	Trouble     string        `json:"trouble,omitempty"` // why the director could not run the last check; empty: it could
	Expired     bool          `json:"expired,omitempty"` // the trouble has lasted for the check's Expiry: Health is unknown
	Flapping    bool          `json:"flapping"`          // Health has changed too often recently
	Streak      int           `json:"streak"`            // results in a row like the last: successes from 1 up, failures from -1 down
	Checks      uint64        `json:"checks"`            // results so far
	Successes   uint64        `json:"successes"`
	Failures    uint64        `json:"failures"`
}

// A Verdict is the status of a target after a change that may affect a decision. Such changes are: its health, its advice,
// whether it flaps, and, while it is unhealthy, the cause and whether it is silent.
type Verdict struct {
	ID string
	TargetStatus
}

// A Stats counts the probes of a runner. StartedLate, NotRun and Panics are about the director, not about the servers.
type Stats struct {
	Probes      uint64 `json:"probes"`       // started so far
	Failed      uint64 `json:"failed"`       // ended as the server's failure
	InFlight    int    `json:"in_flight"`    // under way now
	StartedLate uint64 `json:"started_late"` // started later than due by more than a tenth of the interval
	NotRun      uint64 `json:"not_run"`      // ended without a result: the director lacked files, memory, ports or time
	Panics      uint64 `json:"panics"`       // ended in a panic; counted in Failed too
}
