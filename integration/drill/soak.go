// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// soakRow draws faults of the other rows at random, one soon after the other, for all subjects the same.
func soakRow(rows []row, seed uint64, length int) row {
	r := rand.New(rand.NewPCG(seed, 0))
	type part struct {
		row
		lasts, calm time.Duration // how long the fault lasts, and the time until the next
	}
	var candidates []row
	for _, r := range rows {
		if r.on == duo && r.measure == nil && r.before == nil && !r.shared && !r.vm && r.peer == "" {
			candidates = append(candidates, r)
		}
	}
	var parts []part
	var names []string
	for range length {
		p := part{candidates[r.IntN(len(candidates))], upTo(r, time.Second), time.Second + upTo(r, 2*time.Second)}
		parts = append(parts, p)
		names = append(names, p.name)
	}
	return row{
		group: "soak", on: duo, name: fmt.Sprintf("%d faults drawn from seed %d", length, seed), bound: fromZero(), over: returned,
		note: strings.Join(names, "; "),
		fault: func(s *site) {
			for _, p := range parts {
				s.Logf("soak: %s", p.row)
				p.fault(s)
				s.pause(p.lasts)
				if p.restore != nil {
					p.restore(s)
				}
				s.pause(p.calm)
			}
		},
	}
}

func upTo(r *rand.Rand, most time.Duration) time.Duration {
	return time.Duration(r.Int64N(int64(most))).Round(time.Millisecond)
}
