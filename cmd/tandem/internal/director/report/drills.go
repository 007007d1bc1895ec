// SPDX-License-Identifier: Apache-2.0

package report

import (
	"cmp"
	"fmt"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
)

var (
	drillOutageDesc = desc("drill_last_outage_seconds",
		"The outage in the last drill of a kind: as clients saw it if they were asked, else the longest time without a known master; absent if it is not known.", "kind")
	drillSuccessDesc = desc("drill_last_success_timestamp_seconds", "When the last drill of a kind that passed ended; absent before the first.", "kind")
)

// drillWarnings returns a sentence about the drill under way.
func drillWarnings(d *api.DrillUnderWay) []string {
	if d == nil {
		return nil
	}
	text := fmt.Sprintf("a drill is under way: %s, ordered by %s at %s; ", d.Kind, cmp.Or(d.By, "an operator"), d.Began.UTC().Format(time.RFC3339))
	if d.Undone.IsZero() {
		return []string{text + "its failure is undone at " + d.Until.UTC().Format(time.RFC3339) + " at the latest"}
	}
	return []string{text + "its failure is undone, and it waits until all is as before"}
}

func collectDrills(out sink, all []api.Drill) {
	for _, d := range all {
		if d.OutageSeconds != nil {
			out.gauge(drillOutageDesc, *d.OutageSeconds, d.Kind)
		}
		if !d.LastPassed.IsZero() {
			out.gauge(drillSuccessDesc, float64(d.LastPassed.UnixMilli())/1000, d.Kind)
		}
	}
}
