// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// A tally is how often the VIP was with two directors, and with none, in a span of time.
type tally struct {
	two, none   time.Duration
	transitions int // a director gets the VIP or loses it
}

// count returns the tally of a span. Before the first change director-a has the VIP, and director-b does not.
func count(a, b []lab.AddressChange, from, to time.Time) (sum tally) {
	type change struct {
		lab.AddressChange
		director int
	}
	var all []change
	for director, changes := range [][]lab.AddressChange{a, b} {
		for _, c := range changes {
			all = append(all, change{c, director})
		}
	}
	slices.SortStableFunc(all, func(x, y change) int { return x.When.Compare(y.When) })

	has, since := [2]bool{true, false}, from
	until := func(when time.Time) {
		if when.Before(since) {
			return // before the span
		}
		switch has {
		case [2]bool{true, true}:
			sum.two += when.Sub(since)
		case [2]bool{false, false}:
			sum.none += when.Sub(since)
		}
		since = when
	}
	for _, c := range all {
		if !c.When.Before(to) {
			break
		}
		if c.Added == has[c.director] {
			continue // the address was set once more
		}
		until(c.When)
		has[c.director] = c.Added
		if !c.When.Before(from) {
			sum.transitions++
		}
	}
	until(to)
	return sum
}
