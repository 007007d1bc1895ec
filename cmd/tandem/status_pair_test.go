// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/drill"
)

// TestForecast: tandem status --pair says what a failover would cost, in words and as JSON, or why that is not known.
func TestForecast(t *testing.T) {
	a, b, socket := twins(t)
	const cut = "a cable cut or a crash of lb1 now: up to 341ms without the VIPs, and no connection is established\n"
	out, _, err := execute(t, "status", "--pair", "--socket", socket)
	if err != nil || !strings.Contains(out, cut) || !strings.Contains(out, "\nlast drill: none is known: see tandem drill --help\n") {
		t.Errorf("%v\n%s", err, out)
	}
	out, _, err = execute(t, "status", "--pair", "--json", "--socket", socket)
	var is struct {
		Name     string
		Forecast *drill.Forecast
	}
	if err != nil || json.Unmarshal([]byte(out), &is) != nil || is.Name != "lb1" || is.Forecast == nil || len(is.Forecast.Failures) != 1 ||
		is.Forecast.Failures[0].Silent.String() != "341ms" || !strings.HasPrefix(out, "{\n  \"name\": \"lb1\"") {
		t.Errorf("%v\n%s", err, out)
	}
	if out, _, err = execute(t, "status", "--json", "--socket", socket); err != nil || strings.Contains(out, "forecast") {
		t.Errorf("%v\n%s", err, out)
	}
	b.version = "v0"
	const unknown = "what a failover would cost is not known: the other director cannot be asked: lb2 is older (tandem v0) and cannot do it: update it\n" +
		"last drill: none is known (those of the other director are not known): see tandem drill --help\n"
	if out, _, err = execute(t, "status", "--pair", "--socket", socket); err != nil || !strings.Contains(out, unknown) {
		t.Errorf("%v\n%s", err, out)
	}
	// While the channel is lost, nobody is asked.
	s := a.Status()
	s.Peer.To = control.PeerHalf{Problem: "connection refused"}
	if f := forecast(t.Context(), control.NewClient("/none"), s); !strings.Contains(f.NotKnown, "connection refused") {
		t.Errorf("%+v", f)
	}
}

// TestForecastText: the last drill is told with its age and its director.
func TestForecastText(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	f := drill.Forecast{LastDrill: &control.Drill{Kind: "cable", Ended: now.Add(-3 * time.Hour), Result: "passed", OutageSeconds: new(3.6)}, LastDrillOf: "lb2"}
	var b bytes.Buffer
	writeForecast(&b, &f, now)
	if got := b.String(); got != "last drill, 3h0m ago on lb2: cable: passed; outage at most 3.6s\n" {
		t.Error(got)
	}
}
