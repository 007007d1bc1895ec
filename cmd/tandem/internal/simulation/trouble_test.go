// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestBothInTrouble: both directors have a cause to step back, at the same moment or one after the other. The one that is
// master when the second cause begins stays master: the VIPs move at most once, and one director always has them.
func TestBothInTrouble(t *testing.T) {
	const begin, lasts = 30 * time.Second, 60 * time.Second
	for _, kind := range []Kind{KernelRefuses, AllServersOff, Cable} {
		for _, later := range []time.Duration{0, 15 * time.Second, -15 * time.Second} { // the backup's
			for _, onlyMaster := range []bool{false, true} {
				for _, group := range []bool{false, true} {
					if kind == AllServersOff && later != 0 || kind == Cable && !group {
						continue // both directors have the same servers; and only with two segments is a cable the servers' own
					}
					t.Run(fmt.Sprintf("%s, %s later, check as master only %t, group %t", kind, later, onlyMaster, group), func(t *testing.T) {
						s := NewScenario(4)
						s.Interval, s.Group, s.Preempt, s.Sorry, s.Track, s.Master, s.Other = time.Second, group, true, false, false, onlyMaster, 0
						s.Witness, s.Together, s.Release, s.Fence = false, false, false, false
						s.Faults, s.Length = nil, begin+lasts+20*time.Second
						first, second := begin+max(0, -later), begin+max(0, later)
						var moves []string
						r := run(s, func(w *world) {
							for i, at := range []time.Duration{first, second} {
								w.after(at, func() { bothFault(w, w.hosts[i], kind, lasts+begin-at+15*time.Second) })
							}
							holder, none := -1, time.Time{}
							var look func()
							look = func() {
								is := -1
								for i, h := range w.hosts {
									if h.kernel.addrs[slot(vip)] {
										is = i
									}
								}
								if is >= 0 && is != holder {
									if w.now.Sub(epoch) > begin {
										moves = append(moves, fmt.Sprintf("%s at %s", w.hosts[is].name, w.now.Sub(epoch)))
									}
									holder = is
								}
								if is >= 0 || none.IsZero() || w.now.Sub(epoch) < begin {
									none = w.now
								}
								if w.now.Sub(none) > 4*s.Interval {
									t.Errorf("nobody has the VIP at %s", w.now.Sub(epoch))
									return
								}
								if w.now.Sub(epoch) < begin+lasts {
									w.after(10*time.Millisecond, look)
								}
							}
							look()
						})
						if len(moves) > 1 {
							t.Errorf("the VIP moves to %s", strings.Join(moves, ", "))
						}
						if r.Broken != nil {
							t.Errorf("%s: %s", r.Broken.Kind, r.Broken.What)
						}
						if t.Failed() {
							t.Log("\n" + strings.Join(r.Lines, "\n"))
						}
					})
				}
			}
		}
	}
}

// bothFault gives a host its part of the fault.
func bothFault(w *world, h *host, kind Kind, lasts time.Duration) {
	if kind != Cable {
		w.inject(Fault{Kind: kind, For: lasts, Target: h.node})
		return
	}
	// The switch of the real servers fails: the carrier stays, and the directors still hear each other there.
	for i := range w.servers {
		mend := w.damaged(damage{segment: h.serverSide, ways: bothWays(h.node, firstServer+i), is: wire{cut: true}})
		w.after(lasts, mend)
	}
}
