// SPDX-License-Identifier: Apache-2.0

//go:build ipvs

package lvs

import (
	"path/filepath"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/tandem-lvs/tandem/integration/nstest"
	"github.com/vishvananda/netlink"
)

// BenchmarkRealKernel measures a table of 1,000 services with 10 servers each: to fill it from empty and remove it,
// a pass that changes nothing, and the look of every second.
func BenchmarkRealKernel(b *testing.B) {
	nstest.New(b).Do(func() {
		lo, err := netlink.LinkByName("lo")
		if err == nil {
			err = netlink.AddrAdd(lo, &netlink.Addr{IPNet: netlink.NewIPNet([]byte{192, 0, 2, 1})})
		}
		own, e := OpenOwnership(filepath.Join(b.TempDir(), "ownership.json"))
		if err != nil || e != nil {
			b.Error(err, e)
			return
		}
		k := NewKernel(hclog.NewNullLogger())
		table, want := NewTable(k, own, hclog.NewNullLogger()), bigTable(1000, 10)
		// Sub-benchmarks would run on other threads, outside the namespace.
		for _, step := range []struct {
			unit string
			do   func() error
		}{
			{"ms/fill", func() error { _, err := table.Reconcile(b.Context(), want); return err }},
			{"ms/unchanged", func() error { _, err := table.Reconcile(b.Context(), want); return err }},
			{"ms/look", func() error { _, err := table.Drifted(b.Context(), want); return err }},
			{"ms/remove", func() error { _, err := table.Remove(b.Context()); return err }},
		} {
			before := b.Elapsed()
			if err := step.do(); err != nil {
				b.Errorf("%s: %v", step.unit, err)
			}
			b.ReportMetric(float64((b.Elapsed()-before).Microseconds())/1000, step.unit)
		}
		if err := k.Close(); err != nil {
			b.Error(err)
		}
	})
}
