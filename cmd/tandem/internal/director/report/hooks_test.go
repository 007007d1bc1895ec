// SPDX-License-Identifier: Apache-2.0

package report

import (
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/hooks"
	"github.com/tandem-lvs/tandem/configs"
)

func failingHook() hooks.Stat {
	web := hooks.Subject{Kind: hooks.Router, Name: "web"}
	last := &hooks.Ended{Subject: web, What: configs.HookMaster, Attempt: 3,
		Result: hooks.Result{Problem: "exit code 1", At: time.Unix(1_800_000_000, 0), Took: 1500 * time.Millisecond}}
	return hooks.Stat{
		Hook:    &configs.Hook{Name: "alerts", On: []configs.HookEvent{configs.HookMaster}, URL: "https://x/y?token=z"},
		Running: 1, Waiting: 2, Failing: 3, Succeeded: 4, Failed: 5, Superseded: 6, Last: last, LastFailure: last, GivenUp: last,
	}
}

func TestHookWarnings(t *testing.T) {
	got := hookWarnings([]hooks.Stat{{Hook: &configs.Hook{Name: "well"}}, failingHook()})
	const want = "the hook alerts fails for router web, event master: exit code 1, and so it does for 2 others; " +
		"it is not tried again: repair it, then give the command tandem reload"
	if len(got) != 1 || got[0] != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestMetricsOfHooks(t *testing.T) {
	rows := hookStatus([]hooks.Stat{failingHook(), {Hook: &configs.Hook{Name: "new"}}})
	if url := rows[0].URL; url != "https://x/y?…" {
		t.Errorf("the status shows %s", url)
	}
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(collecting(func(out sink) { collectHooks(out, rows) }))
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string][]float64)
	for _, f := range families {
		for _, m := range f.Metric {
			got[f.GetName()] = append(got[f.GetName()], m.GetCounter().GetValue()+m.GetGauge().GetValue())
		}
	}
	for name, want := range map[string][]float64{
		"tandem_hook_runs_total":                 {5, 4, 0, 0}, // failure before success
		"tandem_hook_superseded_total":           {6, 0},
		"tandem_hook_running":                    {1, 0},
		"tandem_hook_waiting":                    {2, 0},
		"tandem_hook_failing":                    {3, 0},
		"tandem_hook_last_run_timestamp_seconds": {1_800_000_000},
		"tandem_hook_last_run_seconds":           {1.5},
	} {
		if !slices.Equal(got[name], want) {
			t.Errorf("%s: %v, want %v", name, got[name], want)
		}
	}
	if row := rows[0]; row.Last == nil || *row.Last != (api.HookRun{Subject: "router web", Event: "master", Attempt: 3,
		EndedAt: time.Unix(1_800_000_000, 0), TookSeconds: 1.5, Error: "exit code 1"}) || row.On[0] != "master" {
		t.Errorf("%+v", row)
	}
}
