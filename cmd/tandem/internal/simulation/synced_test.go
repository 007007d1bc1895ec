// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"strings"
	"testing"
	"time"
)

// TestWaitingForConnections: a director that comes back waits as long as somebody serves, and no longer. Nobody counts connections
// here, and the limit is longer than the run: so it becomes master only because it must.
func TestWaitingForConnections(t *testing.T) {
	const begin, back, trouble, end = 20 * time.Second, 26 * time.Second, 45 * time.Second, 55 * time.Second
	for _, tt := range []struct {
		name   string
		do     func(*world)
		waits  bool          // it still does at the end
		within time.Duration // nobody has the VIP for that time at most
	}{
		{"nothing happens", func(*world) {}, true, 0},
		{"the master is off", func(w *world) { w.hosts[1].powerOff() }, false, 4 * time.Second},
		{"the cable of the master", func(w *world) {
			w.damaged(damage{segment: outside, ways: bothWays(1, 0), is: wire{cut: true}, off: w.hosts[1]})
			if w.watch.scenario.Group {
				w.damaged(damage{segment: inside, ways: bothWays(1, 0), is: wire{cut: true}, off: w.hosts[1]})
			}
		}, false, 4 * time.Second},
		{"the master is restarted", func(w *world) { w.processes(w.hosts[1], Fault{Kind: Restart}) }, false, 60 * time.Millisecond},
		{"an operator orders a failover", func(w *world) { w.operate(w.hosts[1], Fault{Kind: Failover, For: time.Hour}) }, false, 60 * time.Millisecond},
	} {
		for _, group := range []bool{false, true} {
			s := NewScenario(4)
			s.Interval, s.Group, s.Preempt, s.Sorry, s.Track, s.Master, s.Other, s.Fence, s.Faults = time.Second, group, true, false, false, false, 0, false, nil
			s.Paths, s.Witness, s.Together, s.Release, s.Synced = false, false, false, false, time.Hour
			var nobody time.Duration
			waited, waits := false, false
			r := run(s, func(w *world) {
				w.after(begin, func() { w.hosts[0].powerOff() })
				w.after(back, func() { w.hosts[0].powerOn() })
				w.after(trouble, func() {
					w.watch.muted = true
					waited = w.hosts[1].kernel.addrs[slot(vip)] && !w.hosts[0].kernel.addrs[slot(vip)]
					tt.do(w)
					var look func()
					look = func() {
						if !w.hosts[0].kernel.addrs[slot(vip)] && !(w.hosts[1].kernelRuns() && w.hosts[1].kernel.addrs[slot(vip)]) {
							nobody += time.Millisecond
						}
						if w.now.Sub(epoch) < end {
							w.after(time.Millisecond, look)
						}
					}
					look()
				})
				w.after(end, func() { waits = !w.hosts[0].kernel.addrs[slot(vip)] })
			})
			if !waited || waits != tt.waits || nobody > tt.within {
				t.Errorf("%s, group %t: it waited %t, and waits at the end %t; nobody had the VIP for %s, want at most %s\n%s", tt.name, group,
					waited, waits, nobody, tt.within, strings.Join(r.between(begin, end), "\n"))
			}
		}
	}
}
