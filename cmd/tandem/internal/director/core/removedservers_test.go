// SPDX-License-Identifier: Apache-2.0

package core

import (
	"encoding/json"
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/lvs"
)

func TestServersDrainForTheirConnections(t *testing.T) {
	before := www(false, lvs.WeightZero)
	after := www(false, lvs.WeightZero)
	after.Servers = after.Servers[:1]
	s := started(with(before))
	if s.Step(noon, Reload{Config: with(after)}); len(s.draining) != 0 {
		t.Errorf("without drain_timeout %v stay", s.draining)
	}
	after.DrainTimeout = time.Minute
	s = started(with(before))
	out := s.Step(noon, Reload{Config: with(after)})
	if got := weights(s); got != "11=3 12=0" || !out.Draining {
		t.Errorf("got %s", got)
	}
	// A second reload gives the server no more time. A reload that configures it again ends its draining.
	draining := s.draining
	s.Step(noon.Add(time.Second), Reload{Config: with(after)})
	if !sameDrains(s.draining, draining) {
		t.Errorf("%v became %v", draining, s.draining)
	}
	before.DrainTimeout = time.Minute
	if s.Step(noon, Reload{Config: with(before)}); len(s.draining) != 0 {
		t.Errorf("%v drain", s.draining)
	}
}

// A service that was removed stays at weight 0 for the connections of its servers, as a single removed server does.
func TestServersOfAServiceThatIsGoneDrain(t *testing.T) {
	svc := www(false, lvs.WeightZero)
	s := started(with(svc))
	if s.Step(noon, Reload{Config: with()}); len(s.draining) != 0 {
		t.Errorf("without drain_timeout %v stay", s.draining)
	}
	svc.DrainTimeout = time.Minute
	s = started(with(svc))
	s.Step(noon, Reload{Config: with()})
	if got := s.Wanted(); len(got) != 1 || got[0].Service != svc.Virtuals[0] || weights(s) != "11=0 12=0" {
		t.Fatalf("got %+v", got)
	}
	// The next configuration does not contain the service either.
	draining := s.draining
	if s.Step(noon.Add(time.Second), Reload{Config: with()}); !sameDrains(s.draining, draining) {
		t.Errorf("%v became %v", draining, s.draining)
	}
	out := s.Step(noon.Add(time.Minute), Tick{})
	if len(s.draining) != 0 || len(s.Wanted()) != 0 || len(out.Table.Remove) != 1 || len(lines(out)) != 2 {
		t.Errorf("in the end %v drain and %v stays", s.draining, s.Wanted())
	}
	s = started(with(svc))
	s.Step(noon, Reload{Config: with()})
	if s.Step(noon, Reload{Config: with(svc)}); len(s.draining) != 0 {
		t.Errorf("%v drain of a service that is back", s.draining)
	}
}

func TestDrainsOutliveTheProcess(t *testing.T) {
	svc := www(false, lvs.WeightZero)
	svc.DrainTimeout = time.Minute
	lone := svc
	lone.Servers = svc.Servers[:1]
	s := started(with(lone))
	former := graces([]configs.Service{svc})
	s.drain(nil, nil)
	s.Step(noon, Reload{Config: with()})
	text, err := json.Marshal(saveDrains(former, s.draining))
	if err != nil {
		t.Fatal(err)
	}
	var saved Drains
	if err := json.Unmarshal(text, &saved); err != nil {
		t.Fatal(err)
	}
	given, _, err := saved.read()
	if err != nil || !maps.Equal(given, former) {
		t.Errorf("got %v, %v, want %v", given, err, former)
	}
	// Half a minute later, in the next process: server 11 has the rest of its time, server 12 has all of it.
	s = New()
	s.Step(seconds(30), Start{Config: with(), Drains: saved})
	s.Step(seconds(30), TableRead{Entries: tableOf(svc, "11=0 12=5"), Owned: map[lvs.ServiceID]bool{svc.Virtuals[0].ServiceID: true}})
	later := s.draining[svc.Virtuals[0].ServiceID]
	if len(later) != 2 || !later[0].until.Equal(seconds(60)) || !later[1].until.Equal(seconds(90)) {
		t.Errorf("got %+v", later)
	}
	for _, saved := range []Drains{
		{Graces: []savedGrace{{Virtual: "tcp"}}},
		{Graces: []savedGrace{{Virtual: "tcp 192.0.2.100:80", Timeout: "soon"}}},
		{Leaving: []savedDrain{{Virtual: "tcp"}}},
	} {
		if _, _, err := saved.read(); err == nil {
			t.Errorf("%+v is read without an error", saved)
		}
	}
}

func TestDrainsEndWithTheLastConnection(t *testing.T) {
	svc := www(false, lvs.WeightZero)
	svc.DrainTimeout = time.Minute
	id := svc.Virtuals[0].ServiceID
	row := func(weight, active, inactive int) []lvs.Row {
		srv := tableOf(svc, fmt.Sprintf("13=%d", weight))[0].Servers[0]
		return []lvs.Row{{Service: svc.Virtuals[0], Servers: []lvs.ServerRow{{Server: srv, Active: active, Inactive: inactive}}}}
	}
	for _, c := range []struct {
		why   string
		rows  []lvs.Row
		after time.Duration
		gone  bool
	}{
		{"a connection is left", row(0, 1, 0), 0, false},
		{"one is closing", row(0, 0, 1), 0, false},
		{"none is left", row(0, 0, 0), 0, true},
		{"the kernel does not know yet that it drains", row(2, 0, 0), 0, false},
		{"the look does not show it", nil, 0, false},
		{"its time is over", row(0, 7, 0), time.Minute, true},
	} {
		s := started(with(svc), tableOf(svc, "13=1")...)
		if len(s.draining[id]) != 1 {
			t.Fatalf("%v drain", s.draining)
		}
		if s.Step(noon.Add(c.after), Connections{c.rows}); (len(s.draining[id]) == 0) != c.gone {
			t.Errorf("%s: %v", c.why, s.draining)
		}
	}
}
