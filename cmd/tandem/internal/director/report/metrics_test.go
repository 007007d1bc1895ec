// SPDX-License-Identifier: Apache-2.0

package report

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/election/message"
	"github.com/tandem-lvs/tandem/vrrp"
)

// A collecting is a prometheus.Collector that collects what a function sends.
type collecting func(sink)

func (c collecting) Describe(chan<- *prometheus.Desc)    {}
func (c collecting) Collect(ch chan<- prometheus.Metric) { c(ch) }

func TestMetricsOfStrays(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(collecting(func(out sink) {
		collectVRRP(out, nil, message.Report{Interfaces: []message.Interface{
			{Name: "eth0", Stray: vrrp.Drops{vrrp.DropUnknownVRID: 3}}, {Name: "eth1"},
		}})
	}))
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "tandem_vrrp_strays_dropped_total" {
			if len(f.Metric) != 1 || f.Metric[0].GetCounter().GetValue() != 3 {
				t.Errorf("%v", f)
			}
			return
		}
	}
	t.Error("there is no such metric")
}

// TestMetricsOfServices collects the metrics through a registry, which refuses duplicates.
func TestMetricsOfServices(t *testing.T) {
	stats := api.Stats{Connections: 7, InPackets: 70, OutPackets: 71, InBytes: 700, OutBytes: 701}
	server := api.Server{Address: netip.MustParseAddr("192.0.2.11"), Port: 80, Health: "healthy", EffectiveWeight: 3,
		Since: time.Unix(1_800_000_000, 0), Active: 2, Inactive: 1, Stats: stats,
		Checks: []api.Check{{Type: "http", Health: "healthy"}, {Type: "tcp", Health: "unhealthy"}, {Type: "tcp", Health: "unknown"}}}
	sorry := server
	server.Unanswered = &api.Unanswered{Connections: 37}
	sorry.Address, sorry.Sorry = netip.MustParseAddr("192.0.2.20"), true
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(collecting(func(out sink) {
		collectServices(out, []api.Service{
			{Name: "www", Stats: stats, Servers: []api.Server{server, sorry}}, {Name: "mail", QuorumLost: true, Stats: stats},
		})
	}))
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string][]float64{}
	for _, f := range families {
		for _, m := range f.Metric {
			got[f.GetName()] = append(got[f.GetName()], m.GetCounter().GetValue()+m.GetGauge().GetValue())
		}
	}
	for name, want := range map[string][]float64{
		"tandem_service_quorum":                 {0, 1}, // mail before www
		"tandem_service_connections_total":      {7, 7},
		"tandem_service_packets_total":          {70, 70, 71, 71}, // in before out
		"tandem_service_bytes_total":            {700, 700, 701, 701},
		"tandem_server_connections_total":       {7, 7},
		"tandem_server_packets_total":           {70, 70, 71, 71},
		"tandem_server_bytes_total":             {700, 700, 701, 701},
		"tandem_server_weight":                  {3, 3},
		"tandem_server_unanswered":              {1, 0},
		"tandem_server_since_timestamp_seconds": {1_800_000_000, 1_800_000_000},
		"tandem_check_healthy":                  {1, 1, 0, 0}, // the first of each server, then the second
	} {
		if !slices.Equal(got[name], want) {
			t.Errorf("%s: got %v, want %v", name, got[name], want)
		}
	}
}
