// SPDX-License-Identifier: Apache-2.0

package report

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
	"github.com/tandem-lvs/tandem/vrrp"
)

// counted returns the histogram with this name of a router that took over after these times, and was as late.
func counted(t *testing.T, name string, finer bool, times ...time.Duration) *dto.Histogram {
	t.Helper()
	var c vrrp.Counters
	for _, d := range times {
		c.Takeovers.Counts[vrrp.Class(vrrp.TakeoverBounds[:], d)]++
		c.Lateness.Counts[vrrp.Class(vrrp.LatenessBounds[:], d)]++
		if finer {
			c.Takeovers.Powers[vrrp.PowerClass(d)]++
			c.Lateness.Powers[vrrp.PowerClass(d)]++
		}
		c.Takeovers.Sum += d
		c.Lateness.Sum += d
	}
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(collecting(func(out sink) {
		collectCounters(out, []api.Router{{Name: "web", Interface: "eth0"}}, []vrrp.Status{{Name: "web", Interface: "eth0", Counters: c}})
	}))
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name && len(f.Metric) == 1 && len(f.Metric[0].Label) == 1 && f.Metric[0].Label[0].GetValue() == "web" {
			return f.Metric[0].Histogram
		}
	}
	t.Fatalf("there is no %s of one router", name)
	return nil
}

// within returns how many are at most bound by the classic buckets.
func within(h *dto.Histogram, bound float64) uint64 {
	for _, b := range h.Bucket {
		if b.GetUpperBound() == bound {
			return b.GetCumulativeCount()
		}
	}
	return math.MaxUint64
}

// spread returns the upper bounds of the native buckets in seconds, one for each that is counted.
func spread(h *dto.Histogram) (bounds []float64) {
	for range h.GetZeroCount() {
		bounds = append(bounds, h.GetZeroThreshold())
	}
	index, population, delta := int32(0), int64(0), 0
	for _, span := range h.PositiveSpan {
		index += span.GetOffset()
		for range span.GetLength() {
			population += h.PositiveDelta[delta]
			for range population {
				bounds = append(bounds, math.Exp2(float64(index)/float64(int(1)<<h.GetSchema())))
			}
			index, delta = index+1, delta+1
		}
	}
	return bounds
}

func TestHistogramsHaveBothForms(t *testing.T) {
	times := []time.Duration{0, time.Millisecond, 300 * time.Millisecond, 3600 * time.Millisecond, 3600 * time.Millisecond, time.Hour}
	want := []float64{math.Exp2(-13), math.Exp2(-9.5), math.Exp2(-1.5), 4, 4, math.Exp2(8.5)}
	for name, classic := range map[string]map[float64]uint64{
		"tandem_vrrp_takeover_seconds":        {0.01: 2, 0.2: 2, 0.5: 3, 3: 3, 4: 5, 150: 5},
		"tandem_vrrp_advert_lateness_seconds": {0.001: 2, 0.2: 2, 0.5: 3, 1: 3},
	} {
		h := counted(t, name, true, times...)
		if h.GetSampleCount() != 6 || h.GetSampleSum() != 3607.501 {
			t.Errorf("%s: %d in %v s", name, h.GetSampleCount(), h.GetSampleSum())
		}
		for bound, n := range classic {
			if got := within(h, bound); got != n {
				t.Errorf("%s: %d within %v s, want %d", name, got, bound, n)
			}
		}
		if got := spread(h); !slices.Equal(got, want) {
			t.Errorf("%s: native buckets %v, want %v", name, got, want)
		}
	}
}

// An election of another version has no finer classes: its histogram has one form, which is whole.
func TestHistogramOfAnotherElection(t *testing.T) {
	h := counted(t, "tandem_vrrp_takeover_seconds", false, time.Second)
	if h.GetSampleCount() != 1 || within(h, 1) != 1 || h.Schema != nil || len(h.PositiveSpan) > 0 {
		t.Errorf("%v", h)
	}
	// Nobody took over: Prometheus still finds a native histogram, from its zero bucket.
	if h := counted(t, "tandem_vrrp_takeover_seconds", true); h.GetSampleCount() != 0 || h.Schema == nil || h.GetZeroThreshold() == 0 {
		t.Errorf("%v", h)
	}
}
