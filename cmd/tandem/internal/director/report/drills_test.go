// SPDX-License-Identifier: Apache-2.0

package report

import (
	"slices"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/core"
	"github.com/tandem-lvs/tandem/configs"
)

// TestDrills: the status has the drill under way, with a warning, and the last ones.
func TestDrills(t *testing.T) {
	began := time.Unix(1_800_000_000, 0)
	shot := &core.Snapshot{Config: &configs.Config{}, Drills: core.Drills{
		UnderWay: &api.DrillUnderWay{Kind: "freeze", By: "root", Began: began, Until: began.Add(time.Minute)}, Last: []api.Drill{{Kind: "cable"}},
	}}
	s := Status(Input{State: shot})
	const want = "a drill is under way: freeze, ordered by root at 2027-01-15T08:00:00Z; its failure is undone at 2027-01-15T08:01:00Z at the latest"
	if s.Drill != shot.Drills.UnderWay || len(s.Drills) != 1 || !slices.Equal(s.Warnings, []string{want}) {
		t.Errorf("%+v, %+v, %q", s.Drill, s.Drills, s.Warnings)
	}
	shot.Drills.UnderWay = &api.DrillUnderWay{Kind: "freeze", Began: began, Undone: began.Add(time.Second)}
	const undone = "a drill is under way: freeze, ordered by an operator at 2027-01-15T08:00:00Z; its failure is undone, and it waits until all is as before"
	if s = Status(Input{State: shot}); !slices.Equal(s.Warnings, []string{undone}) {
		t.Errorf("%q", s.Warnings)
	}
	shot.Drills = core.Drills{}
	if s = Status(Input{State: shot}); s.Drill != nil || s.Drills != nil || len(s.Warnings) > 0 {
		t.Errorf("without a drill: %+v, %q", s.Drill, s.Warnings)
	}
}

// TestMetricsOfDrills: what is not known is absent.
func TestMetricsOfDrills(t *testing.T) {
	for name, want := range map[string][]float64{
		"tandem_drill_last_outage_seconds": {0.25}, "tandem_drill_last_success_timestamp_seconds": {1_800_000_000},
	} {
		if got := values(t, name, everything()); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}
