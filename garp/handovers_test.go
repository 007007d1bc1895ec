// SPDX-License-Identifier: Apache-2.0

package garp

import (
	"fmt"
	"net/netip"
	"testing"
	"time"
)

// TestHandOvers: a hand-over is announced once, when another machine has announced each of its addresses since this machine
// heard its successor. Neither an answer nor an announcement of long before counts.
func TestHandOvers(t *testing.T) {
	const ms = time.Millisecond
	vips := addrs("192.0.2.100", "192.0.2.101", "2001:db8::100")
	type heard struct {
		at     time.Duration // since the successor was heard
		addr   netip.Addr
		answer bool
	}
	for _, tt := range []struct {
		name string
		heard
		rest []heard
		want string
	}{
		{"in order", heard{1 * ms, vips[0], false}, []heard{{2 * ms, vips[1], false}, {460 * ms, vips[2], false}}, "[460ms]"},
		{"in another order, repeated", heard{1 * ms, vips[2], false},
			[]heard{{2 * ms, vips[0], false}, {3 * ms, vips[0], false}, {4 * ms, vips[1], false}, {1101 * ms, vips[2], false}}, "[4ms]"},
		{"one is not announced", heard{1 * ms, vips[0], false}, []heard{{2 * ms, vips[2], false}, {3 * ms, vips[2], false}}, "[]"},
		{"one is only an answer", heard{1 * ms, vips[0], false}, []heard{{2 * ms, vips[2], false}, {3 * ms, vips[1], true}}, "[]"},
		{"right before the successor is heard", heard{-3 * ms, vips[0], false}, []heard{{-2 * ms, vips[1], false}, {-1 * ms, vips[2], false}}, "[0s]"},
		{"long before the successor is heard", heard{-3 * time.Second, vips[0], false}, []heard{{2 * ms, vips[1], false}, {3 * ms, vips[2], false}}, "[]"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, h := NewReferrals(), HandOvers{}
			r.SetAddresses(vips)
			now, called := time.Duration(0), []time.Duration{}
			list := []HandOver{{Router: "web", Heard: epoch, Addrs: vips, Announced: func() { called = append(called, now) }}}
			set := false
			begin := func() {
				if !set {
					set, now = true, 0
					h.Set(list)
					h.Step(r)
				}
			}
			for _, o := range append([]heard{tt.heard}, tt.rest...) {
				if o.at >= 0 {
					begin()
				}
				now = o.at
				r.Observe(epoch.Add(o.at), Observation{Claimed: o.addr, Announced: !o.answer})
				h.Set(list) // repeating it changes nothing
				if set {
					h.Step(r)
				} else {
					h.Set(nil)
				}
			}
			begin()
			if got := fmt.Sprint(called); got != tt.want {
				t.Errorf("told at %s, want %s", got, tt.want)
			}
			if others := h.Others(append(addrs("192.0.2.7"), vips...)); fmt.Sprint(others) != "[192.0.2.7]" {
				t.Errorf("not handed over: %s", others)
			}
			list[0].Heard = epoch.Add(time.Hour)
			h.Set(list)
			if h.Step(r); fmt.Sprint(called) != tt.want {
				t.Error("announcements of one hand-over count for the next")
			}
		})
	}
}

// TestReferralsOfAddressesKeptForTheSuccessor: the former master has kept the addresses for a second. It announces an address for
// the successor from 5 ms after it began to remove it, unless the successor announced it meanwhile.
func TestReferralsOfAddressesKeptForTheSuccessor(t *testing.T) {
	vips := addrs("192.0.2.100", "192.0.2.101")
	successor, hardware := netip.MustParseAddr("192.0.2.2"), Hardware{2, 0, 0, 0, 0, 2}
	r := NewReferrals()
	r.SetAddresses(vips)
	r.ObserveRouter(epoch, Observation{Router: successor, From: hardware})
	r.Observe(epoch.Add(100*time.Millisecond), Observation{Claimed: vips[0], From: hardware, Announced: true})
	removes := epoch.Add(time.Second)
	if out, _ := r.Step(removes.Add(-1)); len(out) > 0 {
		t.Errorf("announced %v while it had the addresses", out)
	}
	r.Refer(epoch, removes.Add(-50*time.Millisecond), vips, successor)
	r.SetAddresses(nil)
	if out, _ := r.Step(removes.Add(4 * time.Millisecond)); len(out) > 0 {
		t.Errorf("announced %v at once", out)
	}
	if out, _ := r.Step(removes.Add(5 * time.Millisecond)); len(out) != 1 || out[0] != (Referral{Address: vips[1], Hardware: hardware}) {
		t.Errorf("announced %v, want the address that the successor did not announce", out)
	}
}
