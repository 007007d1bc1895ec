// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/healthcheck/internal/probetest"
)

// BenchmarkSet is the time of a Set of 10,000 targets of which one has changed.
func BenchmarkSet(b *testing.B) {
	targets := make([]healthcheck.Target, 10_000)
	for i := range targets {
		targets[i] = probetest.HTTPTarget(netip.AddrPortFrom(loopback(i), 80), time.Second)
		targets[i].ID = fmt.Sprintf("service-%d/192.0.2.%d:80", i/10, i)
	}
	r := New(Options{})
	r.Set(targets)
	r.begin(nil)
	r.poller = nil
	b.ReportAllocs()
	for b.Loop() {
		targets[5000].Config.Fall = targets[5000].Config.Fall%5 + 1
		r.Set(targets)
	}
}
