// SPDX-License-Identifier: Apache-2.0

package garp

import (
	"net/netip"
	"slices"
	"testing"
	"time"
)

var (
	vip    = netip.MustParseAddr("192.0.2.100")
	server = Hardware{2, 0, 0, 0, 0, 0x11}
)

// TestRivals plays observations to the tracker, in milliseconds since the addresses became ours.
func TestRivals(t *testing.T) {
	claim := Observation{Claimed: vip, How: Reply, From: server}
	question := Observation{Asked: vip, How: Request, From: server}
	other := Observation{Claimed: netip.MustParseAddr("192.0.2.7"), Asked: netip.MustParseAddr("192.0.2.8"), How: Request, From: server}
	for _, tt := range []struct {
		name     string
		heard    map[int]Observation
		until    int
		asked    []int // when we asked
		told     []int // when a rival was reported
		rivalsAt map[int]int
	}{
		{name: "alone: asked once the takeover has settled, and at intervals", until: 21000, asked: []int{300, 10300, 20300}},
		{name: "other machines talk about other addresses", heard: map[int]Observation{1000: other, 2000: other}, until: 9000, asked: []int{300}},
		{name: "another machine asks: this one asks too, at once", heard: map[int]Observation{2000: question}, until: 9000, asked: []int{300, 2000}},
		{name: "many ask: once a second", heard: map[int]Observation{2000: question, 2100: question, 2200: question, 2900: question},
			until: 9000, asked: []int{300, 2000, 3000}},
		{name: "the former master still has a new address for a moment", heard: map[int]Observation{0: claim, 100: question, 150: claim}, until: 9000,
			asked: []int{300}},
		{name: "a rival of a new address answers when it is asked", heard: map[int]Observation{0: claim, 150: claim, 301: claim}, until: 1000,
			asked: []int{300}, told: []int{601}},
		{name: "a claim is reported once it has settled", heard: map[int]Observation{2000: claim}, until: 2400,
			asked: []int{300, 2000}, told: []int{2300}, rivalsAt: map[int]int{2299: 0, 2300: 1}},
		{name: "a rival is asked every second, reported once, and forgotten when silent", heard: map[int]Observation{2000: claim, 2500: claim, 3000: claim},
			until: 9000, asked: []int{300, 2000, 3000, 4000, 5000, 6000, 7000, 8000}, told: []int{2300}, rivalsAt: map[int]int{7999: 1, 8000: 0}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			start := time.Unix(1000, 0)
			r := NewRivalTracker()
			r.SetAddresses(start, []netip.Addr{vip})
			var asked, told []int
			for ms := 0; ms <= tt.until; ms++ {
				now := start.Add(time.Duration(ms) * time.Millisecond)
				if s, ok := tt.heard[ms]; ok {
					r.Observe(now, s)
				}
				ask, found, next := r.Step(now)
				if len(ask) > 0 {
					asked = append(asked, ms)
				}
				if len(found) > 0 {
					told = append(told, ms)
				}
				if !next.After(now) {
					t.Fatalf("%d ms: the next step is due %v ago", ms, now.Sub(next))
				}
				if want, ok := tt.rivalsAt[ms]; ok && len(r.Rivals()) != want {
					t.Errorf("%d ms: rivals %v, want %d", ms, r.Rivals(), want)
				}
			}
			if !slices.Equal(asked, tt.asked) || !slices.Equal(told, tt.told) {
				t.Errorf("asked at %v and reported at %v, want %v and %v", asked, told, tt.asked, tt.told)
			}
		})
	}
}

func TestRivalsOfLostAddressesAreForgotten(t *testing.T) {
	now := time.Unix(1000, 0)
	r := NewRivalTracker()
	r.SetAddresses(now, []netip.Addr{vip})
	now = now.Add(settle)
	r.Observe(now, Observation{Claimed: vip, How: Reply, From: server})
	if len(r.claimants) != 1 {
		t.Fatal("the claim did not count")
	}
	// The peer takes over: its announcement arrives before the order to give the address up.
	r.SetAddresses(now.Add(settle/2), nil)
	if _, found, _ := r.Step(now.Add(time.Second)); len(found) > 0 || len(r.claimants) > 0 {
		t.Errorf("reported %v", found)
	}
}

func TestRivalsAreBounded(t *testing.T) {
	now := time.Unix(1000, 0)
	r := NewRivalTracker()
	r.SetAddresses(now, []netip.Addr{vip})
	now = now.Add(settle)
	for i := range 10 * maxRivals {
		r.Observe(now, Observation{Claimed: vip, How: Reply, From: Hardware{2, 0, 0, 0, byte(i >> 8), byte(i)}})
	}
	if len(r.claimants) != maxRivals || r.claims != 10*maxRivals {
		t.Errorf("%d rivals remembered of %d claims", len(r.claimants), r.claims)
	}
}
