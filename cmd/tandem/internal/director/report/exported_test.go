// SPDX-License-Identifier: Apache-2.0

package report

import (
	"go/ast"
	"go/parser"
	"go/token"
	"net/netip"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/core"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/hooks"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/election/message"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/garp"
	"github.com/tandem-lvs/tandem/vrrp"
)

// everything is a director that has something to say in each metric.
func everything() Metrics {
	now := time.Unix(1_800_000_000, 0)
	server := api.Server{Address: netip.MustParseAddr("192.0.2.11"), Port: 80, Health: "healthy", Since: now,
		Checks: []api.Check{{Type: "http", Health: "healthy"}}}
	shot := pairedShot()
	shot.Config.Routers = []configs.Router{{Config: vrrp.Config{Name: "web", Interface: "eth0"}}}
	shot.Report = message.Report{
		Routers: []vrrp.Status{{Name: "web", Interface: "eth0", Counters: vrrp.Counters{Drops: vrrp.Drops{vrrp.DropWrongTTL: 1}}}},
		Interfaces: []message.Interface{{Name: "eth0", Stray: vrrp.Drops{vrrp.DropUnknownVRID: 1}, Announce: garp.Stats{Requests: 1},
			Repairs: 2}},
	}
	shot.StateDir = core.StateDir{Unowned: "no space left"}
	router := api.Router{
		Name: "web", Interface: "eth0", State: vrrp.Master.String(), Asked: &api.Asked{}, Track: []api.Track{{Name: "interface eth1"}},
		Paths: []api.Path{{Name: "eth0", State: vrrp.PathHeard.String()}}, PreemptSyncLimit: "1m0s", Waits: &api.SyncWait{Known: true, Of: 2},
	}
	return Metrics{State: shot, ElectionRunning: true, Status: api.Status{
		Name: "lb1", VRRP: []api.Router{router}, Services: []api.Service{{Name: "www", Servers: []api.Server{server}}},
		Hooks: hookStatus([]hooks.Stat{failingHook()}), Peer: peerStatus(shot),
		Drills: []api.Drill{{Kind: "failover", OutageSeconds: new(0.25), LastPassed: now}, {Kind: "freeze"}},
	}}
}

// A series is the labels of a metric, with the values that everything has.
type series map[string]map[string]bool

func (s series) set(label, value string) {
	if s[label] == nil {
		s[label] = make(map[string]bool)
	}
	s[label][value] = true
}

// exported returns the metrics of everything, as Prometheus stores them.
func exported(t *testing.T) map[string]series {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(collecting(func(out sink) { Collect(out, everything()) }),
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]series)
	for _, f := range families {
		suffixes := []string{""}
		if f.Metric[0].Histogram != nil {
			suffixes = []string{"_sum", "_count", "_bucket"}
		}
		for _, suffix := range suffixes {
			is := make(series)
			all[f.GetName()+suffix] = is
			for _, m := range f.Metric {
				for _, label := range m.Label {
					is.set(label.GetName(), label.GetValue())
				}
				if suffix == "_bucket" {
					is.set("le", "+Inf")
				}
			}
		}
	}
	return all
}

// declared returns the names of the metrics in the source of this package.
func declared(t *testing.T) (names []string) {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		tree, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(tree, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			if f, ok := call.Fun.(*ast.Ident); !ok || f.Name != "desc" {
				return true
			}
			literal, ok := call.Args[0].(*ast.BasicLit)
			if !ok {
				t.Fatalf("%s: the name of a metric is no literal", file)
			}
			name, err := strconv.Unquote(literal.Value)
			if err != nil {
				t.Fatal(err)
			}
			names = append(names, "tandem_"+name)
			return true
		})
	}
	return names
}

// TestEachMetricIsExported: a director sends each metric that this package declares.
func TestEachMetricIsExported(t *testing.T) {
	names, got := declared(t), exported(t)
	if len(names) < 80 {
		t.Fatalf("the source declares %d metrics: it is read wrongly", len(names))
	}
	for _, name := range names {
		if got[name] == nil && got[name+"_bucket"] == nil {
			t.Errorf("%s is declared and never sent", name)
		}
	}
	for name, want := range map[string][]float64{
		"tandem_state_dir_fails": {1}, "tandem_election_running": {1}, "tandem_ipvs_in_line": {1}, "tandem_address_repairs_total": {2},
	} {
		if got := values(t, name, everything()); len(got) != 1 || got[0] != want[0] {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	broken := everything()
	broken.ElectionRunning, broken.State.StateDir, broken.Status.Table = false, core.StateDir{}, &api.TableFault{}
	for _, name := range []string{"tandem_state_dir_fails", "tandem_election_running", "tandem_ipvs_in_line"} {
		if got := values(t, name, broken); len(got) != 1 || got[0] != 0 {
			t.Errorf("%s is %v, want 0", name, got)
		}
	}
	broken.State.Config.Routers = nil
	if got := values(t, "tandem_election_running", broken); got != nil {
		t.Errorf("without virtual routers tandem_election_running is %v", got)
	}
}

// values returns the values of a counter or gauge.
func values(t *testing.T, name string, m Metrics) (all []float64) {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(collecting(func(out sink) { Collect(out, m) }))
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.Metric {
			all = append(all, m.GetCounter().GetValue()+m.GetGauge().GetValue())
		}
	}
	return all
}
