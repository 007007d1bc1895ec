// SPDX-License-Identifier: Apache-2.0

package prober

import (
	"fmt"
	"maps"
	"math"
	"strconv"
	"strings"
	"time"
)

// Seconds are a duration. In JSON they are a number of seconds.
type Seconds time.Duration

// MarshalJSON writes the seconds with all their digits, and without an exponent.
func (s Seconds) MarshalJSON() ([]byte, error) {
	return strconv.AppendFloat(nil, time.Duration(s).Seconds(), 'f', -1, 64), nil
}

// UnmarshalJSON reads a number of seconds.
func (s *Seconds) UnmarshalJSON(text []byte) error {
	v, err := strconv.ParseFloat(string(text), 64)
	if err != nil {
		return err
	}
	*s = Seconds(math.Round(v * float64(time.Second)))
	return nil
}

// String returns the duration with at most three digits: "0.42 ms", "340 ms", "3.53 s", "2m30s".
func (s Seconds) String() string {
	d := time.Duration(s)
	milliseconds := d.Seconds() * 1000
	digits := func(v float64, n int, unit string) string {
		text := strconv.FormatFloat(v, 'f', n, 64)
		if n > 0 {
			text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
		}
		return text + unit
	}
	switch {
	case milliseconds < 9.995:
		return digits(milliseconds, 2, " ms")
	case milliseconds < 99.95:
		return digits(milliseconds, 1, " ms")
	case milliseconds < 999.5:
		return digits(milliseconds, 0, " ms")
	case d < 100*time.Second:
		return digits(d.Seconds(), 2, " s")
	}
	return d.Round(time.Second).String()
}

// A Report is what a probe saw. All times are since it began.
type Report struct {
	Target string    `json:"target"` // in words: "http://192.0.2.100:80/health"
	Began  time.Time `json:"began"`  // wall-clock time
	// ClockAhead is how much the clock of the machine that asked is ahead of that of the machine that has this report. Nil: they are one.
	ClockAhead *Seconds `json:"clock_ahead_seconds,omitempty"`
	Duration   Seconds  `json:"seconds"` // how long it asked
	Every      Seconds  `json:"every_seconds"`
	Timeout    Seconds  `json:"timeout_seconds"`
	SlowFrom   Seconds  `json:"slow_seconds"`
	Counts
	Longest     Seconds        `json:"longest_outage_seconds"` // 0: there was none
	Outages     []Outage       `json:"outages"`
	MoreOutages int            `json:"more_outages"` // that are not listed
	Disturbed   []Disturbance  `json:"disturbances"`
	Failures    map[string]int `json:"failures"` // causes of failed questions
	Percentiles []Percentile   `json:"percentiles"`
	Slowest     Seconds        `json:"slowest_seconds"` // answer
	Servers     []Server       `json:"servers"`
	Prober      Own            `json:"prober"`
	Flows       *FlowReport    `json:"flows,omitempty"`
	Timeline    Timeline       `json:"timeline"`
}

// An Outage is a time in which clients were not served.
type Outage struct {
	Start    Seconds `json:"start_seconds"`
	Length   Seconds `json:"length_seconds"`
	Bad      int     `json:"bad_questions"` // that failed, or were answered slowly
	NotAsked int     `json:"not_asked"`     // questions that the prober did not ask meanwhile
	GoesOn   bool    `json:"goes_on"`       // there was no answer any more
}

// A Disturbance is one outage, or several with little time between them: for example while one of two real servers does not answer.
type Disturbance struct {
	Start   Seconds `json:"start_seconds"`
	Length  Seconds `json:"length_seconds"` // from the start of the first outage to the end of the last one
	Outages int     `json:"outages"`
	Longest Seconds `json:"longest_outage_seconds"`
	Bad     int     `json:"bad_questions"`
	GoesOn  bool    `json:"goes_on"`
}

// disturbed joins outages.
func disturbed(outages []Outage, every Seconds) []Disturbance {
	gap := max(Seconds(time.Second), 10*every)
	all := []Disturbance{}
	for _, o := range outages {
		last := len(all) - 1
		if last < 0 || o.Start-all[last].Start-all[last].Length > gap {
			all = append(all, Disturbance{Start: o.Start})
			last++
		}
		d := &all[last]
		d.Length = o.Start + o.Length - d.Start
		d.Outages++
		d.Longest = max(d.Longest, o.Length)
		d.Bad += o.Bad
		d.GoesOn = o.GoesOn
	}
	return all
}

// A Percentile is the time within which this part of the questions was answered.
type Percentile struct {
	Percent float64  `json:"percent"`
	Took    *Seconds `json:"seconds"` // nil: fewer questions were answered
}

// A Server is a real server that answered.
type Server struct {
	Name    string `json:"name"`
	Answers int    `json:"answers"`
}

// Own is what the prober itself did wrong. It is no fault of the service.
type Own struct {
	LateMedian Seconds        `json:"late_median_seconds"` // how much later than due questions were sent
	LateMost   Seconds        `json:"late_most_seconds"`
	CPU        Seconds        `json:"cpu_seconds"` // processor time of the thread that asks
	Pauses     []Pause        `json:"pauses"`      // in which it did not ask: what happened in them is not known
	Reasons    map[string]int `json:"reasons"`     // why questions could not be sent
}

// A Pause is a time in which the prober did not run.
type Pause struct {
	Start  Seconds `json:"start_seconds"`
	Length Seconds `json:"length_seconds"`
	Missed int     `json:"missed_questions"`
}

// A Timeline has buckets of equal width. The first one begins with the probe.
type Timeline struct {
	Width   Seconds  `json:"width_seconds"`
	Buckets []Bucket `json:"buckets"`
}

// Clean reports whether every question was answered in time.
func (r Report) Clean() bool {
	return r.Asked > 0 && len(r.Outages) == 0 && r.Failed == 0 && r.Counts.Slow == 0
}

// Verdict returns in words what clients saw.
func (r Report) Verdict() string {
	n := len(r.Outages) + r.MoreOutages
	switch {
	case r.Asked == 0:
		return "nothing was asked"
	case r.Answered == 0:
		return "no question was answered"
	case n == 0 && r.Failed+r.Counts.Slow == 0:
		return "no outage"
	case n == 0:
		return fmt.Sprintf("no outage, but %d failed and %d slow", r.Failed, r.Counts.Slow)
	case n == 1:
		return "1 outage of " + r.Longest.String()
	}
	switch d := len(r.Disturbed); {
	case d == n:
		return fmt.Sprintf("%d outages, the longest %s", n, r.Longest)
	case d == 1:
		return fmt.Sprintf("disturbed for %s: %d outages, the longest %s", r.Disturbed[0].Length, n, r.Longest)
	default:
		return fmt.Sprintf("%d disturbances with %d outages, the longest %s", d, n, r.Longest)
	}
}

// Advice returns what the reader should know before they believe the report; "" if there is nothing.
func (r Report) Advice() string {
	switch {
	case r.NotAsked > 0:
		return fmt.Sprintf("The prober itself did not ask %d questions in time. Nothing is known about the service at those moments.", r.NotAsked)
	case r.Counts.Slow*2 > r.Answered:
		return fmt.Sprintf("Most answers took longer than --slow %s, and count as not in time. If the service is usually so slow, "+
			"use a longer --slow.", r.SlowFrom)
	}
	return ""
}

// percents are the percentiles of a report.
var percents = []float64{50, 90, 99, 99.9, 99.99}

// Report returns what the probe saw. The questions that are open are not in it.
func (l *Ledger) Report() Report {
	kept, more, longest := l.outages.sum()
	r := Report{
		Duration: Seconds(l.asked()), Every: Seconds(l.options.Every), Timeout: Seconds(l.options.Timeout), SlowFrom: Seconds(l.options.Slow),
		Counts: l.sum, Longest: Seconds(longest), Outages: []Outage{}, MoreOutages: more, Failures: maps.Clone(l.failures), Slowest: Seconds(l.latency.max()),
		Servers: []Server{}, Timeline: Timeline{Width: Seconds(l.timeline.width), Buckets: l.timeline.buckets},
		Prober: Own{
			LateMedian: Seconds(l.own.lateness.at(50)), LateMost: Seconds(l.own.lateness.max()), Pauses: []Pause{},
			Reasons: maps.Clone(l.own.reasons),
		},
	}
	for _, o := range kept {
		r.Outages = append(r.Outages, Outage{Seconds(o.start), Seconds(o.length()), o.bad, o.notAsked, !o.answered})
	}
	r.Disturbed = disturbed(r.Outages, r.Every)
	for _, p := range percents {
		one := Percentile{Percent: p}
		if d, ok := l.latency.among(p, l.sum.Failed); ok {
			took := Seconds(d)
			one.Took = &took
		}
		r.Percentiles = append(r.Percentiles, one)
	}
	for i, name := range l.servers {
		r.Servers = append(r.Servers, Server{name, l.answers[i]})
	}
	for _, p := range l.own.pauses {
		r.Prober.Pauses = append(r.Prober.Pauses, Pause{Seconds(p.start), Seconds(p.length), p.missed})
	}
	return r
}

// asked returns how long the probe has asked.
func (l *Ledger) asked() time.Duration {
	if l.options.For > 0 && !l.stopped {
		return l.options.For
	}
	return l.last
}
