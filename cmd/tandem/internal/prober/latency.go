// SPDX-License-Identifier: Apache-2.0

package prober

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// latencies are how long answers took, to three digits, in a histogram of constant size.
type latencies struct{ h *hdrhistogram.Histogram }

// maxLatency is the longest time that can be recorded. It is the maximum timeout.
const maxLatency = 10 * time.Minute

func newLatencies() latencies {
	return latencies{hdrhistogram.New(1, int64(maxLatency/time.Microsecond), 3)}
}

func (l latencies) record(d time.Duration) {
	us := min(max(1, int64(d/time.Microsecond)), l.h.HighestTrackableValue())
	_ = l.h.RecordValue(us) // the value is in the range
}

// at returns a percentile of what was recorded; 0 if nothing was.
func (l latencies) at(percent float64) time.Duration {
	if l.h.TotalCount() == 0 {
		return 0
	}
	return time.Duration(l.h.ValueAtQuantile(percent)) * time.Microsecond
}

// among returns a percentile of all questions, of which some have failed. A question that failed counts as slower than every
// answer: ok is false if the percentile is one of these.
func (l latencies) among(percent float64, failed int) (d time.Duration, ok bool) {
	n := float64(l.h.TotalCount())
	if n == 0 || percent*(n+float64(failed)) > 100*n {
		return 0, false
	}
	return l.at(percent * (n + float64(failed)) / n), true
}

// max returns the longest time.
func (l latencies) max() time.Duration { return time.Duration(l.h.Max()) * time.Microsecond }

// ownPauses are what the prober itself did wrong: it was late, or could not send.
type ownPauses struct {
	lateness latencies
	pauses   []span
	reasons  map[string]int
}

// A span is a time from which no question was asked, although some were due.
type span struct {
	start, length time.Duration
	missed        int
}

// maxPauses is the maximum number of pauses that are kept: the first ones.
const maxPauses = 1000

func newOwnPauses() ownPauses {
	return ownPauses{lateness: newLatencies(), reasons: make(map[string]int)}
}

// late notes when a question was sent. due is the time of the first question that was due, and missed is how many were not sent.
func (o *ownPauses) late(due, sent time.Duration, missed int) {
	o.lateness.record(sent - due)
	if missed > 0 && len(o.pauses) < maxPauses {
		o.pauses = append(o.pauses, span{start: due, length: sent - due, missed: missed})
	}
}

// trouble notes why a question could not be sent.
func (o *ownPauses) trouble(reason string) {
	if _, known := o.reasons[reason]; !known && len(o.reasons) >= maxNames {
		reason = others
	}
	o.reasons[reason]++
}
