// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/lvs"
)

// TestSeeds runs as many seeds as fit in half a minute, always the same ones first.
func TestSeeds(t *testing.T) {
	limit := 30 * time.Second
	if testing.Short() {
		limit = 3 * time.Second
	}
	tally := Search{First: 1, Limit: limit, Out: t.Output(), Clock: time.Now}.Run()
	t.Log(tally)
	for kind, seeds := range tally.Findings {
		t.Errorf("%s: seeds %v; see make simulate SEED=%d SEEDS=1", kind, seeds, seeds[0])
	}
}

// TestMendedFindings runs the scenarios of earlier findings that have been repaired since.
func TestMendedFindings(t *testing.T) {
	ms := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }
	pair := func(interval int, faults ...Fault) Scenario {
		return Scenario{Interval: ms(interval), Preempt: true, Sorry: true, Servers: 2, Length: 40 * time.Second, Faults: faults}
	}
	for name, s := range map[string]Scenario{
		"a master that was restarted while it was cut off": pair(250,
			Fault{Kind: Partition, At: ms(9211), For: ms(4137)}, Fault{Kind: Restart, At: ms(10301), Target: 1}),
		"a master that was killed while it was cut off": pair(250,
			Fault{Kind: Partition, At: ms(9767), For: ms(2700)}, Fault{Kind: KillBoth, At: ms(11446), Target: 1}),
		"a master that hung while it was cut off": pair(250,
			Fault{Kind: Partition, At: ms(28776), For: ms(9194)}, Fault{Kind: StopElection, At: ms(34338), For: ms(6065), Target: 1}),
		"a server that died while the machine was paused": pair(250,
			Fault{Kind: Pause, At: ms(23373), For: ms(6833)}, Fault{Kind: ServerOff, At: ms(24734), For: ms(9796), Target: 1}),
		"a master that fought for the addresses, and was not heard": pair(100,
			Fault{Kind: Reload, At: ms(18061), For: ms(9297), Amount: 0.15},
			Fault{Kind: OneWay, At: ms(23443), For: ms(10475), Target: 1, Amount: 0.05}),
		"both stopped, one after the other": pair(100,
			Fault{Kind: StopBoth, At: ms(8903), For: ms(3539)}, Fault{Kind: StopBoth, At: ms(9899), For: ms(3133), Target: 1}),
	} {
		for seed := range uint64(15) { // chance decides whether the defect shows
			s.Seed, s.parsed = seed, make(map[string]*configs.Config)
			if r := Run(&s); r.Broken != nil {
				t.Errorf("%s, seed %d: %s\n%s", name, seed, r.Broken, strings.Join(r.Lines[max(0, len(r.Lines)-25):], "\n"))
				break
			}
		}
	}
}

// TestSameSeedSameRun: a finding must be repeatable.
func TestSameSeedSameRun(t *testing.T) {
	for seed := range uint64(12) {
		a, b := Run(NewScenario(seed)), Run(NewScenario(seed))
		if !slices.Equal(a.Lines, b.Lines) || a.Events != b.Events {
			for i := range min(len(a.Lines), len(b.Lines)) {
				if a.Lines[i] != b.Lines[i] {
					t.Fatalf("seed %d: line %d differs:\n%s\n%s", seed, i, a.Lines[i], b.Lines[i])
				}
			}
			t.Fatalf("seed %d: %d lines and %d events, then %d and %d", seed, len(a.Lines), a.Events, len(b.Lines), b.Events)
		}
	}
}

// TestInvariantsSeeBreaks: each broken invariant is found.
func TestInvariantsSeeBreaks(t *testing.T) {
	again := func(w *world, do func()) { // from the twentieth second on
		var step func()
		step = func() { do(); w.after(10*time.Millisecond, step) }
		w.after(20*time.Second, step)
	}
	for _, tt := range []struct {
		want string
		also func(*world)
	}{
		{"", nil},
		{"two holders", func(w *world) { again(w, func() { w.hosts[1].kernel.addrs[slot(vip)] = true }) }},
		{"no holder", func(w *world) {
			again(w, func() { w.hosts[0].kernel.addrs[slot(vip)], w.hosts[1].kernel.addrs[slot(vip)] = false, false })
		}},
		{"foreign", func(w *world) { again(w, func() { delete(w.hosts[0].kernel.table, foreign.ServiceID) }) }},
		{string(empty), func(w *world) {
			again(w, func() { w.hosts[0].kernel.table[www] = lvs.Entry{Service: w.hosts[0].kernel.table[www].Service} })
		}},
		{string(deadEnd), func(w *world) { // checks pass whatever the server does
			w.after(20*time.Second, func() { w.servers[0].is, w.servers[0].since = refusing, w.now })
			again(w, func() {
				for _, h := range w.hosts {
					for _, c := range h.director.checks {
						c.gone = true
					}
				}
			})
		}},
		{"remembered", func(w *world) {
			w.after(20*time.Second, func() { w.hosts[0].order("drain", w.servers[0].addr) })
			w.after(22*time.Second, func() { w.hosts[0].disk.orders = nil; w.hosts[0].director.dies(true) })
		}},
		{"wanted", func(w *world) {
			w.after(70*time.Second, func() { w.hosts[1].cfg = w.watch.scenario.config(1, change{raised: true}); w.reload(w.hosts[1]) })
		}},
		{"quiet", func(w *world) {
			again(w, func() { w.hosts[1].cfg = w.watch.scenario.config(1, change{raised: true}) })
		}},
		{"panic", func(w *world) { w.after(20*time.Second, func() { panic("on purpose") }) }},
	} {
		t.Run(strings.ReplaceAll(tt.want, " ", "_"), func(t *testing.T) {
			s := NewScenario(4)
			s.Interval, s.Group, s.Preempt, s.Sorry, s.Track, s.Master, s.Other, s.Faults = time.Second, false, true, false, false, false, 0, nil
			r := run(s, tt.also)
			got := ""
			if r.Broken != nil {
				got = r.Broken.Kind
			}
			if got != tt.want {
				t.Errorf("found %q, want %q\n%s", got, tt.want, strings.Join(r.Lines[max(0, len(r.Lines)-20):], "\n"))
			}
		})
	}
}

// TestMinimise removes the faults that do not matter.
func TestMinimise(t *testing.T) {
	needs := []Kind{Drain, PowerOff}
	fake := func(s *Scenario) (r Result) {
		for _, k := range needs {
			if !slices.ContainsFunc(s.Faults, func(f Fault) bool { return f.Kind == k }) {
				return r
			}
		}
		r.Broken = &Broken{Kind: "x"}
		return r
	}
	s := &Scenario{}
	for k := Loss; k < kinds; k++ {
		s.Faults = append(s.Faults, Fault{Kind: k})
	}
	less, r := minimise(s, "x", fake)
	if r.Broken == nil || len(less.Faults) != 2 || less.Faults[0].Kind != PowerOff || less.Faults[1].Kind != Drain {
		t.Errorf("left are %v", less.Faults)
	}
	if len(s.Faults) != int(kinds)-1 {
		t.Error("the scenario itself was changed")
	}
}
