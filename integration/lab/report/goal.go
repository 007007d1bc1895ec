// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"strconv"
)

// A Goal is what a figure should be. A figure that misses it a little is printed with that word; one that is twice too large, or
// less than half of what it should be, fails the run.
type Goal struct {
	Limit float64 `json:"limit"`           // above 0
	Least bool    `json:"least,omitempty"` // the figure should be at least Limit, instead of at most
	Firm  bool    `json:"firm,omitempty"`  // a figure that misses it at all fails the run
}

// wide is the factor by which a figure misses its goal by a wide margin.
const wide = 2

// AtMost returns the goal that a figure is at most a limit.
func AtMost(limit float64) *Goal { return &Goal{Limit: limit} }

// AtLeast returns the goal that a figure is at least a limit.
func AtLeast(limit float64) *Goal { return &Goal{Limit: limit, Least: true} }

// Firmly returns the goal as a firm one: a promise to the user, which does not depend on how fast the machine is.
func (g Goal) Firmly() *Goal {
	g.Firm = true
	return &g
}

// Reached reports whether a figure reaches the goal.
func (g Goal) Reached(figure float64) bool {
	if g.Least {
		return figure >= g.Limit
	}
	return figure <= g.Limit
}

// Missed reports whether a figure misses the goal by a wide margin, or misses a firm one. What is no number misses it.
func (g Goal) Missed(figure float64) bool {
	if g.Firm {
		return !g.Reached(figure)
	}
	if g.Least {
		return !(figure*wide > g.Limit)
	}
	return !(figure < g.Limit*wide)
}

// Judge returns the goal and whether a figure reaches it, in words.
func (g Goal) Judge(figure float64) string {
	side, reached := "at most", "no"
	if g.Least {
		side = "at least"
	}
	if g.Reached(figure) {
		reached = "yes"
	}
	return fmt.Sprintf("goal %s %s, reached %s", side, strconv.FormatFloat(g.Limit, 'f', -1, 64), reached)
}
