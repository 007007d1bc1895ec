// SPDX-License-Identifier: Apache-2.0

// Package prober measures a service as its clients see it: outages, failed and slow questions, percentiles.
//
// It is an open loop. Each question has its time, whether earlier ones were answered or not. A closed loop, which waits for an
// answer before it asks again, asks once in a pause of the service and so hides it (coordinated omission).
//
// The package is pure. Every time is the time since the probe began, on a monotonic clock, and is passed in. The sockets are in
// the package ask, and the page that shows a report is in the package page.
package prober

import "time"

// Options say how a probe asks, and what it takes for slow.
type Options struct {
	Every   time.Duration // between two questions, at least MinEvery
	For     time.Duration // how long to ask; 0: until Stop
	Timeout time.Duration // a question without an answer after this time has failed
	// Slow is the time from which an answer counts as slow. While no answer comes in this time, clients are not served: an outage.
	Slow time.Duration
}

// MinEvery is the shortest time between two questions.
const MinEvery = time.Millisecond

// A Cause is why a question failed.
type Cause uint8

// The causes.
const (
	TimedOut    Cause = iota + 1 // no answer within the timeout
	Refused                      // connection refused
	Reset                        // connection reset
	Closed                       // closed without an answer
	Unreachable                  // network or host unreachable
	Wrong                        // an answer that is not the right one
)

func (c Cause) String() string {
	switch c {
	case TimedOut:
		return "no answer"
	case Refused:
		return "connection refused"
	case Reset:
		return "connection reset"
	case Closed:
		return "closed without an answer"
	case Unreachable:
		return "unreachable"
	}
	return "wrong answer"
}
