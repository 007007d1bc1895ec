// SPDX-License-Identifier: Apache-2.0

package report

import (
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
)

// namedCount are gauges whose names end as those of histograms do. Dashboards have these names.
var namedCount = []string{"tandem_warnings_count", "tandem_rivals_count", "tandem_peer_drift_count", "tandem_peer_servers_differ_count",
	"tandem_peer_orders_differ_count"}

// TestMetricsAreNamedAsUsual: Prometheus's own rules for names, units and help texts; and each help text is a sentence.
func TestMetricsAreNamedAsUsual(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(collecting(func(out sink) { Collect(out, everything()) }))
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if help := f.GetHelp(); !strings.HasSuffix(help, ".") {
			t.Errorf("%s: the help text is no sentence: %q", f.GetName(), help)
		}
	}
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if !slices.Contains(namedCount, p.Metric) || !strings.Contains(p.Text, `"_count" suffix`) {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
}
