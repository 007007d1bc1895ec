// SPDX-License-Identifier: Apache-2.0

package core

import (
	"slices"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/lvs"
)

// withSorry returns www with a sorry server, and a drain_timeout.
func withSorry() configs.Service {
	svc := www(true, lvs.WeightZero)
	sorry := svc.Servers[0]
	sorry.Addr = sorry.Addr.Next().Next() // 13
	sorry.Weight, sorry.Checks = 1, nil
	svc.Sorry, svc.DrainTimeout = &sorry, time.Minute
	return svc
}

// TestReloadKeepsWeightsOfTheKernel: a service that others have set up keeps its weights until its checks have results, whether
// the director starts with it or a reload adds it. The wanted tables are the same.
func TestReloadKeepsWeightsOfTheKernel(t *testing.T) {
	for _, c := range []struct {
		why    string
		svc    configs.Service
		kernel string // its weights in the kernel's table; empty: it is not there
		events []Event
		want   string
	}{
		{"nothing is there: new servers wait for their first check", www(true, lvs.WeightZero), "", nil, "11=0 12=0"},
		{"they serve", www(true, lvs.WeightZero), "11=3 12=5", nil, "11=3 12=5"},
		{"with other weights", www(true, lvs.WeightZero), "11=1 12=0", nil, "11=1 12=0"},
		{"one is new, and was never checked", www(true, lvs.WeightZero), "11=3", nil, "11=3 12=0"},
		{"also where unhealthy servers are removed", www(true, lvs.Remove), "11=3", nil, "11=3"},
		{"until a check has spoken", www(true, lvs.WeightZero), "11=1 12=5", []Event{is(first, down)}, "11=0 12=5"},
		{"or all", www(true, lvs.WeightZero), "11=1 12=1", both(up, up), "11=3 12=5"},
		{"without a check the file counts", www(false, lvs.WeightZero), "11=1 12=0", nil, "11=3 12=5"},
		{"a server that is not in the file drains", withSorry(), "11=3 14=7", nil, "11=3 12=0 14=0"},
		{"the sorry server goes on serving", withSorry(), "13=1", nil, "11=0 12=0 13=1"},
	} {
		var table []lvs.Entry
		if c.kernel != "" {
			table = tableOf(c.svc, c.kernel)
		}
		atStart := started(with(c.svc), table...)
		atStart.Step(noon, c.events...)

		byReload := started(with())
		out := byReload.Step(noon, Reload{Config: with(c.svc), Found: TableRead{Entries: table}})
		if out.Table == nil || !out.Table.Full {
			t.Fatalf("%s: the reload writes %+v", c.why, out.Table)
		}
		byReload.Step(noon, c.events...)

		for how, s := range map[string]*State{"a start": atStart, "a reload": byReload} {
			if got := weights(s); got != c.want {
				t.Errorf("%s: after %s: got %s, want %s", c.why, how, got, c.want)
			}
		}
	}
}

// TestReloadWritesNoWeight: the table of a reload that adds a service as the kernel has it differs from the kernel's in nothing.
func TestReloadWritesNoWeight(t *testing.T) {
	svc := www(true, lvs.WeightZero)
	table := tableOf(svc, "11=1 12=7")
	for i := range table[0].Servers {
		table[0].Servers[i].Method = lvs.DR
	}
	out := started(with()).Step(noon, Reload{Config: with(svc), Found: TableRead{Entries: table}})
	if changes := lvs.Diff(table, out.Table.Set, nil); len(changes) > 0 {
		t.Errorf("the reload writes %v", changes)
	}
}

// TestReloadStartsNoServerSlowly: a server that served before a reload has added its service has its full weight when its check
// passes, as after a start.
func TestReloadStartsNoServerSlowly(t *testing.T) {
	svc := www(true, lvs.WeightZero)
	svc.SlowStart = time.Minute
	passes := Verdict{ID: first, Status: healthcheck.TargetStatus{Health: up, Since: noon}}
	atStart := started(with(svc), tableOf(svc, "11=3")...)
	byReload := started(with())
	byReload.Step(noon, Reload{Config: with(svc), Found: TableRead{Entries: tableOf(svc, "11=3")}})
	for how, s := range map[string]*State{"a start": atStart, "a reload": byReload} {
		if s.Step(noon, passes); weights(s) != "11=3 12=0" {
			t.Errorf("after %s: %s", how, weights(s))
		}
	}
}

// TestReloadFindsOnlyWhatIsNew: the director's own services stay as it wants them, whatever the kernel has, and services that are
// not configured stay with the program that has set them up.
func TestReloadFindsOnlyWhatIsNew(t *testing.T) {
	svc := www(true, lvs.WeightZero)
	s := started(with(svc), tableOf(svc, "11=3 12=5")...)
	s.Step(noon, both(up, down)...)
	other := svc
	other.Virtuals = slices.Clone(svc.Virtuals)
	other.Virtuals[0].Port = 81
	found := TableRead{Entries: slices.Concat(tableOf(svc, "11=0 12=9"), tableOf(other, "11=3"))}
	out := s.Step(noon, Reload{Config: with(svc), Found: found})
	if got := weights(s); got != "11=3 12=0" {
		t.Errorf("after a reload: %s", got)
	}
	if len(s.Wanted()) != 1 {
		t.Errorf("wanted: %v", s.Wanted())
	}
	if slices.Contains(lines(out), "replacing what another program has set up in the IPVS table") {
		t.Errorf("lines %q", lines(out))
	}

	// A service that the reload itself removes, and that another program has changed.
	s = started(with(svc), tableOf(svc, "11=3 12=5")...)
	if s.Step(noon, Reload{Config: with(), Found: found}); len(s.Wanted()) != 0 {
		t.Errorf("wanted after the service was removed: %v", s.Wanted())
	}
}

// TestReloadBeforeTheFirstTable: a reload while the director reads the kernel's table for the first time adopts nothing: that
// reading does.
func TestReloadBeforeTheFirstTable(t *testing.T) {
	svc := www(true, lvs.WeightZero)
	s := New()
	s.Step(noon, Start{Config: with()})
	s.Step(noon, Reload{Config: with(svc), Found: TableRead{Entries: tableOf(svc, "11=1 12=1")}})
	s.Step(noon, TableRead{Entries: tableOf(svc, "11=2 12=0")})
	if got := weights(s); got != "11=2 12=0" {
		t.Errorf("got %s", got)
	}
}

// TestConfirmedReloadKeepsWeights: a reload that must be confirmed waits for the disk, and then does the same.
func TestConfirmedReloadKeepsWeights(t *testing.T) {
	svc := www(true, lvs.WeightZero)
	s := started(with())
	cfg := with(svc)
	cfg.SHA256 = "another"
	out := s.Step(noon, Reload{Config: cfg, Change: &Change{Confirm: time.Minute}, Found: TableRead{Entries: tableOf(svc, "11=3 12=5")}})
	if len(s.Wanted()) != 0 || len(out.Files) != 1 {
		t.Fatalf("before the disk has it: wanted %v, files %v", s.Wanted(), out.Files)
	}
	s.Step(noon, Stored{File: RevisionsFile, Generation: out.Files[0].Generation})
	if got := weights(s); got != "11=3 12=5" {
		t.Errorf("got %s", got)
	}
}

// TestRehearsalFindsTheTableToo: a plan shows the weights that the reload will write.
func TestRehearsalFindsTheTableToo(t *testing.T) {
	svc := www(true, lvs.WeightZero)
	s := started(with())
	r, err := s.Rehearse(noon)
	if err != nil {
		t.Fatal(err)
	}
	after, _ := r.Reload(with(svc), nil, nil, TableRead{Entries: tableOf(svc, "11=3 12=5")})
	if got := weightsOf(after.Table); got != "11=3 12=5" {
		t.Errorf("the plan has %s", got)
	}
	if len(s.replaced) != 0 || len(s.Wanted()) != 0 {
		t.Errorf("the rehearsal has changed the state: %v, %v", s.replaced, s.Wanted())
	}
}
