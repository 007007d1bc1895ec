// SPDX-License-Identifier: Apache-2.0

package report

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/core"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/revision"
	"github.com/tandem-lvs/tandem/configs"
)

// TestRevisions: the status, its warnings and the metrics say what is in force, and what waits.
func TestRevisions(t *testing.T) {
	until := time.Date(2026, 11, 22, 12, 5, 0, 0, time.UTC)
	state := revision.State{}.Put(revision.Revision{SHA256: "a", How: revision.Started, File: "/etc/t.toml"}, "a")
	other := state.Put(revision.Revision{SHA256: "b", How: revision.Applied, File: "/root/new.toml"}, "a")
	waits := other
	waits.Waiting = &revision.Waiting{Former: 1}
	const apart = "revision 2 of the configuration (apply of /root/new.toml) is in force, and not the director's own file: that file counts when it changes, or with tandem apply"
	for _, tt := range []struct {
		why          string
		is           core.Revisions
		revision     int
		apart, waits float64
		rolledBack   float64
		warnings     string
	}{
		{"nothing is known", core.Revisions{}, 0, 0, 0, 0, ""},
		{"the own file", core.Revisions{State: state}, 1, 0, 0, 0, ""},
		{"another file", core.Revisions{State: other, RolledBack: 3}, 2, 1, 0, 3, apart},
		{"another file that waits", core.Revisions{State: waits, Until: until}, 2, 1, 1, 0,
			"revision 2 of the configuration waits for confirmation until 2026-11-22T12:05:00Z: run tandem confirm, otherwise revision 1 follows\n" + apart},
	} {
		shot := &core.Snapshot{Config: &configs.Config{}, Revisions: tt.is}
		status := Status(Input{State: shot})
		if got := strings.Join(status.Warnings, "\n"); got != tt.warnings {
			t.Errorf("%s: %q, want %q", tt.why, got, tt.warnings)
		}
		c := status.Config
		if c.Revision != tt.revision || c.Apart != (tt.apart == 1) || (c.Waits != nil) != (tt.waits == 1) || c.Waits != nil && (c.Waits.Former != 1 || !c.Waits.Until.Equal(until)) {
			t.Errorf("%s: %+v", tt.why, c)
		}
		registry := prometheus.NewPedanticRegistry()
		registry.MustRegister(collecting(func(out sink) { Collect(out, Metrics{Status: status, State: shot}) }))
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]float64{
			"tandem_config_revision": float64(tt.revision), "tandem_config_apart": tt.apart,
			"tandem_config_waits_for_confirmation": tt.waits, "tandem_config_rollbacks_total": tt.rolledBack,
		}
		for _, f := range families {
			value, ok := want[f.GetName()]
			delete(want, f.GetName())
			if m := f.Metric[0]; ok && m.GetGauge().GetValue()+m.GetCounter().GetValue() != value {
				t.Errorf("%s: %s is %v, want %f", tt.why, f.GetName(), m, value)
			}
		}
		if len(want) > 0 {
			t.Errorf("%s: no metrics %v", tt.why, want)
		}
	}
}
