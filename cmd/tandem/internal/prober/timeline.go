// SPDX-License-Identifier: Apache-2.0

package prober

import (
	"encoding/json"
	"math"
	"time"
)

const (
	// maxBuckets is the maximum number of buckets of a timeline. If a probe lasts longer, each two become one.
	maxBuckets = 1200
	// Rows is the number of classes of latencies in a bucket. Each begins at √2 times the one before; the first one at 0.
	Rows = 44
	// shownServers is the number of real servers that a bucket tells apart.
	shownServers = 8
)

// rowUnit is the end of the first class of latencies.
const rowUnit = 10 * time.Microsecond

// A Bucket is a part of the timeline. It has the questions that were sent, or due, in its time.
type Bucket struct {
	Asked    int     `json:"asked"`
	Answered int     `json:"answered"`
	Slow     int     `json:"slow"`
	Failed   int     `json:"failed"`
	NotAsked int     `json:"not_asked"`
	Longest  Seconds `json:"longest_seconds"` // of the answers

	Rows    RowCounts            `json:"rows"`    // answers by latency
	Servers [shownServers]uint32 `json:"servers"` // answers by server, in the order of the report; the last one has all others too
}

// RowCounts has the number of answers in each row, see RowStart. In JSON it is an object with those that are not 0.
type RowCounts [Rows]uint32

// MarshalJSON writes the rows that are not 0.
func (r RowCounts) MarshalJSON() ([]byte, error) {
	some := make(map[int]uint32)
	for row, n := range r {
		if n > 0 {
			some[row] = n
		}
	}
	return json.Marshal(some)
}

// UnmarshalJSON reads what MarshalJSON writes. Rows that do not exist are left out.
func (r *RowCounts) UnmarshalJSON(text []byte) error {
	some := make(map[int]uint32)
	if err := json.Unmarshal(text, &some); err != nil {
		return err
	}
	*r = RowCounts{}
	for row, n := range some {
		if row >= 0 && row < Rows {
			r[row] = n
		}
	}
	return nil
}

// RowStart returns the shortest latency of a row. RowStart(Rows) is the end of the last one.
func RowStart(row int) time.Duration {
	if row <= 0 {
		return 0
	}
	return time.Duration(float64(rowUnit) * math.Pow(2, float64(row-1)/2))
}

// row returns the row of a latency.
func row(d time.Duration) int {
	if d < rowUnit {
		return 0
	}
	return min(Rows-1, 1+int(2*math.Log2(float64(d)/float64(rowUnit))))
}

// note notes an answer.
func (b *Bucket) note(took time.Duration) {
	b.Longest = max(b.Longest, Seconds(took))
	b.Rows[row(took)]++
}

// served notes which server answered.
func (b *Bucket) served(server int) { b.Servers[min(server, shownServers-1)]++ }

// add adds the bucket that follows.
func (b *Bucket) add(o *Bucket) {
	b.Asked += o.Asked
	b.Answered += o.Answered
	b.Slow += o.Slow
	b.Failed += o.Failed
	b.NotAsked += o.NotAsked
	b.Longest = max(b.Longest, o.Longest)
	for i, n := range o.Rows {
		b.Rows[i] += n
	}
	for i, n := range o.Servers {
		b.Servers[i] += n
	}
}

// Join returns the timeline with at most that many buckets.
func (t Timeline) Join(most int) Timeline {
	each := (len(t.Buckets) + most - 1) / most
	if each <= 1 {
		return t
	}
	joined := Timeline{Width: t.Width * Seconds(each)}
	for i, b := range t.Buckets {
		if i%each == 0 {
			joined.Buckets = append(joined.Buckets, Bucket{})
		}
		joined.Buckets[i/each].add(&b)
	}
	return joined
}

// A timeline has the buckets of a probe, of equal width.
type timeline struct {
	width   time.Duration
	buckets []Bucket
}

func newTimeline(every time.Duration) timeline {
	return timeline{width: max(every, 10*time.Millisecond)}
}

// at returns the bucket of a time.
func (t *timeline) at(when time.Duration) *Bucket {
	for when >= maxBuckets*t.width {
		t.halve()
	}
	i := int(when / t.width)
	for len(t.buckets) <= i {
		t.buckets = append(t.buckets, Bucket{})
	}
	return &t.buckets[i]
}

// halve makes one bucket of each two.
func (t *timeline) halve() {
	t.width *= 2
	half := (len(t.buckets) + 1) / 2
	for i := range half {
		b := t.buckets[2*i]
		if 2*i+1 < len(t.buckets) {
			b.add(&t.buckets[2*i+1])
		}
		t.buckets[i] = b
	}
	t.buckets = t.buckets[:half]
}
