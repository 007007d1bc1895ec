// SPDX-License-Identifier: Apache-2.0

package api

import "time"

// A DrillStep is how far a drill is.
type DrillStep string

// The steps, in order.
const (
	DrillBegan  DrillStep = "began"  // the failure is about to be made
	DrillUndone DrillStep = "undone" // the failure is undone
	DrillEnded  DrillStep = "ended"
)

// A DrillNews tells a director about a drill: a failure that tandem drill makes on purpose.
type DrillNews struct {
	Step DrillStep `json:"step"`
	At   time.Time `json:"at"`
	// Drill has no result before the last step.
	Drill Drill `json:"drill"`
	// Done has what was done in the step, in words: what is to be done with began, what was undone with undone.
	Done []string `json:"done,omitempty"`
	// Until is when the failure is undone in any case.
	Until time.Time `json:"until,omitzero"`
	// Forgotten is when the director stops waiting for the end of the drill.
	Forgotten time.Time `json:"forgotten,omitzero"`
}

// A DrillHeard is the answer to DrillNews: the director has heard them.
type DrillHeard struct{}

// A Drill is a drill of a director, and how it ended.
type Drill struct {
	Kind  string    `json:"kind"` // "freeze"
	Began time.Time `json:"began"`
	Ended time.Time `json:"ended,omitzero"`
	By    string    `json:"by,omitempty"` // the user
	// Result is one of: passed, failed; died, undone (the command died, and the dead-man's switch undid the failure).
	Result string `json:"result,omitempty"`
	// OutageSeconds is the longest outage that clients saw, if they were asked; else the longest time without a known master.
	OutageSeconds *float64 `json:"outage_seconds"` // null: not known
	BudgetSeconds *float64 `json:"budget_seconds,omitempty"`
	Failures      []string `json:"failures,omitempty"`
	// LastPassed is when the last drill of the kind that passed ended. It is absent if there was none.
	LastPassed time.Time `json:"last_passed,omitzero"`
}

// A DrillUnderWay is a drill whose end was not told yet.
type DrillUnderWay struct {
	Kind   string    `json:"kind"`
	Began  time.Time `json:"began"`
	By     string    `json:"by,omitempty"`
	Until  time.Time `json:"until"`           // the failure is undone then at the latest
	Undone time.Time `json:"undone,omitzero"` // since when the failure is undone; absent: it is not
}

// DrillPassed is the result of a drill that passed.
const DrillPassed = "passed"

// Passed reports whether the drill passed.
func (d *Drill) Passed() bool { return d.Result == DrillPassed }
