// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/vrrp"
)

// between returns the lines of a time.
func (r Result) between(first, last time.Duration) (lines []string) {
	for _, l := range r.Lines {
		var at float64
		if _, err := fmt.Sscan(l, &at); err == nil && at >= first.Seconds() && at <= last.Seconds() {
			lines = append(lines, l)
		}
	}
	return lines
}

// TestKilledWhilePreempted kills the election of a master at the moment at which its peer preempts it. The next election resumes, hears
// the peer and gives way, often before it has told anybody. The two directors share the addresses for no longer than an interval and
// Linger.
func TestKilledWhilePreempted(t *testing.T) {
	for seed := range uint64(20) {
		s := NewScenario(seed)
		s.Interval, s.Group, s.Preempt, s.Sorry, s.Track, s.Master, s.Other, s.Faults = time.Second, seed%2 == 0, true, false, false, false, 0, nil
		s.Paths, s.Witness, s.Together, s.Release, s.Fence = false, false, false, false, false
		killed := false
		result := run(s, func(w *world) {
			w.after(20*time.Second, w.hosts[0].powerOff)
			w.after(30*time.Second, w.hosts[0].powerOn)
			var look func()
			look = func() {
				e := w.hosts[0].election()
				if e == nil || len(e.routers) == 0 || e.routers[0].Machine.State() != vrrp.Master {
					pause := 5 * time.Millisecond
					if e != nil && slices.ContainsFunc(e.routers, func(r *router) bool {
						return r.status.Ready || !r.due.IsZero() && r.due.Sub(w.now) < 2*pause
					}) {
						pause = 20 * time.Microsecond // it may be about to become master
					}
					w.after(pause, look)
					return
				}
				killed = true
				w.hosts[1].election().dies()
			}
			w.after(31*time.Second, look)
		})
		if result.Broken != nil || !killed {
			t.Fatalf("seed %d, killed %t: %s\n%s", seed, killed, result.Broken, strings.Join(result.between(30*time.Second, 40*time.Second), "\n"))
		}
	}
}

// TestKilledElection kills the election of the master after it stood still, as one that the kernel kills when memory is short,
// while its director is late as well. The addresses of the dead election stay until the peer may take over: nobody is without them
// for longer than the peer's skew time without Linger, and the two directors share them for no longer than Linger.
func TestKilledElection(t *testing.T) {
	const late = 40 * time.Millisecond // until the director notices the death, and until an address is off
	for _, interval := range []time.Duration{100 * time.Millisecond, 250 * time.Millisecond, time.Second} {
		var both, none time.Duration
		resumed, bound := 0, max(0, vrrp.Skew(100, interval)-vrrp.Linger)+late/2
		for seed := range uint64(60) {
			s := NewScenario(seed)
			s.Interval, s.Group, s.Preempt, s.Sorry, s.Track, s.Master, s.Other, s.Faults = interval, seed%3 == 0, true, false, false, false, 0, nil
			s.Paths, s.Witness, s.Together, s.Release, s.Fence = false, false, false, false, false
			r := rand.New(rand.NewPCG(seed, 3))
			upTo := func(d time.Duration) time.Duration { return time.Duration(r.Int64N(int64(d))) }
			at, stood, deaf := 20*time.Second+upTo(time.Second), upTo(2*interval), upTo(5*interval/2)
			slow := time.Duration(seed%2) * upTo(4*interval) // then it is too late to resume, in most cases
			var shared, nobody since
			result := run(s, func(w *world) {
				h := w.hosts[0]
				w.after(at, func() {
					w.slowStart = slow
					d, e := h.director, h.election()
					d.stop()
					e.stop()
					w.after(deaf, d.goOn)
					w.after(stood, e.dies)
				})
				var look func()
				look = func() {
					a, b := w.hosts[0].kernel.addrs[slot(vip)], w.hosts[1].kernel.addrs[slot(vip)]
					both, none = max(both, shared.is(a && b, w.now)), max(none, nobody.is(!a && !b, w.now))
					if w.now.Sub(epoch) < at+4*interval+500*time.Millisecond {
						w.after(time.Millisecond, look)
						return
					}
					w.watch.muted, w.queue = true, nil // this is enough
				}
				w.after(at, look)
			})
			if result.Broken != nil {
				t.Errorf("%s, seed %d: %s\n%s", interval, seed, result.Broken, strings.Join(result.Lines, "\n"))
			}
			if none > bound {
				t.Fatalf("adverts every %s, seed %d, stood still for %s, director late by %s: nobody had the address for %s, want %s at most\n%s",
					interval, seed, stood, deaf, none, bound, strings.Join(result.between(at-time.Second, at+2*time.Second), "\n"))
			}
			if strings.Contains(strings.Join(result.Lines, "\n"), "is master, was initialize: resumed") {
				resumed++
			}
		}
		t.Logf("adverts every %s: the addresses were at both for at most %s, at nobody for at most %s, %d of 60 resumed", interval, both, none, resumed)
		if bound := vrrp.Linger + late; both > bound {
			t.Errorf("adverts every %s: both directors had the address for %s, want %s at most", interval, both, bound)
		}
		if resumed == 0 {
			t.Error(fmt.Sprint("adverts every ", interval, ": no election was resumed"))
		}
	}
}
