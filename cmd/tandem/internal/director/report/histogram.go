// SPDX-License-Identifier: Apache-2.0

package report

import (
	"math"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/tandem-lvs/tandem/vrrp"
)

// A histogram is one of Prometheus's in both forms: with classic buckets, and as a native histogram. A scraper takes what it knows.
type histogram struct {
	prometheus.Metric // with classic buckets
	native            prometheus.Metric
}

// histogram sends a histogram of a router. The counts are of the classes with these bounds; Prometheus wants them as cumulative sums.
func (s sink) histogram(d *prometheus.Desc, bounds []time.Duration, counts []uint64, powers vrrp.Powers, sum time.Duration, router string) {
	buckets, classic := make(map[float64]uint64), uint64(0)
	for i, bound := range bounds {
		classic += counts[i]
		buckets[bound.Seconds()] = classic
	}
	classic += counts[len(bounds)]
	exponential, all := make(map[int]int64), uint64(0)
	for i, n := range powers {
		if all += n; n > 0 && i > 0 {
			exponential[vrrp.FirstPower+i] = int64(n)
		}
	}
	if all < classic { // they come from an election of another version, which has none
		s <- prometheus.MustNewConstHistogram(d, classic, sum.Seconds(), buckets, router)
		return
	}
	s <- histogram{
		prometheus.MustNewConstHistogram(d, all, sum.Seconds(), buckets, router),
		prometheus.MustNewConstNativeHistogram(d, all, sum.Seconds(), exponential, nil, powers[0], vrrp.PowersSchema, leastPower,
			time.Time{}, router),
	}
}

// leastPower is the end of the first class of powers in seconds. Prometheus calls this class the zero bucket.
var leastPower = math.Exp2(float64(vrrp.FirstPower) / (1 << vrrp.PowersSchema))

// Write writes both forms.
func (h histogram) Write(out *dto.Metric) error {
	var native dto.Metric
	if err := h.native.Write(&native); err != nil {
		return err
	}
	if err := h.Metric.Write(out); err != nil {
		return err
	}
	to, from := out.Histogram, native.Histogram
	to.Schema, to.ZeroThreshold, to.ZeroCount = from.Schema, from.ZeroThreshold, from.ZeroCount
	to.PositiveSpan, to.PositiveDelta = from.PositiveSpan, from.PositiveDelta
	return nil
}
