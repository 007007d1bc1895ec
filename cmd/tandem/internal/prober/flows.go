// SPDX-License-Identifier: Apache-2.0

package prober

import (
	"maps"
	"slices"
	"time"
)

// Flows follow long-lived connections that exchange data. A flow that breaks is connected again, and is then another connection.
type Flows struct {
	slow    time.Duration
	flows   []flow
	breaks  []Break
	more    int // breaks that are not kept
	resets  int
	answers int
	talked  int // flows that have had an answer
	stalls  []Stall
	stalled int
	longest time.Duration // of all stalls, also of those that are not kept
}

// A flow is one of them.
type flow struct {
	began  time.Duration // when it was connected; negative: never
	asked  time.Duration // when it asked the question that is open; negative: none is
	alive  bool
	broken bool // at least once
	talked bool // it has had an answer
}

// A Break is the end of a connection that the client did not end.
type Break struct {
	Flow  int     `json:"flow"`
	At    Seconds `json:"at_seconds"`  // since the probe began
	Age   Seconds `json:"age_seconds"` // of the connection
	Cause string  `json:"cause"`
}

// A Stall is a question on a flow that was answered slowly, or not at all.
type Stall struct {
	Flow   int     `json:"flow"`
	At     Seconds `json:"at_seconds"` // since the probe began
	Length Seconds `json:"length_seconds"`
}

// maxEvents is the maximum number of breaks, and of stalls, that are kept. Others are counted.
const maxEvents = 1000

// NewFlows makes n flows that are not connected.
func NewFlows(n int, slow time.Duration) *Flows {
	f := &Flows{slow: slow, flows: make([]flow, n)}
	for i := range f.flows {
		f.flows[i].began = -1
	}
	return f
}

// Connected notes that a flow has a new connection.
func (f *Flows) Connected(i int, now time.Duration) {
	f.flows[i].began, f.flows[i].asked, f.flows[i].alive = now, -1, true
}

// Asked notes that a flow sent a question.
func (f *Flows) Asked(i int, now time.Duration) { f.flows[i].asked = now }

// Answered notes the answer to the open question of a flow.
func (f *Flows) Answered(i int, now time.Duration) {
	f.answers++
	if !f.flows[i].talked {
		f.flows[i].talked = true
		f.talked++
	}
	f.stall(i, now)
}

// Talked returns how many flows there are, and how many of them have had an answer.
func (f *Flows) Talked() (all, talked int) { return len(f.flows), f.talked }

// stall ends the open question of a flow.
func (f *Flows) stall(i int, now time.Duration) {
	asked := f.flows[i].asked
	f.flows[i].asked = -1
	if asked < 0 || now-asked <= f.slow {
		return
	}
	f.stalled++
	f.longest = max(f.longest, now-asked)
	if len(f.stalls) < maxEvents {
		f.stalls = append(f.stalls, Stall{i, Seconds(asked), Seconds(now - asked)})
	}
}

// Broke notes that a connection has ended, or that a flow could not be connected.
func (f *Flows) Broke(i int, now time.Duration, cause Cause, detail string) {
	is := &f.flows[i]
	if detail == "" {
		detail = cause.String()
	}
	b := Break{Flow: i, At: Seconds(now), Cause: detail}
	if is.alive {
		b.Age = Seconds(now - is.began)
		f.stall(i, now)
	}
	if cause == Reset {
		f.resets++
	}
	is.alive, is.broken = false, true
	if len(f.breaks) < maxEvents {
		f.breaks = append(f.breaks, b)
	} else {
		f.more++
	}
}

// Renewed notes that the server ended a connection in good order, after an answer that said so. The next one is the same flow.
func (f *Flows) Renewed(i int) { f.flows[i].alive = false }

// A FlowReport is what flows saw.
type FlowReport struct {
	Flows      int            `json:"flows"`
	Unbroken   int            `json:"unbroken"` // flows without a break
	Breaks     int            `json:"breaks"`
	Resets     int            `json:"resets"` // of the breaks
	Causes     map[string]int `json:"causes"` // of the breaks that are listed
	Answers    int            `json:"answers"`
	Stalls     int            `json:"stalls"` // questions that were answered slowly, or not at all
	Longest    Seconds        `json:"longest_stall_seconds"`
	BreakList  []Break        `json:"break_list"`
	StallList  []Stall        `json:"stall_list"`
	Incomplete bool           `json:"incomplete"` // the lists have only the first ones
}

// Report returns what the flows saw until now.
func (f *Flows) Report(now time.Duration) *FlowReport {
	for i := range f.flows {
		if f.flows[i].alive {
			f.stall(i, now)
		}
	}
	r := &FlowReport{
		Flows: len(f.flows), Breaks: len(f.breaks) + f.more, Resets: f.resets, Causes: make(map[string]int), Answers: f.answers,
		Stalls: f.stalled, Longest: Seconds(f.longest), BreakList: slices.Clone(f.breaks), StallList: slices.Clone(f.stalls),
	}
	r.Incomplete = f.more > 0 || f.stalled > len(f.stalls)
	for _, is := range f.flows {
		if is.began >= 0 && !is.broken {
			r.Unbroken++
		}
	}
	for _, b := range f.breaks {
		r.Causes[b.Cause]++
	}
	return r
}

// Causes returns causes with their numbers, the most frequent first.
func Causes(all map[string]int) []string {
	return slices.SortedFunc(maps.Keys(all), func(a, b string) int {
		if all[a] != all[b] {
			return all[b] - all[a]
		}
		if a < b {
			return -1
		}
		return 1
	})
}
