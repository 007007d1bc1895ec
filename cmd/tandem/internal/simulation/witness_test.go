// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestWitness cuts the network between the two directors in several ways, without a witness, with one, and with one and
// witness_release. It measures for how long both directors had the VIP, and for how long neither had it.
func TestWitness(t *testing.T) {
	const begin, lasts, interval = 20 * time.Second, 30 * time.Second, time.Second
	type span struct{ both, none time.Duration }
	none, about := span{}, func(both, none time.Duration) span { return span{both, none} }
	cut := func(w *world, ways ...[2]int) {
		w.damaged(damage{segment: outside, ways: ways, is: wire{cut: true}})
	}
	const takesOver = "web is master, was backup: no advertisement for 3.6" // as quickly as without a witness
	for _, tt := range []struct {
		name string
		cut  func(*world)
		want [3]span // without a witness, with one, and with one and witness_release
	}{
		{"only the two directors do not hear each other", func(w *world) { cut(w, [2]int{0, 1}, [2]int{1, 0}) },
			[3]span{about(26400*time.Millisecond, 0), about(26400*time.Millisecond, 0), about(26400*time.Millisecond, 0)}},
		{"the backup is cut off", func(w *world) { cut(w, [2]int{0, 1}, [2]int{1, 0}, [2]int{1, witnessNode}, [2]int{witnessNode, 1}) },
			[3]span{about(26400*time.Millisecond, 0), none, none}},
		{"the backup hears nothing, and is heard", func(w *world) { cut(w, [2]int{0, 1}, [2]int{witnessNode, 1}) },
			[3]span{about(26400*time.Millisecond, 0), none, none}},
		{"the master is cut off", func(w *world) { cut(w, [2]int{0, 1}, [2]int{1, 0}, [2]int{0, witnessNode}, [2]int{witnessNode, 0}) },
			[3]span{about(26400*time.Millisecond, 0), about(26400*time.Millisecond, 0), about(7500*time.Millisecond, 0)}},
		{"each director is alone", func(w *world) {
			cut(w, [2]int{0, 1}, [2]int{1, 0}, [2]int{0, witnessNode}, [2]int{witnessNode, 0}, [2]int{1, witnessNode}, [2]int{witnessNode, 1})
		}, [3]span{about(26400*time.Millisecond, 0), none, about(0, 19*time.Second)}},
		{"the witness is off", func(w *world) {
			cut(w, [2]int{0, witnessNode}, [2]int{witnessNode, 0}, [2]int{1, witnessNode}, [2]int{witnessNode, 1})
		}, [3]span{none, none, none}},
		{"the master is off", func(w *world) { w.hosts[0].powerOff() },
			[3]span{about(0, 3600*time.Millisecond), about(0, 3600*time.Millisecond), about(0, 3600*time.Millisecond)}},
		{"master and witness are off", func(w *world) {
			w.hosts[0].powerOff()
			cut(w, [2]int{1, witnessNode}, [2]int{witnessNode, 1})
		}, [3]span{about(0, 3600*time.Millisecond), about(0, 30*time.Second), about(0, 30*time.Second)}},
	} {
		var line []string
		fast := 0
		for i, want := range tt.want {
			s := NewScenario(4)
			s.Interval, s.Group, s.Preempt, s.Sorry, s.Track, s.Master, s.Other, s.Fence, s.Faults = interval, false, true, false, false, false, 0, false, nil
			s.Paths = false
			s.Witness, s.Together, s.Release = i > 0, false, i > 1
			var is span
			moves := 0
			r := run(s, func(w *world) {
				holder := -1
				var look func()
				look = func() {
					a, b := w.hosts[0].kernelRuns() && w.hosts[0].kernel.addrs[slot(vip)], w.hosts[1].kernel.addrs[slot(vip)]
					const step = time.Millisecond
					switch {
					case a && b:
						is.both += step
					case !a && !b:
						is.none += step
					case a && holder != 0, b && holder != 1:
						holder = map[bool]int{true: 0, false: 1}[a]
						moves++
					}
					if w.now.Sub(epoch) < begin+lasts {
						w.after(step, look)
					}
				}
				w.after(begin, func() {
					w.watch.muted = true
					tt.cut(w)
					look()
				})
			})
			if strings.Contains(strings.Join(r.Lines, "\n"), "lb2      "+takesOver) {
				fast++
			}
			line = append(line, fmt.Sprintf("both %6.3f s, nobody %6.3f s", is.both.Seconds(), is.none.Seconds()))
			near := func(got, want time.Duration) bool {
				return got-want < 1500*time.Millisecond && want-got < 1500*time.Millisecond
			}
			exact := func(got, want time.Duration) bool {
				return want > 0 && near(got, want) || want == 0 && got < 60*time.Millisecond
			}
			if !exact(is.both, want.both) || !exact(is.none, want.none) {
				t.Errorf("%s, witness %t, release %t: both directors have the VIP for %s, nobody for %s, want %s and %s\n%s", tt.name, s.Witness,
					s.Release, is.both, is.none, want.both, want.none, strings.Join(r.between(begin-2*time.Second, begin+lasts), "\n"))
			}
		}
		if strings.HasPrefix(tt.name, "the master") && fast != len(tt.want) {
			t.Errorf("%s: %d of %d times the backup took over as quickly as without a witness", tt.name, fast, len(tt.want))
		}
		t.Logf("%-48s | %s", tt.name, strings.Join(line, " | "))
	}
}
