// SPDX-License-Identifier: Apache-2.0

package lvs

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// member reads "10 up", "10 down", "10 unknown kernel 3", "1 up 6s" (for 6 s), and the words disabled, draining, and
// "weight 5" for an override.
func member(t *testing.T, i int, text string) Member {
	t.Helper()
	m := Member{Server: server(fmt.Sprintf("192.0.2.%d:80", 11+i), DR, 0)}
	in := &m.Input
	words := strings.Fields(text)
	if _, err := fmt.Sscan(words[0], &in.Configured); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	for words = words[1:]; len(words) > 0; words = words[1:] {
		switch words[0] {
		case "up":
			in.Health = HealthUp
		case "down":
			in.Health = HealthDown
		case "unknown":
			in.Health = HealthUnknown
		case "unchecked":
			in.Health = HealthUnchecked
		case "disabled":
			in.Disabled = true
		case "draining":
			in.Draining = true
		case "kernel":
			words = words[1:]
			in.InKernel = true
			_, _ = fmt.Sscan(words[0], &in.KernelWeight)
		case "weight":
			words = words[1:]
			in.Overridden = true
			_, _ = fmt.Sscan(words[0], &in.Override)
		default:
			d, err := time.ParseDuration(words[0])
			if err != nil {
				t.Fatalf("%q: %v", text, err)
			}
			in.UpSince = noon.Add(-d)
		}
	}
	return m
}

// weights prints the servers of a pool in the order of its members: "10 0 - sorry 1".
func weights(members []Member, out PoolOutput) string {
	left := make(map[ServerID]int)
	for _, s := range out.Servers {
		left[s.ServerID] = s.Weight
	}
	var words []string
	for _, m := range members {
		w, ok := left[m.Server.ServerID]
		delete(left, m.Server.ServerID)
		if !ok {
			words = append(words, "-")
			continue
		}
		words = append(words, fmt.Sprint(w))
	}
	for _, w := range left {
		words = append(words, fmt.Sprintf("sorry %d", w))
	}
	return strings.Join(words, " ")
}

var sorryServer = server("192.0.2.99:80", DR, 0)

func TestPoolWeights(t *testing.T) {
	for _, c := range []struct {
		members string // separated by commas
		rules   PoolInput
		want    string
	}{
		{"1 up, 2 unchecked, 3 down, 4 unknown, 5 unknown kernel 2", PoolInput{}, "1 2 0 0 2"},
		{"1 up, 2 unchecked, 3 down, 4 unknown, 5 unknown kernel 2", PoolInput{OnFailure: Remove}, "1 2 - - 2"},

		// An operator's command takes precedence over health, and health over the configuration.
		{"1 up draining, 1 down draining, 1 unknown kernel 1 draining", PoolInput{OnFailure: Remove}, "0 0 0"},
		{"1 up disabled, 1 down disabled, 1 unchecked disabled draining", PoolInput{}, "- - -"},
		{"1 up weight 5, 1 up weight 0, 1 down weight 5, 1 unknown kernel 3 weight 5", PoolInput{}, "5 0 0 3"},

		// The share of members that are up. Members without a verdict do not count, nor do drained and disabled ones.
		{"1 up, 1 down, 1 down", PoolInput{PanicBelow: 0.3}, "1 0 0"},
		{"1 up, 1 down, 1 down, 1 down", PoolInput{PanicBelow: 0.3}, "1 1 1 1"},
		{"1 up, 2 down, 3 down, 4 down", PoolInput{PanicBelow: 0.3, OnFailure: Remove}, "1 2 3 4"},
		{"1 up, 1 down, 1 down, 1 down", PoolInput{PanicBelow: 0.25}, "1 0 0 0"},
		{"1 up, 1 down, 1 down, 1 down", PoolInput{}, "1 0 0 0"},
		{"1 down, 1 down", PoolInput{PanicBelow: 0.3}, "1 1"},
		{"1 up, 1 down, 1 down, 1 unknown", PoolInput{PanicBelow: 0.3}, "1 0 0 0"},
		{"1 up, 1 down, 1 down, 1 unknown", PoolInput{PanicBelow: 0.34}, "1 1 1 0"},
		{"1 up, 1 down, 1 down, 1 down disabled, 1 down draining", PoolInput{PanicBelow: 0.3}, "1 0 0 - 0"},
		{"1 unknown, 1 unknown", PoolInput{PanicBelow: 1}, "0 0"},

		// The sorry server.
		{"1 up, 1 down", PoolInput{Quorum: 1, Sorry: sorryServer}, "1 0"},
		{"1 down, 1 down", PoolInput{Quorum: 1, Sorry: sorryServer}, "0 0 sorry 1"},
		{"1 down, 1 down", PoolInput{Quorum: 1, Sorry: sorryServer, OnFailure: Remove}, "- - sorry 1"},
		{"1 down, 1 down", PoolInput{Quorum: 1}, "0 0"},
		{"1 up, 1 down", PoolInput{Quorum: 2, Sorry: sorryServer}, "0 0 sorry 1"},
		{"1 up, 1 down", PoolInput{Quorum: 2}, "1 0"},
		{"1 up draining, 1 up disabled", PoolInput{Quorum: 1, Sorry: sorryServer}, "0 - sorry 1"},
		{"1 up weight 0, 1 down", PoolInput{Quorum: 1, Sorry: sorryServer}, "0 0 sorry 1"},
		{"1 down, 1 unknown", PoolInput{Quorum: 1, Sorry: sorryServer}, "0 0 sorry 1"}, // nobody else serves
		{"1 unknown, 1 unknown", PoolInput{Quorum: 1, Sorry: sorryServer}, "0 0"},
		{"1 up, 1 unknown", PoolInput{Quorum: 2, Sorry: sorryServer}, "1 0"},
		{"1 unknown kernel 0, 1 unknown", PoolInput{Quorum: 1, Sorry: sorryServer, State: PoolState{QuorumLost: true}}, "0 0 sorry 1"}, // a restart
		{"1 down, 1 unknown kernel 1", PoolInput{Quorum: 1, Sorry: sorryServer}, "0 1"},
		{"1 down, 1 down", PoolInput{Sorry: sorryServer}, "0 0"},
		{"", PoolInput{Quorum: 1, Sorry: sorryServer}, "sorry 1"},

		// A lost quorum takes precedence over panic, and panic over the failure of a server.
		{"1 up, 1 down, 1 down, 1 down", PoolInput{Quorum: 1, PanicBelow: 0.3, Sorry: sorryServer}, "1 1 1 1"},
		{"1 down, 1 down, 1 down, 1 down", PoolInput{Quorum: 1, PanicBelow: 0.3, Sorry: sorryServer}, "0 0 0 0 sorry 1"},

		// A slow start of 20 s has steps of a second; all weights are multiplied by what the smallest needs.
		{"1 up 0s, 1 up", PoolInput{SlowStart: 20 * time.Second}, "1 20"},
		{"1 up 1s, 1 up", PoolInput{SlowStart: 20 * time.Second}, "1 20"},
		{"1 up 2s, 1 up", PoolInput{SlowStart: 20 * time.Second}, "2 20"},
		{"1 up 10s, 3 up", PoolInput{SlowStart: 20 * time.Second}, "10 60"},
		{"1 up 19999ms, 1 up", PoolInput{SlowStart: 20 * time.Second}, "19 20"},
		{"1 up 20s, 1 up", PoolInput{SlowStart: 20 * time.Second}, "1 1"},
		{"1 up 38ns, 1 up", PoolInput{SlowStart: 39}, "19 20"}, // steps of one and not two
		{"1 up 10s, 1 up", PoolInput{}, "1 1"},
		{"3 up 10s, 5 up", PoolInput{SlowStart: 20 * time.Second}, "10 35"},
		{"100 up 10s, 1 up", PoolInput{SlowStart: 20 * time.Second}, "50 1"},
		{"1 up 10s, 100 up 5s", PoolInput{SlowStart: 20 * time.Second}, "10 500"},
		{"1 up 10s, 10000 up", PoolInput{SlowStart: 20 * time.Second}, "3 60000"}, // no larger factor is possible
		{"1 up 10s, 65535 up", PoolInput{SlowStart: 20 * time.Second}, "1 65535"},
		{"1 up 10s weight 2, 1 up", PoolInput{SlowStart: 20 * time.Second}, "10 10"},
		{"1 up 10s weight 0, 1 up", PoolInput{SlowStart: 20 * time.Second}, "0 1"},
		{"1 up 10s draining, 1 up", PoolInput{SlowStart: 20 * time.Second}, "0 1"},
		{"1 up 10s, 1 up", PoolInput{SlowStart: 20 * time.Second, Scheduler: "mh"}, "10 20"},
		{"1 up 10s, 1 up", PoolInput{SlowStart: 20 * time.Second, Scheduler: "sh"}, "1 1"}, // a weight is not only compared
		{"200 up 10s, 200 up", PoolInput{SlowStart: 20 * time.Second, Scheduler: "ovf"}, "100 200"},
		{"200 up 1s, 10 up", PoolInput{SlowStart: 20 * time.Second, Scheduler: "lblc"}, "10 10"},
		{"8 up 10s, 8 up", PoolInput{SlowStart: 20 * time.Second, Scheduler: "lblcr"}, "4 8"},
		{"1 down 10s, 1 up", PoolInput{SlowStart: 20 * time.Second}, "0 1"},
		{"1 up 10s, 1 unknown kernel 1, 1 unknown kernel 0", PoolInput{SlowStart: 20 * time.Second}, "10 20 0"},
		{"1 up 10s, 1 down", PoolInput{SlowStart: 20 * time.Second, Quorum: 2, Sorry: sorryServer}, "0 0 sorry 1"},
	} {
		in := c.rules
		in.Now = noon
		if in.OnFailure == 0 {
			in.OnFailure = WeightZero
		}
		for i, text := range strings.Split(c.members, ",") {
			if text != "" {
				in.Members = append(in.Members, member(t, i, text))
			}
		}
		out := Pool(in)
		if got := weights(in.Members, out); got != c.want {
			t.Errorf("%s, %+v:\n got %s\nwant %s", c.members, c.rules, got, c.want)
		}
		if out.Sorry != strings.Contains(c.want, "sorry") || out.Sorry && out.Panic {
			t.Errorf("%s: sorry %v, panic %v", c.members, out.Sorry, out.Panic)
		}
	}
}

// TestPoolQuorumHasHysteresis lets servers of weight 1 fail and return one after another.
func TestPoolQuorumHasHysteresis(t *testing.T) {
	in := PoolInput{Now: noon, OnFailure: WeightZero, Quorum: 3, Hysteresis: 1}
	for i := range 5 {
		in.Members = append(in.Members, member(t, i, "1 unknown"))
	}
	for step, c := range []struct {
		up, unknown int
		lost        bool
	}{
		{0, 5, false}, // nothing is known yet
		{1, 2, false},
		{0, 1, true}, // quorum 3, hysteresis 1: lost below 2
		{2, 0, true}, // not enough to regain it
		{3, 0, true},
		{3, 2, true}, // servers without a verdict do not help to regain it
		{4, 0, false},
		{3, 0, false}, // not enough to lose it again
		{2, 0, false},
		{1, 1, false},
		{1, 0, true},
		{5, 0, false},
	} {
		for i := range in.Members {
			in.Members[i].Input.Health = HealthDown
			if i < c.up {
				in.Members[i].Input.Health = HealthUp
			} else if i < c.up+c.unknown {
				in.Members[i].Input.Health = HealthUnknown
			}
		}
		out := Pool(in)
		if out.State.QuorumLost != c.lost || out.Up != c.up {
			t.Errorf("step %d: %d up, %d unknown: lost %v, %d up", step, c.up, c.unknown, out.State.QuorumLost, out.Up)
		}
		in.State = out.State
	}
}

// The percentage that a server advises applies in any pool, also to a server of weight 1.
func TestPoolFollowsAdvice(t *testing.T) {
	for _, tt := range []struct {
		name    string
		members []WeightInput
		want    []int
	}{
		{"nobody says anything", []WeightInput{{Configured: 1}, {Configured: 1}}, []int{1, 1}},
		{"75% and 1%", []WeightInput{{Configured: 1, Advised: true, Percent: 75}, {Configured: 1, Advised: true, Percent: 1}, {Configured: 1}}, []int{75, 1, 100}},
		{"100% as well", []WeightInput{{Configured: 1, Advised: true, Percent: 100}, {Configured: 2}}, []int{100, 200}},
		{"another weight", []WeightInput{{Configured: 30, Advised: true, Percent: 50}, {Configured: 10}}, []int{60, 40}},
		{"no part", []WeightInput{{Configured: 1, Advised: true}, {Configured: 1}}, []int{0, 100}},
		{"tenfold", []WeightInput{{Configured: 1, Advised: true, Percent: 1000}, {Configured: 1}}, []int{1000, 100}},
		{"beyond what there is", []WeightInput{{Configured: 60000, Advised: true, Percent: 1000}, {Configured: 1}}, []int{MaxWeight, 1}},
		{"the operator's word", []WeightInput{{Configured: 1, Advised: true, Percent: 50, Overridden: true, Override: 7}, {Configured: 1}}, []int{7, 1}},
		{"weight 0", []WeightInput{{Advised: true, Percent: 50}, {Configured: 1}}, []int{0, 1}},
	} {
		in := PoolInput{Now: noon, OnFailure: WeightZero}
		for _, m := range tt.members {
			m.Health = HealthUp
			in.Members = append(in.Members, Member{Input: m})
		}
		var got []int
		for _, s := range Pool(in).Servers {
			got = append(got, s.Weight)
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: weights %v, want %v", tt.name, got, tt.want)
		}
	}
}

// TestPoolSlowStartStepByStep: the weights change at the times that Next gives, and not between them.
func TestPoolSlowStartStepByStep(t *testing.T) {
	in := PoolInput{OnFailure: WeightZero, SlowStart: 30 * time.Second, Now: noon}
	in.Members = []Member{member(t, 0, "1 up 0s"), member(t, 1, "2 up")}
	var seen []string
	last := ""
	for {
		out := Pool(in)
		if got := weights(in.Members, out); got != last {
			seen = append(seen, got)
			last = got
		}
		if out.Next.IsZero() {
			break
		}
		if !out.Next.After(in.Now) {
			t.Fatalf("the next step at %s is not after %s", out.Next, in.Now)
		}
		early := in
		early.Now = out.Next.Add(-1)
		if got := weights(in.Members, Pool(early)); got != last {
			t.Errorf("%s before the step: %s, want still %s", early.Now.Sub(noon), got, last)
		}
		in.Now = out.Next
	}
	if in.Now != noon.Add(30*time.Second) || len(seen) != slowStartSteps ||
		seen[0] != "1 40" || seen[18] != "19 40" || last != "1 2" {
		t.Errorf("%d weights, over after %s: %q", len(seen), in.Now.Sub(noon), seen)
	}
}

// TestPoolInvariants: for any input, weights are in range, the input is not changed, and no disabled server is in the table.
func TestPoolInvariants(t *testing.T) {
	healths := []Health{HealthUnknown, HealthUp, HealthDown, HealthUnchecked}
	for seed := range uint64(5000) {
		r := rand.New(rand.NewPCG(seed, 1))
		in := PoolInput{Now: noon, OnFailure: OnFailure(1 + r.IntN(2)), SlowStart: time.Duration(r.IntN(100)),
			Quorum: r.IntN(5), Hysteresis: r.IntN(3), PanicBelow: r.Float64(), State: PoolState{r.IntN(2) == 0}}
		if r.IntN(2) == 0 {
			in.Sorry = sorryServer
		}
		for i := range r.IntN(6) {
			in.Members = append(in.Members, Member{server(fmt.Sprintf("192.0.2.%d:80", 11+i), DR, 0), WeightInput{
				Configured: r.IntN(1 << r.IntN(17)), Health: healths[r.IntN(4)], InKernel: r.IntN(2) == 0,
				KernelWeight: r.IntN(3), Disabled: r.IntN(8) == 0, Draining: r.IntN(8) == 0, Overridden: r.IntN(4) == 0,
				Override: r.IntN(1 << r.IntN(17)), UpSince: noon.Add(-time.Duration(r.IntN(200))),
			}})
		}
		before := fmt.Sprint(in)
		out := Pool(in)
		if fmt.Sprint(in) != before {
			t.Fatalf("seed %d: the input changed", seed)
		}
		there := make(map[ServerID]bool)
		for _, s := range out.Servers {
			if s.Weight < 0 || s.Weight > MaxWeight || there[s.ServerID] {
				t.Fatalf("seed %d: %v of %v", seed, s, in)
			}
			there[s.ServerID] = true
		}
		for _, m := range in.Members {
			if m.Input.Disabled && there[m.Server.ServerID] {
				t.Fatalf("seed %d: %v is disabled and there", seed, m)
			}
		}
		if !out.Next.IsZero() && !out.Next.After(noon) {
			t.Fatalf("seed %d: next at %s", seed, out.Next)
		}
	}
}
