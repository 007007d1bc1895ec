// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/configs"
)

// TestTwoPaths: with two paths, a fault of one of them makes no second holder and no transition, whatever fault it is. With one
// path the same faults do. When both are cut, there are two holders until one of them is mended.
func TestTwoPaths(t *testing.T) {
	sec := func(n int) time.Duration { return time.Duration(n) * time.Second }
	const first, second = 0.06, 0.01 // an amount whose second digit chooses the segment, see network
	for name, tt := range map[string]struct {
		paths  bool
		faults []Fault
		twice  bool // two holders
	}{
		"no second path, partition":    {false, []Fault{{Kind: Partition, At: sec(5), For: sec(8), Amount: first}}, true},
		"partition of the first":       {true, []Fault{{Kind: Partition, At: sec(5), For: sec(8), Amount: first}}, false},
		"partition of the second":      {true, []Fault{{Kind: Partition, At: sec(5), For: sec(8), Amount: second}}, false},
		"one-way, the master's":        {true, []Fault{{Kind: OneWay, At: sec(5), For: sec(8), Amount: first}}, false},
		"one-way, the backup's":        {true, []Fault{{Kind: OneWay, At: sec(5), For: sec(8), Amount: first, Target: 1}}, false},
		"one-way each, other segments": {true, []Fault{{Kind: OneWay, At: sec(5), For: sec(8), Amount: first}, {Kind: OneWay, At: sec(5), For: sec(8), Amount: second, Target: 1}}, false},
		"delay of one":                 {true, []Fault{{Kind: Delay, At: sec(5), For: sec(8), Amount: 0.96}}, false},
		"one after the other":          {true, []Fault{{Kind: Partition, At: sec(5), For: sec(6), Amount: first}, {Kind: Partition, At: sec(12), For: sec(6), Amount: second}}, false},
		"cable of the second":          {true, []Fault{{Kind: Cable, At: sec(5), For: sec(8), Amount: second}}, false},
		"both":                         {true, []Fault{{Kind: Partition, At: sec(5), For: sec(8), Amount: first}, {Kind: Partition, At: sec(6), For: sec(8), Amount: second}}, true},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(5) {
				s := Scenario{
					Seed: seed, Interval: 250 * time.Millisecond, Paths: tt.paths, Preempt: true, Sorry: true, Servers: 2,
					Length: sec(20), Faults: tt.faults, parsed: make(map[string]*configs.Config),
				}
				var both, changes int
				r := run(&s, func(w *world) {
					var look func()
					was := -1
					look = func() {
						holders, holder := 0, -1
						for i, h := range w.hosts {
							if h.kernel.addrs[slot(vip)] {
								holders, holder = holders+1, i
							}
						}
						if holders == 2 {
							both++
						}
						if holder >= 0 && was >= 0 && holder != was {
							changes++
						}
						if was = holder; w.now.Sub(epoch) < warmUp+sec(40) {
							w.after(10*time.Millisecond, look)
						}
					}
					w.at(epoch.Add(warmUp+sec(4)), look) // the pair has settled
				})
				if r.Broken != nil {
					t.Fatalf("seed %d: %s\n%s", seed, r.Broken, strings.Join(r.Lines[max(0, len(r.Lines)-25):], "\n"))
				}
				if (both > 0) != tt.twice || !tt.twice && changes > 0 {
					t.Fatalf("seed %d: two holders in %d looks, wanted %t; %d changes of the holder\n%s", seed, both, tt.twice, changes,
						strings.Join(r.Lines[max(0, len(r.Lines)-40):], "\n"))
				}
			}
		})
	}
}
