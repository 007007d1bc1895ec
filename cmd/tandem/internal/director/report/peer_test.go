// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/core"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/peer/message"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/healthcheck"
)

var evening = time.Date(2026, 11, 22, 20, 0, 0, 0, time.UTC)

// pairedShot is a director that sees one server healthy and one unhealthy, and whose peer sees both the other way round.
func pairedShot() *core.Snapshot {
	ago := func(d time.Duration) time.Time { return evening.Add(-d) }
	server := func(id string, health healthcheck.Health, since time.Duration) core.Server {
		return core.Server{ID: id, Checked: true, Verdict: healthcheck.TargetStatus{Health: health, Reason: "refused", Since: ago(since)}}
	}
	up := core.PeerHalf{Up: true, Since: ago(time.Hour)}
	shot := &core.Snapshot{
		Now: evening, Config: &configs.Config{Name: "lb1", Peer: configs.Peer{Address: netip.MustParseAddrPort("10.0.0.2:8474")}},
		Services: []*core.Service{{Servers: []core.Server{
			server("www/192.0.2.11:80", healthcheck.Healthy, time.Hour), server("www/192.0.2.12:80", healthcheck.Unhealthy, 59*time.Second),
			server("www/192.0.2.13:80", healthcheck.Unknown, time.Hour), server("www/192.0.2.14:80", healthcheck.Healthy, time.Hour),
		}}},
		Peer: &core.Peer{
			Channel: core.PeerChannel{To: up, From: up, Name: "lb2", Version: "v1", Refused: 3, Refusal: "10.0.0.9: x"}, HeardAt: ago(time.Second),
			Skew: message.Skew{Ahead: -1500 * time.Millisecond, Error: 400 * time.Millisecond, Known: true},
			View: &message.View{
				Servers: []message.Server{
					{Name: "www/192.0.2.11:80", Health: "unhealthy", Reason: "timeout", Since: ago(2 * time.Minute)}, {Name: "www/192.0.2.12:80"},
					{Name: "www/192.0.2.13:80", Health: "unhealthy"}, {Name: "www/192.0.2.14:80", Health: "unchecked"}, {Name: "www/192.0.2.15:80"},
				},
				Routers: []message.Router{{Name: "web", Family: 4, State: "backup", Priority: 100}},
			},
			Drift: []core.Difference{{Wrong: true, Text: "one"}, {Text: "two"}},
			Orders: []core.OrderDifference{
				{Server: "www/192.0.2.11:80", Here: "drained by command", There: "as configured", Why: "--local on lb1", Meant: true},
				{Server: "www/192.0.2.12:80", Here: "as configured", There: "drained by command", Why: "ordered before the directors had a channel: order it again"},
				{Server: "www/192.0.2.13:80", Why: core.OrderComing},
			},
		},
	}
	shot.Peer.Seen = core.ByName(shot.Peer.View.Servers)
	return shot
}

// TestUnansweredThere: servers that do not answer the clients of the other director are shown, as long as the channel works.
func TestUnansweredThere(t *testing.T) {
	shot := pairedShot()
	shot.Peer.View.Servers[1].Unanswered = &message.Unanswered{Connections: 37, OthersPercent: 99, Since: evening}
	want := api.Unanswered{Server: "www/192.0.2.12:80", Since: evening, Connections: 37, OthersPercent: 99, Checked: true}
	if got := peerStatus(shot).Unanswered; len(got) != 1 || got[0] != want {
		t.Errorf("got %+v", got)
	}
	shot.Peer.Lost = "it fell silent"
	if got := peerStatus(shot).Unanswered; got != nil {
		t.Errorf("without channel: %+v", got)
	}
}

// TestPeerWarnings: what an operator must do something about is a warning, and what passes by itself, or was meant, is none.
func TestPeerWarnings(t *testing.T) {
	shot := pairedShot()
	want := []string{
		"the configurations of both directors differ: one",
		"the clock of lb2 is 1.5s behind (± 400ms): run NTP on both directors",
	}
	shot.Peer.Skew.Error = 600 * time.Millisecond // then it is not certain
	want = append(want[:1], "the directors have different orders about www/192.0.2.12:80 (here as configured, on lb2 drained by command: ordered before the directors had a channel: order it again)",
		"the directors see real servers differently, so a failover changes who serves: www/192.0.2.11:80 (here healthy, on lb2 unhealthy: timeout); look at the way from each director to the server")
	if got := peerWarnings(shot); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	shot = pairedShot()
	if got := peerWarnings(shot); len(got) != 4 || got[1] != "the clock of lb2 is 1.5s behind (± 400ms): run NTP on both directors" {
		t.Errorf("%q", got)
	}
	shot.Peer = &core.Peer{Lost: "nobody listens there", LostAt: evening.Add(-9 * time.Second)}
	if got := peerWarnings(shot); len(got) != 0 {
		t.Errorf("%q", got)
	}
	shot.Now = evening.Add(time.Second)
	if got := peerWarnings(shot); len(got) != 1 || !strings.HasPrefix(got[0], "the channel to 10.0.0.2:8474 does not work since 2026-11-22T19:59:51Z: nobody listens there; ") {
		t.Errorf("%q", got)
	}
	shot.Peer = nil
	if got := peerWarnings(shot); got != nil || peerStatus(shot) != nil {
		t.Errorf("%q", got)
	}
}

func TestStatusAndMetricsOfThePeer(t *testing.T) {
	is := peerStatus(pairedShot())
	if fmt.Sprint(is.Servers) != "[{www/192.0.2.11:80 healthy unhealthy: timeout 2026-11-22 19:58:00 +0000 UTC} {www/192.0.2.12:80 unhealthy: refused healthy 2026-11-22 19:59:01 +0000 UTC}]" ||
		is.Name != "lb2" || len(is.Routers) != 1 || len(is.Drift) != 2 || len(is.Orders) != 3 || is.Clock.AheadSeconds != -1.5 {
		t.Errorf("%+v", is)
	}
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(collecting(func(out sink) { collectPeer(out, is); collectPeer(out, nil) }))
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]float64)
	for _, f := range families {
		for _, m := range f.Metric {
			got[f.GetName()] += m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	for name, want := range map[string]float64{
		"tandem_peer_connected": 2, "tandem_peer_heard_timestamp_seconds": float64(evening.Unix() - 1), "tandem_peer_clock_ahead_seconds": -1.5,
		"tandem_peer_clock_error_seconds": 0.4, "tandem_peer_refused_total": 3, "tandem_peer_drift_count": 2, "tandem_peer_drift_wrong": 1,
		"tandem_peer_servers_differ_count": 2, "tandem_peer_orders_differ_count": 3,
	} {
		if got[name] != want {
			t.Errorf("%s is %v, want %v", name, got[name], want)
		}
	}
	if len(got) != 9 {
		t.Errorf("%v", got)
	}
}
